// Scheduler: pure policy. Who runs how many tokens in the next step, from queues and limits alone; no device,
// no pages.
#pragma once

#include <cstdint>
#include <vector>

namespace gossamer {

// What the scheduler sees of a sequence, in order of arrival.
struct ScheduledSequence {
  int64_t num_computed = 0;  // tokens in the KV cache
  int64_t num_known = 0;     // prompt and sampled tokens: num_known - num_computed are to be run
  bool admitted = false;     // its pages are promised
  bool wants_all_logits = false;
};

// Plain data that rank 0 could hand to the others.
struct StepPlan {
  struct Entry {
    int64_t index = 0;       // into the list given to plan_step
    int64_t num_tokens = 0;  // from num_computed on
  };
  std::vector<Entry> entries;
};

struct SchedulerLimits {
  int64_t max_batched_tokens = 0;
  int64_t max_num_seqs = 0;
  int64_t max_logit_rows = 0;
  int64_t chunk_tokens = 0;
};

// First the sequences that decode, one token each, then prompts in order of arrival in chunks, while the
// budget of tokens, sequences and logit rows lasts. A long prompt never stalls the decoding ones beyond its
// chunk.
StepPlan plan_step(const std::vector<ScheduledSequence>& sequences, const SchedulerLimits& limits);

}  // namespace gossamer
