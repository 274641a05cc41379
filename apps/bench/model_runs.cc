#include "apps/bench/model_runs.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "checkpoint/synth_pools.h"

namespace gossamer::apps {
namespace {

// Steps before each run of a decode, untimed, in which the experts are counted.
constexpr int64_t kCountedSteps = 2;
// Seconds of a look at a ceiling.
constexpr double kLookSeconds = 0.15;

int64_t prompt_of(int64_t depth) { return std::max(depth, kShortPrompt); }

// Sequences that finish their prompt first go on while the others' are computed: at most so many steps.
int64_t steps_to_fill(int64_t sequences, int64_t prompt_tokens, int64_t chunk_tokens) {
  const int64_t per_step = std::max<int64_t>(1, std::max(chunk_tokens, sequences) - sequences);
  return (sequences * prompt_tokens + per_step - 1) / per_step + sequences;
}

int64_t tokens_to_decode(const ModelBenchOptions& options, int64_t sequences, int64_t prompt_tokens) {
  const int64_t fill =
      options.skip_prompts ? 1 : steps_to_fill(sequences, prompt_tokens, options.model.chunk_tokens);
  return fill + options.repeat * (options.new_tokens + kCountedSteps);
}

Spread spread(const std::vector<double>& values) {
  const auto [min, max] = std::minmax_element(values.begin(), values.end());
  return {.median = peak::median(values), .min = *min, .max = *max};
}

}  // namespace

int64_t needed_model_len(const ModelBenchOptions& options) {
  int64_t needed = kShortPrompt + 1;
  for (const int64_t prompt : options.prompts) needed = std::max(needed, prompt + 1);
  for (const int64_t depth : options.depths) {
    for (const int64_t sequences : options.sequences) {
      const int64_t prompt = prompt_of(depth);
      needed = std::max(needed, prompt + tokens_to_decode(options, sequences, prompt));
    }
  }
  return needed;
}

void ModelBench::Totals::add(const StepRecord& step) {
  steps += 1.0;
  tokens += static_cast<double>(step.num_tokens);
  experts_touched += static_cast<double>(step.experts_touched);
  record.prepare_seconds += step.prepare_seconds;
  record.forward_seconds += step.forward_seconds;
  record.finish_seconds += step.finish_seconds;
}

void ModelBench::Totals::add(const StepCost& step) {
  cost.weight_bytes += step.weight_bytes;
  cost.kv_read_bytes += step.kv_read_bytes;
  cost.kv_write_bytes += step.kv_write_bytes;
  cost.operations += step.operations;
}

ModelBench::ModelBench(Session& session, const CostModel& cost, peak::Instruction dot_product,
                       ThreadPool& pool, peak::MemoryReader& memory, const ModelBenchOptions& options)
    : engine_(session.engine()),
      cost_(cost),
      dot_product_(std::move(dot_product)),
      pool_(pool),
      memory_(memory),
      options_(options) {
  submit(kShortPrompt, 1, 0);  // every page of code and scratch has been touched after this
  while (!engine_.idle()) engine_.step();
}

RequestId ModelBench::submit(int64_t prompt_tokens, int64_t new_tokens, uint64_t seed) {
  Request request;
  for (int64_t i = 0; i < prompt_tokens; ++i) {
    const uint64_t number = synth_mix(synth_mix(seed) + static_cast<uint64_t>(i));
    request.prompt.push_back(
        static_cast<int32_t>(number % static_cast<uint64_t>(engine_.options().num_sampled_ids)));
  }
  request.max_new_tokens = new_tokens;
  request.sampling.temperature = 0.0F;
  const Result<RequestId> id = engine_.submit(std::move(request));
  if (!id.ok()) throw Error("bench: {}", id.error().message);
  return id.value();
}

void ModelBench::step(StepRecord& record) {
  for (const Output& output : engine_.step(&record)) {
    if (output.finish_reason == FinishReason::kError) throw Error("bench: {}", output.error);
    if (output.token) ++positions_[output.id];
  }
}

std::vector<TokenSpan> ModelBench::next_spans() const {
  std::vector<TokenSpan> spans;
  spans.reserve(positions_.size());
  for (const auto& [id, known] : positions_) spans.push_back({.begin = known - 1, .end = known});
  return spans;
}

ModelResult ModelBench::prefill(int64_t prompt_tokens) {
  ModelResult result{.prefill = true, .tokens = prompt_tokens, .prompt_tokens = prompt_tokens};
  const auto look = [&] { return peak::measure_operations(pool_, dot_product_, 1, kLookSeconds); };
  std::vector<Run> runs;
  for (int64_t repeat = 0; repeat < options_.repeat; ++repeat) {
    Run& run = runs.emplace_back();
    const double before = look();
    const Clock::time_point start = Clock::now();
    submit(prompt_tokens, 1, static_cast<uint64_t>(repeat));
    int64_t done = 0;
    while (!engine_.idle()) {
      StepRecord record;
      step(record);
      run.totals.add(record);
      const double experts = cost_.expected_experts(record.num_tokens);
      run.totals.experts_touched += experts;
      run.totals.add(cost_.cost({.sequences = {{done, done + record.num_tokens}},
                                 .logit_rows = record.num_logit_rows,
                                 .experts_touched = experts}));
      done += record.num_tokens;
    }
    run.totals.seconds = seconds_since(start);
    positions_.clear();
    run.ceiling = (before + look()) / 2;
    run.share = run.totals.cost.operations / run.ceiling / run.totals.seconds;
  }
  summarise(runs, result);
  return result;
}

ModelBench::Totals ModelBench::fill(int64_t sequences, int64_t prompt_tokens, int64_t new_tokens) {
  Totals totals;
  engine_.skip_prompts(options_.skip_prompts);
  for (int64_t i = 0; i < sequences; ++i) submit(prompt_tokens, new_tokens, 1000 + static_cast<uint64_t>(i));
  const Clock::time_point start = Clock::now();
  while (static_cast<int64_t>(positions_.size()) < sequences) {
    StepRecord record;
    step(record);
    totals.add(record);
  }
  totals.seconds = seconds_since(start);
  engine_.skip_prompts(false);
  for (auto& [id, known] : positions_) known += prompt_tokens;
  return totals;
}

ModelBench::Totals ModelBench::run_steps(int64_t count, bool count_experts) {
  Totals totals;
  const Clock::time_point start = Clock::now();
  for (int64_t i = 0; i < count; ++i) {
    StepRecord record{.count_experts = count_experts};
    step(record);
    GOSSAMER_CHECK_EQ(record.num_tokens, static_cast<int64_t>(positions_.size()));
    totals.add(record);
  }
  totals.seconds = seconds_since(start);
  return totals;
}

void ModelBench::end_requests() {
  for (const auto& [id, known] : positions_) engine_.cancel(id);
  while (!engine_.idle()) engine_.step();
  positions_.clear();
}

ModelResult ModelBench::decode(int64_t sequences, int64_t depth) {
  ModelResult result{.tokens = options_.new_tokens,
                     .sequences = sequences,
                     .depth = depth,
                     .prompt_tokens = prompt_of(depth)};
  const Totals filled =
      fill(sequences, result.prompt_tokens, tokens_to_decode(options_, sequences, result.prompt_tokens) + 1);
  result.fill_seconds = filled.seconds;
  result.fill_forward_seconds = filled.record.forward_seconds;
  const auto look = [&] { return memory_.measure(pool_, 1, kLookSeconds); };
  std::vector<Run> runs;
  for (int64_t repeat = 0; repeat < options_.repeat; ++repeat) {
    // Each run goes on where the last one stopped: one prompt serves them all, and the bytes are counted for
    // the positions that a run really has.
    const double experts = run_steps(kCountedSteps, true).experts_touched / kCountedSteps;
    std::vector<TokenSpan> spans = next_spans();
    Run& run = runs.emplace_back();
    const double before = look();
    run.totals = run_steps(options_.new_tokens, false);
    run.ceiling = (before + look()) / 2;
    run.totals.experts_touched = experts * static_cast<double>(options_.new_tokens);
    for (int64_t i = 0; i < options_.new_tokens; ++i) {
      run.totals.add(cost_.cost({.sequences = spans, .logit_rows = sequences, .experts_touched = experts}));
      for (TokenSpan& span : spans) span = {.begin = span.begin + 1, .end = span.end + 1};
    }
    run.share = run.totals.cost.bytes() / run.ceiling / run.totals.seconds;
  }
  end_requests();
  summarise(runs, result);
  return result;
}

void ModelBench::summarise(const std::vector<Run>& runs, ModelResult& result) const {
  const auto over_runs = [&](auto value) {
    std::vector<double> values;
    values.reserve(runs.size());
    for (const Run& run : runs) values.push_back(value(run));
    return spread(values);
  };
  const auto per_step = [&](auto value) {
    return over_runs([&](const Run& run) { return value(run.totals) / run.totals.steps; }).median;
  };
  result.steps_per_run = runs.front().totals.steps;
  result.tokens_per_s = over_runs([](const Run& run) { return run.totals.tokens / run.totals.seconds; });
  result.share_of_limit = over_runs([](const Run& run) { return run.share; });
  result.ceiling = over_runs([](const Run& run) { return run.ceiling; });
  result.operations_per_token =
      over_runs([](const Run& run) { return run.totals.cost.operations / run.totals.tokens; }).median;
  result.cost = {.weight_bytes = per_step([](const Totals& totals) { return totals.cost.weight_bytes; }),
                 .kv_read_bytes = per_step([](const Totals& totals) { return totals.cost.kv_read_bytes; }),
                 .kv_write_bytes = per_step([](const Totals& totals) { return totals.cost.kv_write_bytes; }),
                 .operations = per_step([](const Totals& totals) { return totals.cost.operations; })};
  result.experts_per_layer =
      per_step([](const Totals& totals) { return totals.experts_touched; }) / engine_.info().num_layers;
  result.prepare_seconds = per_step([](const Totals& totals) { return totals.record.prepare_seconds; });
  result.forward_seconds = per_step([](const Totals& totals) { return totals.record.forward_seconds; });
  result.finish_seconds = per_step([](const Totals& totals) { return totals.record.finish_seconds; });
}

}  // namespace gossamer::apps
