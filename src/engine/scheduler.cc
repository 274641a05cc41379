#include "engine/scheduler.h"

#include <algorithm>

namespace gossamer {

StepPlan plan_step(const std::vector<ScheduledSequence>& sequences, const SchedulerLimits& limits) {
  StepPlan plan;
  int64_t tokens_left = limits.max_batched_tokens;
  int64_t logit_rows_left = limits.max_logit_rows;
  const auto schedule = [&](bool decoding) {
    for (std::size_t index = 0; index < sequences.size(); ++index) {
      const ScheduledSequence& sequence = sequences[index];
      const int64_t to_run = sequence.num_known - sequence.num_computed;
      if (!sequence.admitted || to_run == 0 || (to_run == 1) != decoding) continue;
      int64_t num_tokens = std::min({to_run, limits.chunk_tokens, tokens_left});
      if (sequence.wants_all_logits) num_tokens = std::min(num_tokens, logit_rows_left);
      if (num_tokens <= 0 || logit_rows_left <= 0) continue;
      if (static_cast<int64_t>(plan.entries.size()) == limits.max_num_seqs) return;
      plan.entries.push_back({.index = static_cast<int64_t>(index), .num_tokens = num_tokens});
      tokens_left -= num_tokens;
      logit_rows_left -= sequence.wants_all_logits ? num_tokens : 1;
    }
  };
  schedule(true);
  schedule(false);
  // Sequences keep their order of arrival inside a step.
  std::sort(plan.entries.begin(), plan.entries.end(),
            [](const StepPlan::Entry& a, const StepPlan::Entry& b) { return a.index < b.index; });
  return plan;
}

}  // namespace gossamer
