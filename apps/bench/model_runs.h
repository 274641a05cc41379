// The runs of `gossamer bench model` and what they gave. Every run lies between two short looks at the
// ceiling that it is held against, because on a shared machine that moves by a third within minutes.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "apps/bench/bench.h"
#include "apps/session.h"
#include "engine/step_cost.h"

namespace gossamer::apps {

// Depth 0 stands right behind a prompt of so many tokens.
inline constexpr int64_t kShortPrompt = 16;

struct ModelBenchOptions {
  ModelOptions model;
  std::vector<int64_t> prompts;  // lengths of prefills
  int64_t new_tokens = 64;       // of each sequence, in each run of a decode
  std::vector<int64_t> depths = {0};
  std::vector<int64_t> sequences = {1, 4, 16};
  int64_t repeat = 5;
  bool skip_prompts = false;
  std::string json;
  std::string html;
  std::string csv;
};

struct Spread {
  double median = 0.0;
  double min = 0.0;
  double max = 0.0;
};

// One measurement, over all of its runs. Per step and per token: the mean of a run, the median of the runs.
struct ModelResult {
  bool prefill = false;
  int64_t tokens = 0;  // of the prompt, or of each sequence in a run
  int64_t sequences = 1;
  int64_t depth = 0;
  int64_t prompt_tokens = 0;
  double steps_per_run = 0.0;
  Spread tokens_per_s;
  Spread share_of_limit;
  Spread ceiling;  // next to the runs: bytes per second for decode, operations per second for prefill
  StepCost cost;   // per step
  double operations_per_token = 0.0;
  double experts_per_layer = 0.0;  // different ones, per step
  double prepare_seconds = 0.0;    // per step, as StepRecord has them
  double forward_seconds = 0.0;
  double finish_seconds = 0.0;
  // Decode: what it took until every sequence had its first token.
  double fill_seconds = 0.0;
  double fill_forward_seconds = 0.0;
};

// The longest sequence that these options need.
int64_t needed_model_len(const ModelBenchOptions& options);

class ModelBench {
 public:
  // `session` is loaded.
  ModelBench(Session& session, const CostModel& cost, peak::Instruction dot_product, ThreadPool& pool,
             peak::MemoryReader& memory, const ModelBenchOptions& options);

  ModelResult prefill(int64_t prompt_tokens);
  ModelResult decode(int64_t sequences, int64_t depth);

 private:
  // Sums over steps.
  struct Totals {
    double seconds = 0.0;
    double steps = 0.0;
    double tokens = 0.0;
    double experts_touched = 0.0;
    StepRecord record;
    StepCost cost;

    void add(const StepRecord& step);
    void add(const StepCost& step);
  };
  struct Run {
    Totals totals;
    double ceiling = 0.0;
    double share = 0.0;
  };

  RequestId submit(int64_t prompt_tokens, int64_t new_tokens, uint64_t seed);
  // One step; every token that it gives moves its sequence on in positions_.
  void step(StepRecord& record);
  Totals fill(int64_t sequences, int64_t prompt_tokens, int64_t new_tokens);
  Totals run_steps(int64_t count, bool count_experts);
  void end_requests();
  std::vector<TokenSpan> next_spans() const;
  void summarise(const std::vector<Run>& runs, ModelResult& result) const;

  Engine& engine_;
  const CostModel& cost_;
  peak::Instruction dot_product_;
  ThreadPool& pool_;
  peak::MemoryReader& memory_;
  const ModelBenchOptions& options_;
  std::map<RequestId, int64_t> positions_;  // known tokens of each running sequence that has had a token
};

}  // namespace gossamer::apps
