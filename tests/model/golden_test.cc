// Every fixture against the logits and hidden states that transformers computed in float32.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "tests/model/fixture.h"

namespace gossamer {
namespace {

// Relative 2-norm errors over the recorded rows of a prompt, as docs/architecture.md promises.
constexpr double kF32Tolerance = 2e-5;
constexpr double kBf16Tolerance = 1.5e-2;

struct Case {
  std::string fixture;
  BackendOptions backend;
  bool f32 = true;

  std::string name() const {
    return fixture + "_" + (backend.name == "cpu" ? backend.instruction_set : backend.name) +
           (f32 ? "_f32" : "_bf16");
  }
};

std::ostream& operator<<(std::ostream& stream, const Case& value) { return stream << value.name(); }

std::vector<Case> all_cases() {
  std::vector<Case> cases;
  const auto levels = available_instruction_sets();
  for (const std::string& fixture : fixture_names()) {
    cases.push_back({.fixture = fixture, .backend = {.name = "reference"}, .f32 = true});
    for (const std::string& level : levels) {
      for (const bool f32 : {true, false}) {
        cases.push_back({.fixture = fixture,
                         .backend = {.name = "cpu", .num_threads = 2, .instruction_set = level},
                         .f32 = f32});
      }
    }
  }
  return cases;
}

double norm(const float* values, int64_t size) {
  double sum = 0.0;
  for (int64_t i = 0; i < size; ++i) sum += static_cast<double>(values[i]) * values[i];
  return std::sqrt(sum);
}

// Picks the recorded positions' rows out of all rows, and returns |found - expected| / |expected|.
double relative_error(const std::vector<float>& found, const std::vector<float>& expected,
                      const std::vector<int32_t>& positions) {
  const auto row_size = static_cast<int64_t>(expected.size() / positions.size());
  std::vector<float> difference;
  for (std::size_t row = 0; row < positions.size(); ++row) {
    for (int64_t i = 0; i < row_size; ++i) {
      difference.push_back(found[static_cast<std::size_t>(positions[row] * row_size + i)] -
                           expected[row * static_cast<std::size_t>(row_size) + static_cast<std::size_t>(i)]);
    }
  }
  return norm(difference.data(), static_cast<int64_t>(difference.size())) /
         norm(expected.data(), static_cast<int64_t>(expected.size()));
}

// The arg max must be the reference's wherever its lead over the runner-up is more than the error allows.
void expect_same_arg_max(const std::vector<float>& found, const ExpectedPrompt& expected, double tolerance) {
  const auto vocab = static_cast<std::ptrdiff_t>(expected.logits.size() / expected.positions.size());
  for (std::size_t row = 0; row < expected.positions.size(); ++row) {
    const auto begin = expected.logits.begin() + static_cast<std::ptrdiff_t>(row) * vocab;
    const auto best = std::max_element(begin, begin + vocab);
    float second = -INFINITY;
    for (auto logit = begin; logit != begin + vocab; ++logit) {
      if (logit != best) second = std::max(second, *logit);
    }
    const double margin = *best - second;
    if (margin <= 2 * tolerance * norm(&*begin, vocab)) continue;
    const auto found_begin = found.begin() + expected.positions[row] * vocab;
    EXPECT_EQ(std::max_element(found_begin, found_begin + vocab) - found_begin, best - begin)
        << "position " << expected.positions[row];
  }
}

// The double-precision loops take minutes for the longest prompts, and so does an emulated processor, where
// GOSSAMER_TEST_MAX_TOKENS says what to do without; every other backend does them all.
std::size_t longest_prompt(const BackendOptions& backend) {
  if (backend.name == "reference") return 300;
  const char* most = std::getenv("GOSSAMER_TEST_MAX_TOKENS");
  return most != nullptr ? std::stoul(most) : std::numeric_limits<std::size_t>::max();
}

class Golden : public testing::TestWithParam<Case> {};

TEST_P(Golden, LogitsAndHiddenStatesAreTheReferences) {
  const Case& param = GetParam();
  const Fixture fixture = load_fixture(param.fixture);
  ASSERT_FALSE(fixture.prompts.empty());
  const double tolerance = param.f32 ? kF32Tolerance : kBf16Tolerance;
  const EngineLimits limits{
      .max_model_len = 0, .max_num_seqs = 1, .max_batched_tokens = 256, .max_logit_rows = 256};
  // f32 computes with the weights as stored: choose_precision's "f32" only widens them, which is exact.
  auto made = make_engine(fixture.folder, param.backend, {.dtype = param.f32 ? "f32" : "bf16"}, limits);
  for (const ExpectedPrompt& expected : fixture.prompts) {
    if (expected.ids.size() > longest_prompt(param.backend)) continue;
    SCOPED_TRACE("prompt of " + std::to_string(expected.ids.size()) + " tokens");
    const Scores found = score(*made.engine, expected.ids);
    ASSERT_GT(norm(expected.logits.data(), static_cast<int64_t>(expected.logits.size())), 0.0);
    EXPECT_LE(relative_error(found.logits, expected.logits, expected.positions), tolerance);
    EXPECT_LE(relative_error(found.hidden, expected.hidden, expected.positions), tolerance);
    expect_same_arg_max(found.logits, expected, tolerance);
  }
}

TEST_P(Golden, CatchesAPlantedError) {
  const Fixture fixture = load_fixture(GetParam().fixture);
  std::vector<float> logits = fixture.prompts[0].logits;
  for (float& logit : logits) logit *= 1.02F;
  std::vector<int32_t> rows(fixture.prompts[0].positions.size());
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int32_t>(i);
  EXPECT_GT(relative_error(logits, fixture.prompts[0].logits, rows), kBf16Tolerance);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, Golden, testing::ValuesIn(all_cases()),
                         [](const auto& info) { return info.param.name(); });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Golden);

}  // namespace
}  // namespace gossamer
