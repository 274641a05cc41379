// A profiled engine: what it computes is the same, its trace nests, and its operations add up to what
// CostModel counts.
#include <gtest/gtest.h>

#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "backend/registry.h"
#include "base/profile_report.h"
#include "engine/engine.h"
#include "engine/step_cost.h"
#include "tests/base/trace_reader.h"
#include "tests/checkpoint/test_folder.h"
#include "tests/engine/tiny_checkpoint.h"

namespace gossamer {
namespace {

constexpr int64_t kPrompt = 50;
constexpr int64_t kNew = 4;

struct Recorded {
  std::vector<std::vector<float>> logits;  // of each position of the prompt
  std::vector<int32_t> tokens;
  std::vector<StepRecord> records;
  double extra_bytes = 0.0;   // what a profile counts and CostModel does not, of each step
  double lookup_bytes = 0.0;  // the same of each token
  std::vector<StepCost> costs;
};

// A prompt in one step, then kNew - 1 more.
Recorded run_engine(const std::string& config, int num_threads, Profiler* profiler) {
  const test::TestFolder path;
  test::write_tiny_checkpoint(path.path(), config);
  const auto backend = create_backend({.name = "cpu", .num_threads = num_threads, .instruction_set = {}});
  ModelFolder folder = ModelFolder::open(path.path(), {});
  const CostModel cost(folder, *backend);
  Recorded run;
  // The final norm runs twice, for the head and for those who ask for hidden states.
  const ModelInfo info = folder.model->info();
  run.extra_bytes = static_cast<double>(info.hidden_dim) * sizeof(float) * (info.num_experts > 0 ? 1 : 2);
  // A tied table is looked up too.
  if (info.architecture == "gpt2") {
    run.lookup_bytes =
        static_cast<double>(backend->prepared_bytes(Format::kF32, 1, info.vocab_size, info.hidden_dim)) /
        static_cast<double>(info.vocab_size);
  }
  Engine engine(
      load_model(std::move(folder), *backend), *backend,
      {.limits = {.max_model_len = 128, .max_num_seqs = 2, .max_batched_tokens = 64, .max_logit_rows = 64}});
  backend->set_profiler(profiler);
  Request request;
  for (int64_t i = 0; i < kPrompt; ++i) request.prompt.push_back(static_cast<int32_t>(i * 7 % 47));
  request.max_new_tokens = kNew;
  request.sampling.temperature = 0.0F;
  request.on_prompt_logits = [&run](int64_t, std::span<const float> logits, std::span<const float>) {
    run.logits.emplace_back(logits.begin(), logits.end());
  };
  EXPECT_TRUE(engine.submit(std::move(request)).ok());
  int64_t done = 0;
  while (!engine.idle()) {
    StepRecord record{.count_experts = true};
    for (const Output& output : engine.step(&record)) {
      if (output.token) run.tokens.push_back(*output.token);
    }
    if (record.num_tokens == 0) continue;
    run.records.push_back(record);
    run.costs.push_back(cost.cost({.sequences = {{done, done + record.num_tokens}},
                                   .logit_rows = record.num_logit_rows,
                                   .experts_touched = static_cast<double>(record.experts_touched)}));
    done += record.num_tokens;
  }
  return run;
}

std::vector<test::TraceEvent> events_of(const Profiler& profiler) {
  std::ostringstream text;
  write_trace(profiler, "test", text);
  return test::read_trace(parse_json(text.str(), "trace"));
}

const std::vector<const char*> kConfigs = {test::kTinyGpt2, test::kTinyGptNeox, test::kTinyGptOss};

TEST(ProfiledEngine, ComputesTheSameBits) {
  for (const char* config : kConfigs) {
    const Recorded plain = run_engine(config, 2, nullptr);
    Profiler profiler(2, 10000);
    const Recorded profiled = run_engine(config, 2, &profiler);
    EXPECT_EQ(plain.tokens, profiled.tokens);
    EXPECT_EQ(plain.logits, profiled.logits);
    ASSERT_EQ(plain.logits.size(), static_cast<std::size_t>(kPrompt));
    EXPECT_GT(profiler.track(0).num_spans, 0U);
  }
}

TEST(ProfiledEngine, OperationsLieInLayersAndLayersInSteps) {
  Profiler profiler(2, 10000);
  const Recorded run = run_engine(test::kTinyGptOss, 2, &profiler);
  const std::vector<test::TraceEvent> events = events_of(profiler);
  std::vector<std::string> sections;
  for (const test::TraceEvent& event : events) {
    const std::string parent = test::parent_category(events, event);
    if (event.category == "step") {
      EXPECT_EQ(parent, "");
    }
    if (event.category == "section") {
      EXPECT_EQ(parent, "step");
      if (sections.size() < 7) sections.push_back(event.name);
    }
    if (event.category == "operation" && event.name != "sample") {
      EXPECT_EQ(parent, "section") << event.name;
    }
    if (event.name == "sample") {
      EXPECT_EQ(parent, "step");
    }
    if (event.category == "part" && event.thread == 1) {
      EXPECT_EQ(parent, "operation");
    }
    if (event.category == "wait") {
      EXPECT_EQ(parent, "operation");
    }
  }
  EXPECT_EQ(sections, (std::vector<std::string>{"prepare", "embed", "layer 0", "layer 1", "layer 2", "head",
                                                "finish"}));
}

TEST(ProfiledEngine, OperationsAddUpToTheCostModelsSteps) {
  for (const char* config : kConfigs) {
    Profiler profiler(1, 10000);
    const Recorded run = run_engine(config, 1, &profiler);
    const std::vector<test::TraceEvent> events = events_of(profiler);
    std::vector<double> bytes;
    std::vector<double> flops;
    for (const test::TraceEvent& event : events) {
      if (event.category == "step") {
        const auto tokens = static_cast<double>(run.records[bytes.size()].num_tokens);
        EXPECT_EQ(event.number("tokens"), tokens);
        bytes.push_back(-run.extra_bytes - run.lookup_bytes * tokens);
        flops.push_back(0.0);
      }
      if (event.category != "operation") continue;
      bytes.back() += event.number("bytes");
      flops.back() += event.number("flops");
    }
    ASSERT_EQ(bytes.size(), static_cast<std::size_t>(kNew));
    for (std::size_t step = 0; step < bytes.size(); ++step) {
      // The trace has whole numbers, and a row of a padded table is no whole number of bytes.
      EXPECT_NEAR(bytes[step], run.costs[step].bytes(), 2.0) << config << " step " << step;
      EXPECT_DOUBLE_EQ(flops[step], run.costs[step].operations) << config << " step " << step;
    }
  }
}

}  // namespace
}  // namespace gossamer
