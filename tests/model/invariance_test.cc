// The numerics contract: a sequence's logits are the same bits alone, in company, in any chunks, with any
// number of threads (docs/architecture.md).
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "tests/model/fixture.h"

namespace gossamer {
namespace {

struct Case {
  std::string fixture;
  std::string level;
  std::string label;
  PrecisionOptions precision;

  std::string name() const { return fixture + "_" + level + "_" + label; }
};

std::ostream& operator<<(std::ostream& stream, const Case& value) { return stream << value.name(); }

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  for (const std::string& level : available_instruction_sets()) {
    for (const std::string& fixture : fixture_names()) {
      for (const char* dtype : {"auto", "bf16", "f32"}) {
        cases.push_back({.fixture = fixture, .level = level, .label = dtype, .precision = {.dtype = dtype}});
      }
    }
    // One of each architecture; tests/backend crosses all formats with all activations.
    for (const char* fixture : {"gpt2_f32", "gpt_neox_pythia_bf16", "gpt_oss_mxfp4"}) {
      for (const char* weights : {"w8", "w4", "w8a8"}) {
        cases.push_back(
            {.fixture = fixture, .level = level, .label = weights, .precision = {.weights = weights}});
      }
      for (const char* kv : {"f16", "int8"}) {
        cases.push_back({.fixture = fixture,
                         .level = level,
                         .label = std::string("kv_") + kv,
                         .precision = {.kv_cache_dtype = kv}});
      }
    }
  }
  return cases;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class Invariance : public testing::TestWithParam<Case> {
 protected:
  FixtureEngine engine(int num_threads, int64_t num_seqs, int64_t chunk_tokens) const {
    const BackendOptions backend{
        .name = "cpu", .num_threads = num_threads, .instruction_set = GetParam().level};
    const EngineLimits limits{
        .max_model_len = 300, .max_num_seqs = num_seqs, .max_batched_tokens = 512, .max_logit_rows = 512};
    return make_engine(fixture_.folder, backend, GetParam().precision, limits, chunk_tokens);
  }

  std::vector<int32_t> random_ids(std::size_t size, uint32_t seed) const {
    std::mt19937 random(seed);
    std::uniform_int_distribution<int32_t> id(0, 255);  // every fixture's vocabulary has at least 256 ids
    std::vector<int32_t> ids(size);
    for (int32_t& value : ids) value = id(random);
    return ids;
  }

  Fixture fixture_ = load_fixture(GetParam().fixture);
  std::vector<int32_t> ids_ = random_ids(150, 1);
};

TEST_P(Invariance, SameBitsInAnyChunksAndWithAnyNumberOfThreads) {
  const Scores alone = score(*engine(1, 1, 512).engine, ids_);
  ASSERT_EQ(alone.logits.size() % ids_.size(), 0U);
  for (const int64_t chunk : {1, 7, 512}) {
    for (const int threads : {1, 2, 3}) {
      const Scores other = score(*engine(threads, 1, chunk).engine, ids_);
      EXPECT_TRUE(same_bits(alone.logits, other.logits))
          << "chunks of " << chunk << ", " << threads << " threads";
      EXPECT_TRUE(same_bits(alone.hidden, other.hidden))
          << "chunks of " << chunk << ", " << threads << " threads";
    }
  }
}

TEST_P(Invariance, SameBitsAmongSeventeenOthers) {
  const Scores alone = score(*engine(1, 1, 512).engine, ids_);
  auto made = engine(2, 18, 24);
  Scores together;
  for (int i = 0; i < 18; ++i) {
    Request request{.prompt = i == 9 ? ids_ : random_ids(static_cast<std::size_t>(3 + 13 * i), 100U + i),
                    .max_new_tokens = i == 9 ? 0 : 5,
                    .sampling = {},
                    .stop_token_ids = {},
                    .on_prompt_logits = {}};
    if (i == 9) {
      request.on_prompt_logits = [&](int64_t, std::span<const float> logits, std::span<const float> hidden) {
        together.logits.insert(together.logits.end(), logits.begin(), logits.end());
        together.hidden.insert(together.hidden.end(), hidden.begin(), hidden.end());
      };
    }
    ASSERT_TRUE(made.engine->submit(std::move(request)).ok());
  }
  while (!made.engine->idle()) {
    made.engine->step();
    made.engine->check_integrity();
  }
  EXPECT_TRUE(same_bits(alone.logits, together.logits));
  EXPECT_TRUE(same_bits(alone.hidden, together.hidden));
}

TEST_P(Invariance, CatchesAChangedBit) {
  std::vector<float> a(8, 1.0F);
  std::vector<float> b = a;
  b[3] = std::nextafter(b[3], 2.0F);
  EXPECT_FALSE(same_bits(a, b));
}

INSTANTIATE_TEST_SUITE_P(Fixtures, Invariance, testing::ValuesIn(all_cases()),
                         [](const auto& info) { return info.param.name(); });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Invariance);

}  // namespace
}  // namespace gossamer
