#include "engine/step_cost.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "backend/registry.h"
#include "checkpoint/synth_architecture.h"
#include "checkpoint/synth_checkpoint.h"
#include "engine/memory_plan.h"
#include "tests/checkpoint/test_folder.h"
#include "tests/engine/tiny_checkpoint.h"

namespace gossamer {
namespace {

std::unique_ptr<Backend> portable() {
  return create_backend({.name = "cpu", .num_threads = 1, .instruction_set = "portable"});
}

// The real GPT-OSS-20B, from headers alone.
CostModel gpt_oss_20b(const Backend& backend) {
  const SynthArchitecture architecture = describe_synth_architecture("gpt-oss-20b", std::nullopt);
  return {ModelFolder::open(make_synth_checkpoint(architecture, "synth:gpt-oss-20b"), {}), backend};
}

TEST(CostModel, AllWeightsAreThoseOfTheMemoryPlan) {
  const auto backend = portable();
  for (const char* config : {test::kTinyGpt2, test::kTinyGptNeox, test::kTinyGptOss}) {
    const test::TestFolder path;
    test::write_tiny_checkpoint(path.path(), config);
    const ModelFolder folder = ModelFolder::open(path.path(), {});
    const EngineLimits limits{
        .max_model_len = 64, .max_num_seqs = 1, .max_batched_tokens = 64, .max_logit_rows = 1};
    EXPECT_NEAR(CostModel(folder, *backend).weight_bytes(),
                static_cast<double>(compute_plan(folder, *backend, limits).weights), 0.5);
  }
}

TEST(CostModel, OneTokenOfGptOss20bReadsThePublishedBytesAndOperations) {
  const auto backend = portable();
  const CostModel model = gpt_oss_20b(*backend);
  const StepCost cost =
      model.cost({.sequences = {{0, 1}}, .logit_rows = 1, .experts_touched = model.expected_experts(1)});
  // Products by hand, as stored: qkv and o (bf16), router, 4 of 32 experts (17 bytes for 32 numbers), head.
  const double attention = 24.0 * (5120 + 4096) * 2880 * 2;
  const double router = 24.0 * 32 * 2880 * 2;
  const double experts = 24.0 * 4 * (3 * 2880.0 * 2880) * 17 / 32;
  const double head = 201088.0 * 2880 * 2;
  const double products = attention + router + experts + head;
  EXPECT_GE(cost.weight_bytes, products);
  EXPECT_LE(cost.weight_bytes, 1.01 * products);  // norms, biases, padding to whole panels
  const double active =
      24.0 * ((5120 + 4096) * 2880.0 + 32 * 2880.0 + 4 * 3 * 2880.0 * 2880) + 201088.0 * 2880;
  EXPECT_DOUBLE_EQ(cost.operations, 2 * active + 24.0 * 4 * 64 * 64);  // each layer sees one key
}

TEST(CostModel, WindowLayersReadTheirWindowAndOthersEverything) {
  const auto backend = portable();
  const CostModel model = gpt_oss_20b(*backend);
  const auto read = [&](int64_t position) {
    return model.cost({.sequences = {{position, position + 1}}, .logit_rows = 1}).kv_read_bytes;
  };
  constexpr double kPosition = 2.0 * 8 * 64 * 2;  // keys and values of one layer, bf16
  EXPECT_DOUBLE_EQ(read(0), 24 * kPosition);
  EXPECT_DOUBLE_EQ(read(127), 24 * 128 * kPosition);
  EXPECT_DOUBLE_EQ(read(8191), 12 * (128 + 8192) * kPosition);
  EXPECT_DOUBLE_EQ(model.cost({.sequences = {{8191, 8192}}, .logit_rows = 1}).kv_write_bytes, 24 * kPosition);
}

TEST(CostModel, APromptCostsTheOperationsOfItsTokensOneByOne) {
  const auto backend = portable();
  const CostModel model = gpt_oss_20b(*backend);
  double one_by_one = 0.0;
  for (int64_t position = 0; position < 300; ++position) {  // beyond the window of 128
    one_by_one += model.cost({.sequences = {{position, position + 1}}}).operations;
  }
  const double together = model.cost({.sequences = {{0, 300}}}).operations;
  EXPECT_NEAR(together / one_by_one, 1.0, 1e-12);
}

TEST(CostModel, SequencesShareWeightsButNotTheirCache) {
  const auto backend = portable();
  const CostModel model = gpt_oss_20b(*backend);
  const std::vector<TokenSpan> sixteen(16, TokenSpan{100, 101});
  const StepCost one = model.cost({.sequences = {{100, 101}}, .logit_rows = 1});
  const StepCost many = model.cost({.sequences = sixteen, .logit_rows = 16});
  EXPECT_DOUBLE_EQ(many.kv_read_bytes, 16 * one.kv_read_bytes);
  EXPECT_DOUBLE_EQ(many.operations, 16 * one.operations);
  EXPECT_LT(many.weight_bytes, 1.001 * one.weight_bytes);
}

TEST(CostModel, EvenRoutingTouchesTheExpectedNumberOfExperts) {
  const auto backend = portable();
  const CostModel model = gpt_oss_20b(*backend);
  EXPECT_DOUBLE_EQ(model.expected_experts(1), 24 * 4.0);
  EXPECT_NEAR(model.expected_experts(16) / 24, 28.2, 0.1);
  EXPECT_NEAR(model.expected_experts(100000) / 24, 32.0, 1e-6);
}

}  // namespace
}  // namespace gossamer
