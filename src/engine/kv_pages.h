// KvPages: who owns which page of the KV cache, in integers only (the memory is backend/kv_pool.h). One free
// list per attention kind. A sequence's worst need is promised when it is admitted, so that it can never run
// out half-way.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/kv_pool.h"

namespace gossamer {

// Pages of one sequence: for each kind, the page of every kPageTokens positions so far; -1 where the window
// has passed.
struct SequencePages {
  std::vector<std::vector<int32_t>> by_kind;
  std::vector<int64_t> promised;  // [kind] pages this sequence may hold at once
};

class KvPages {
 public:
  // `chunk_tokens`: the most tokens of one sequence in a step, which a window layer holds beyond its window.
  KvPages(std::vector<KvKind> kinds, int64_t chunk_tokens);

  // Pages of one kind that a sequence of `num_tokens` holds at most at once.
  static int64_t pages_needed(const KvKind& kind, int64_t num_tokens, int64_t chunk_tokens);

  // Promises enough for a sequence that grows to `num_tokens`; false when that would overcommit.
  bool admit(int64_t num_tokens, SequencePages& sequence);

  // Makes positions [begin, end) resident; within the promise.
  void extend(SequencePages& sequence, int64_t begin, int64_t end);

  // Frees the pages that no token from `position` on can see.
  void slide(SequencePages& sequence, int64_t position);

  // Gives everything back.
  void release(SequencePages& sequence);

  // Free pages of a kind, promised or not.
  int64_t num_free(int kind) const {
    return static_cast<int64_t>(free_[static_cast<std::size_t>(kind)].size());
  }

  // Every page is free or owned by exactly one of `sequences`, and promises add up. Aborts otherwise; for
  // tests and debug builds.
  void check_integrity(const std::vector<const SequencePages*>& sequences) const;

 private:
  std::vector<KvKind> kinds_;
  int64_t chunk_tokens_;
  std::vector<std::vector<int32_t>> free_;  // [kind] a stack
  std::vector<int64_t> promised_;           // [kind]
};

}  // namespace gossamer
