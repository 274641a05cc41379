#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "backend/registry.h"
#include "base/error.h"
#include "tests/checkpoint/test_folder.h"
#include "tests/engine/engine_rig.h"
#include "tests/engine/tiny_checkpoint.h"

namespace gossamer {
namespace {

using test::Finished;
using test::make_request;
using test::Rig;

// Architecture and backend.
class EngineOn : public testing::TestWithParam<std::tuple<const char*, const char*>> {
 protected:
  std::string config() const { return std::get<0>(GetParam()); }
  std::string backend() const { return std::get<1>(GetParam()); }
};

TEST_P(EngineOn, ARecordChangesNothingAndCountsTheExpertsThatWereChosen) {
  const auto request = [] {
    Request made = make_request(9, 5, 12);
    made.sampling.temperature = 0.0F;
    return made;
  };
  Rig plain(config(), {}, backend());
  const Finished expected = plain.generate(request());
  Rig rig(config(), {}, backend());
  rig.submit(request());
  const ModelInfo& info = rig.engine().info();
  std::vector<int32_t> tokens;
  while (!rig.engine().idle()) {
    StepRecord record{.count_experts = true};
    for (const Output& output : rig.engine().step(&record)) tokens.push_back(output.token.value());
    EXPECT_EQ(record.num_tokens, tokens.size() == 1 ? 9 : 1);
    EXPECT_EQ(record.num_logit_rows, 1);
    EXPECT_GT(record.forward_seconds, 0.0);
    const int64_t least = info.num_layers * info.num_experts_per_token;  // one token's are all different
    EXPECT_GE(record.experts_touched, least);
    EXPECT_LE(record.experts_touched, record.num_tokens * least);
    EXPECT_LE(record.experts_touched, info.num_layers * info.num_experts);
  }
  EXPECT_EQ(tokens, expected.tokens);
}

TEST_P(EngineOn, ASkippedPromptHoldsThePagesOfAComputedOne) {
  Rig rig(config(), {.limits = {.max_num_seqs = 2, .max_batched_tokens = 24, .max_logit_rows = 2}},
          backend());
  rig.engine().skip_prompts(true);
  const RequestId id = rig.submit(make_request(150, 1, 6));
  StepRecord record;
  EXPECT_EQ(rig.engine().step(&record).size(), 1U) << "the first step gives a token already";
  EXPECT_EQ(record.num_tokens, 1);
  rig.engine().check_integrity();
  const Finished finished = rig.run().at(id);
  EXPECT_EQ(finished.reason, FinishReason::kLength);
  EXPECT_EQ(finished.tokens.size(), 5U);
}

TEST_P(EngineOn, InterleavedRequestsGiveTheSameTokensAsAlone) {
  constexpr int kRequests = 9;
  const auto request = [](int i) {
    Request made = make_request(static_cast<std::size_t>(3 + 17 * i), static_cast<uint32_t>(i + 1), 20 + i);
    if (i % 3 == 0) made.sampling.temperature = 0.0F;
    if (i % 3 == 1) made.sampling.top_p = 0.9F;
    if (i % 4 == 0) made.sampling.repetition_penalty = 1.2F;
    return made;
  };
  std::vector<Finished> alone;
  for (int i = 0; i < kRequests; ++i) {
    Rig rig(config(), {.limits = {}}, backend());
    alone.push_back(rig.generate(request(i)));
    ASSERT_EQ(alone.back().reason, FinishReason::kLength);
    ASSERT_EQ(alone.back().tokens.size(), static_cast<std::size_t>(20 + i));
  }
  EXPECT_NE(alone[1].tokens, alone[2].tokens) << "all alike would show nothing";

  Rig rig(config(),
          {.limits = {.max_num_seqs = 4, .max_batched_tokens = 24, .max_logit_rows = 8}, .chunk_tokens = 7},
          backend(), 2);
  std::map<RequestId, int> number_of;
  for (int i = 0; i < kRequests; ++i) {
    number_of[rig.submit(request(i))] = i;
    for (int steps = 0; steps < i; ++steps) rig.step();  // they arrive while others run
  }
  for (const auto& [id, finished] : rig.run())
    EXPECT_EQ(finished, alone[static_cast<std::size_t>(number_of.at(id))]) << "request " << number_of.at(id);
}

TEST_P(EngineOn, PromptLogitsAreTheSameInChunksAndBesideOthers) {
  const auto collect = [&](EngineOptions options, bool with_others) {
    Rig rig(config(), options, backend());
    if (with_others) rig.submit(make_request(30, 77, 40));
    std::vector<float> numbers;
    int64_t expected_position = 0;
    Request request = make_request(100, 5, 0);
    request.on_prompt_logits = [&](int64_t position, std::span<const float> logits,
                                   std::span<const float> hidden) {
      EXPECT_EQ(position, expected_position++);
      EXPECT_EQ(hidden.size(), 32U);
      numbers.insert(numbers.end(), logits.begin(), logits.end());
      numbers.insert(numbers.end(), hidden.begin(), hidden.end());
    };
    const Finished finished = rig.generate(std::move(request));
    EXPECT_EQ(finished.reason, FinishReason::kLength);
    EXPECT_TRUE(finished.tokens.empty());
    EXPECT_EQ(expected_position, 100);
    return numbers;
  };
  const std::vector<float> whole = collect({.limits = {.max_logit_rows = 512}}, false);
  EXPECT_GT(*std::max_element(whole.begin(), whole.end()),
            *std::min_element(whole.begin(), whole.end()) + 1.0F);
  EXPECT_EQ(collect({.limits = {.max_logit_rows = 512}, .chunk_tokens = 1}, false), whole);
  EXPECT_EQ(collect({.limits = {.max_logit_rows = 512}, .chunk_tokens = 7}, false), whole);
  EXPECT_EQ(collect({.limits = {.max_logit_rows = 5}}, false), whole);
  EXPECT_EQ(collect({.limits = {.max_num_seqs = 3, .max_logit_rows = 64}, .chunk_tokens = 33}, true), whole);
}

TEST_P(EngineOn, CancellingAtAnyMomentFreesEveryPage) {
  const EngineOptions options{.limits = {.max_num_seqs = 2, .max_batched_tokens = 16, .max_logit_rows = 4}};
  Rig alone(config(), options, backend());
  const Finished undisturbed = alone.generate(make_request(50, 9, 12));
  Rig rig(config(), options, backend());
  for (int when = 0; when < 20; ++when) {
    const RequestId victim = rig.submit(make_request(60, 8, 10));
    const RequestId other = rig.submit(make_request(50, 9, 12));
    const RequestId waiting = rig.submit(make_request(5, 10, 2));
    for (int steps = 0; steps < when; ++steps) rig.step();
    rig.engine().cancel(victim);
    rig.engine().cancel(victim);
    rig.engine().check_integrity();
    const auto& results = rig.run();
    if (when < 10) {
      EXPECT_EQ(results.at(victim).reason, FinishReason::kCancelled) << "after " << when;
    }
    EXPECT_EQ(results.at(other), undisturbed);
    EXPECT_EQ(results.at(waiting).tokens.size(), 2U);
    rig.engine().check_integrity();  // idle: every page is free
  }
}

INSTANTIATE_TEST_SUITE_P(All, EngineOn,
                         testing::Combine(testing::Values(test::kTinyGpt2, test::kTinyGptNeox,
                                                          test::kTinyGptOss),
                                          testing::Values("reference", "cpu")),
                         [](const auto& instance) {
                           const std::string config = std::get<0>(instance.param);
                           const std::size_t begin = config.find(": \"") + 3;
                           return config.substr(begin, config.find('"', begin) - begin) + "_" +
                                  std::get<1>(instance.param);
                         });

TEST(Engine, RefusesAPromptThatIsTooLongWithBothCounts) {
  Rig rig(test::kTinyGpt2, {.limits = {.max_model_len = 40}});
  const auto refused = rig.engine().submit(make_request(40, 1, 5));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, RequestErrorKind::kInvalid);
  EXPECT_THAT(refused.error().message,
              testing::AllOf(testing::HasSubstr("40 tokens"), testing::HasSubstr("39 fit")));
  EXPECT_TRUE(rig.engine().idle());
  EXPECT_EQ(rig.generate(make_request(39, 1, 5)).tokens.size(), 1U) << "the longest that fits";
}

TEST(Engine, RefusesEmptyPromptsAndIdsOutOfRange) {
  Rig rig(test::kTinyGpt2);
  EXPECT_FALSE(rig.engine().submit(make_request(0, 1, 5)).ok());
  for (const int32_t id : {-1, 53, 1 << 30}) {
    Request request = make_request(3, 1, 5);
    request.prompt[1] = id;
    const auto refused = rig.engine().submit(std::move(request));
    ASSERT_FALSE(refused.ok());
    EXPECT_THAT(refused.error().message, testing::HasSubstr(std::to_string(id)));
  }
  Request request = make_request(3, 1, 5);
  request.sampling.temperature = -1.0F;
  EXPECT_FALSE(rig.engine().submit(std::move(request)).ok());
  EXPECT_FALSE(rig.engine().submit(make_request(3, 1, -1)).ok());
  EXPECT_TRUE(rig.engine().idle());
}

TEST(Engine, CutsMaxNewTokensToWhatTheLengthLeaves) {
  Rig rig(test::kTinyGptOss);
  const Finished finished = rig.generate(make_request(250, 1, 1000));
  EXPECT_EQ(finished.tokens.size(), 6U);
  EXPECT_EQ(finished.reason, FinishReason::kLength);
}

TEST(Engine, StopsAtAStopTokenWhichIsPartOfTheOutput) {
  Rig rig(test::kTinyGpt2);
  Request request = make_request(10, 3, 30);
  const std::vector<int32_t> all = rig.generate(request).tokens;
  ASSERT_EQ(all.size(), 30U);
  request.stop_token_ids = {all[7], 52};
  const Finished stopped = rig.generate(request);
  const auto first =
      std::find_if(all.begin(), all.end(), [&](int32_t id) { return id == all[7] || id == 52; });
  EXPECT_EQ(stopped.tokens, std::vector<int32_t>(all.begin(), first + 1));
  EXPECT_EQ(stopped.reason, FinishReason::kStop);
}

TEST(Engine, ReportsNonFiniteLogitsForThatRequestOnly) {
  test::TestFolder folder;
  test::write_tiny_checkpoint(folder.path(), test::kTinyGptNeox);
  // The first tensor of the file is the embedding table: its first row, token 0, becomes NaN.
  std::string bytes = test::read_file(folder / "model.safetensors");
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof(header));
  for (std::size_t i = 0; i < 32; ++i)
    bytes.replace(8 + header + 4 * i, 4, std::string("\x00\x00\xc0\x7f", 4));
  test::write_file(folder / "model.safetensors", bytes);
  const auto backend = create_backend({.name = "reference", .instruction_set = {}});
  Engine engine(load_model(ModelFolder::open(folder.path(), {}), *backend), *backend,
                {.limits = {.max_model_len = 64, .max_num_seqs = 2}});
  Request healthy = make_request(5, 2, 4);
  for (int32_t& id : healthy.prompt) id = id % 46 + 1;
  healthy.sampling.logit_bias[0] = -100.0F;
  Request broken = healthy;
  broken.prompt[3] = 0;
  const RequestId broken_id = engine.submit(broken).value();
  const RequestId healthy_id = engine.submit(healthy).value();
  std::map<RequestId, Output> last;
  while (!engine.idle()) {
    for (const Output& output : engine.step()) last[output.id] = output;
    engine.check_integrity();
  }
  EXPECT_EQ(last[broken_id].finish_reason, FinishReason::kError);
  EXPECT_THAT(last[broken_id].error, testing::HasSubstr("non-finite logits at position 4"));
  EXPECT_EQ(last[healthy_id].finish_reason, FinishReason::kLength);
}

TEST(Engine, NeverSamplesRowsBeyondTheTokenizers) {
  Rig rig(test::kTinyGptOss, {.limits = {}, .num_sampled_ids = 20});
  Request request = make_request(5, 4, 200);
  request.sampling.temperature = 5.0F;
  for (int32_t& id : request.prompt) id %= 20;
  for (const int32_t id : rig.generate(request).tokens) EXPECT_LT(id, 20);
}

TEST(MemoryPlan, IsWhatTheEngineAllocates) {
  test::TestFolder folder;
  test::write_tiny_checkpoint(folder.path(), test::kTinyGptOss);
  const auto backend = create_backend({.name = "reference", .instruction_set = {}});
  const ModelFolder opened = ModelFolder::open(folder.path(), {});
  const EngineLimits limits{.max_model_len = 256, .max_num_seqs = 3, .max_batched_tokens = 64};
  const MemoryPlan plan = compute_plan(opened, *backend, limits);
  // One full layer, f32: 2 (k, v) x 2 heads x 8 dimensions x 4 bytes a token; two window layers beside it.
  EXPECT_EQ(plan.kv_per_token, 2U * 2 * 8 * 4);
  const std::size_t window_pages = 5;  // 39 + 64 positions touch at most 5 pages of 32
  EXPECT_EQ(plan.kv_window, window_pages * kPageTokens * 2 * plan.kv_per_token);
  EXPECT_EQ(plan.kv, 3 * (256 * plan.kv_per_token + plan.kv_window));
  const KvPoolConfig pool = kv_pool_config(opened.model->info(), opened.precision.kv_cache, limits);
  const auto made = backend->create_kv_pool(pool);
  std::size_t pool_bytes = 0;
  for (const KvKind& kind : made->config().kinds)
    pool_bytes += static_cast<std::size_t>(kind.num_pages * kind.num_layers) * KvPool::page_bytes(pool);
  EXPECT_EQ(pool_bytes, plan.kv);
}

TEST(MemoryPlan, RefusesWithTheNumbersAndWhatWouldFit) {
  test::TestFolder folder;
  test::write_tiny_checkpoint(folder.path(), test::kTinyGpt2);
  const auto backend = create_backend({.name = "reference", .instruction_set = {}});
  const ModelFolder opened = ModelFolder::open(folder.path(), {});
  const EngineLimits limits{
      .max_model_len = 256, .max_num_seqs = 1, .max_batched_tokens = 16, .max_logit_rows = 1};
  const std::size_t needed = compute_plan(opened, *backend, limits).total();
  EXPECT_EQ(plan_memory(opened, *backend, limits, needed + kMemoryReserve).total(), needed);

  const std::string refusal =
      test::error_of([&] { plan_memory(opened, *backend, limits, needed - 1 + kMemoryReserve); });
  EXPECT_THAT(refusal, testing::HasSubstr("--max-model-len 224 would fit"));
  EngineLimits automatic = limits;
  automatic.max_model_len = 0;
  const MemoryPlan fitted = plan_memory(opened, *backend, automatic, needed - 1 + kMemoryReserve);
  EXPECT_EQ(fitted.limits.max_model_len, 224) << "a whole page less";
  EXPECT_THAT(test::error_of([&] { plan_memory(opened, *backend, limits, 1000); }),
              testing::HasSubstr("no --max-model-len fits"));
  EngineLimits beyond = limits;
  beyond.max_model_len = 257;
  EXPECT_THAT(test::error_of([&] { plan_memory(opened, *backend, beyond, needed * 10 + kMemoryReserve); }),
              testing::AllOf(testing::HasSubstr("257"), testing::HasSubstr("256")));
}

TEST(MemoryPlan, MakesThePoolSmallerBeforeItRefusesAndNeverLessThanOneSequence) {
  test::TestFolder folder;
  test::write_tiny_checkpoint(folder.path(), test::kTinyGptOss);
  const auto backend = create_backend({.name = "reference", .instruction_set = {}});
  const ModelFolder opened = ModelFolder::open(folder.path(), {});
  EngineLimits limits{.max_model_len = 256,
                      .max_num_seqs = 8,
                      .max_batched_tokens = 64,
                      .max_logit_rows = 8,
                      .prefix_cache = true};
  const MemoryPlan whole = compute_plan(opened, *backend, limits);
  EXPECT_EQ(whole.limits.kv_cache_tokens, 8 * 256);
  const MemoryPlan less = plan_memory(opened, *backend, limits, whole.total() - 1 + kMemoryReserve);
  EXPECT_LT(less.limits.kv_cache_tokens, 8 * 256);
  EXPECT_GE(less.limits.kv_cache_tokens, 7 * 256);
  EXPECT_LE(less.total(), whole.total() - 1);

  limits.kv_cache_tokens = 256;
  const std::size_t least = compute_plan(opened, *backend, limits).total();
  limits.kv_cache_tokens = 0;
  EXPECT_EQ(plan_memory(opened, *backend, limits, least + kMemoryReserve).limits.kv_cache_tokens, 256);
  EXPECT_THAT(test::error_of([&] { plan_memory(opened, *backend, limits, least - 1 + kMemoryReserve); }),
              testing::HasSubstr("would fit"));
  limits.kv_cache_tokens = 255;
  EXPECT_THAT(
      test::error_of([&] { plan_memory(opened, *backend, limits, 2 * whole.total() + kMemoryReserve); }),
      testing::HasSubstr("--kv-cache-tokens 255 is less than --max-model-len 256"));
}

}  // namespace
}  // namespace gossamer
