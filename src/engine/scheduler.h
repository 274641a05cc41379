// Scheduler: pure policy. Who runs how many tokens in the next step, from queues, pages and limits alone; no
// device. Every step mixes sequences that decode with chunks of prompts. Called by the engine, and by tests
// without one.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "engine/kv_pages.h"
#include "engine/sequence.h"

namespace gossamer {

struct SchedulerLimits {
  int64_t max_batched_tokens = 0;  // of a step
  int64_t max_num_seqs = 0;        // that run at once
  int64_t max_logit_rows = 0;      // of a step; at least max_num_seqs
  int64_t chunk_tokens = 0;        // of one prompt in a step
};

struct StepPlan {
  struct Entry {
    Sequence* sequence = nullptr;
    int64_t num_tokens = 0;  // from num_computed on, drafts included
    int64_t num_drafts = 0;  // how many of them are Sequence::draft
  };
  std::vector<Entry> entries;  // in order of rank
};

class Scheduler {
 public:
  // `pages` outlives this. Each kind has at least the pages that one sequence of the greatest length needs.
  Scheduler(const SchedulerLimits& limits, KvPages& pages) : limits_(limits), pages_(pages) {}

  // A sequence that waits to run. It stays at its address until remove().
  void add(Sequence& sequence) { waiting_.insert(&sequence); }
  // One that waits or runs; its pages are let go.
  void remove(Sequence& sequence);

  // Chooses the next step and makes its positions resident. Sequences that decode come first, one token each
  // and their drafts; then prompts in order of rank, in chunks, while the budget of tokens and logit rows
  // lasts; then those that wait, while their pages are there. Where pages run out, the youngest gives its own
  // away and computes again later, so that the oldest always gets on.
  StepPlan plan();

  // `num_tokens` more of the sequence's tokens have been computed.
  void commit(Sequence& sequence, int64_t num_tokens);

  const std::vector<Sequence*>& running() const { return running_; }  // in order of rank
  int64_t num_waiting() const { return static_cast<int64_t>(waiting_.size()); }
  int64_t num_preemptions() const { return num_preemptions_; }

 private:
  struct Budget {
    int64_t tokens = 0;
    int64_t logit_rows = 0;
    int64_t drafts = 0;
  };
  struct ByRank {
    bool operator()(const Sequence* a, const Sequence* b) const { return a->rank < b->rank; }
  };

  void schedule(Sequence& sequence, StepPlan& plan, Budget& budget);
  bool make_resident(Sequence& sequence, int64_t num_tokens, StepPlan& plan, Budget& budget);
  void preempt(Sequence& sequence);
  void admit(StepPlan& plan, Budget& budget);
  bool begin(Sequence& sequence);
  void skip_prompt(Sequence& sequence);
  bool waits_for_prefix(const Sequence& sequence) const;
  std::vector<int64_t> pages_still_needed() const;

  SchedulerLimits limits_;
  KvPages& pages_;
  std::vector<Sequence*> running_;
  std::set<Sequence*, ByRank> waiting_;
  // The sequence that was refused for want of pages: looked at again when so many are there, or after
  // kRetrySteps, when more of its prefix may be.
  struct Refused {
    const Sequence* sequence = nullptr;
    std::vector<int64_t> needed;  // [kind] available and not promised to others
    int steps = 0;
  };
  Refused refused_;
  int64_t num_preemptions_ = 0;
};

}  // namespace gossamer
