#include "apps/run/timed_batch.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "apps/session.h"
#include "base/error.h"

namespace gossamer::apps {

double TimedBatch::first_forward_seconds() const {
  double sum = 0.0;
  for (const TimedStep& step : steps) sum += step.in_first_phase ? step.record.forward_seconds : 0.0;
  return sum;
}

StepRecord TimedBatch::mean_next() const {
  const auto is_next = [](const TimedStep& step) { return !step.in_first_phase; };
  const auto is_whole = [&](const TimedStep& step) {
    return is_next(step) && step.record.num_tokens == static_cast<int64_t>(sequences.size());
  };
  const bool any_whole = std::any_of(steps.begin(), steps.end(), is_whole);
  StepRecord mean;
  double count = 0.0;
  for (const TimedStep& step : steps) {
    if (any_whole ? !is_whole(step) : !is_next(step)) continue;
    mean.prepare_seconds += step.record.prepare_seconds;
    mean.forward_seconds += step.record.forward_seconds;
    mean.finish_seconds += step.record.finish_seconds;
    ++count;
  }
  if (count == 0.0) return mean;
  mean.prepare_seconds /= count;
  mean.forward_seconds /= count;
  mean.finish_seconds /= count;
  return mean;
}

TimedBatch run_timed_batch(Engine& engine, std::vector<Request> requests) {
  TimedBatch batch;
  batch.sequences.resize(requests.size());
  std::unordered_map<RequestId, std::size_t> index_of;
  const Clock::time_point start = Clock::now();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const Result<RequestId> id = engine.submit(std::move(requests[i]));
    if (!id.ok()) throw Error("prompt {}: {}", i, id.error().message);
    index_of[id.value()] = i;
  }
  std::size_t num_begun = 0;  // have their first token
  while (!engine.idle()) {
    TimedStep step{.in_first_phase = num_begun < batch.sequences.size(), .record = {}};
    const std::vector<Output> outputs = engine.step(&step.record);
    for (const Output& output : outputs) {
      const std::size_t index = index_of.at(output.id);
      TimedBatch::Sequence& sequence = batch.sequences[index];
      if (output.finish_reason == FinishReason::kError) throw Error("prompt {}: {}", index, output.error);
      if (output.token) {
        num_begun += sequence.tokens.empty() ? 1U : 0U;
        sequence.tokens.push_back(*output.token);
        batch.seconds = seconds_since(start);
      }
      if (output.finish_reason) sequence.stopped = output.finish_reason == FinishReason::kStop;
    }
    if (step.record.num_tokens > 0) batch.steps.push_back(step);
  }
  return batch;
}

}  // namespace gossamer::apps
