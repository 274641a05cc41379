// Speculation without a second model: what followed the last tokens when they came before is guessed to
// follow again (prompt lookup; Saxena 2023, github.com/apoorvumang/prompt-lookup-decoding). The engine
// verifies a draft in one forward pass, and since a token's bits depend on its own sequence alone, the output
// is what plain decoding gives. A draft model would fill Sequence::draft in the same place.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace gossamer {

// Where the last few tokens of a growing sequence came before.
class NgramIndex {
 public:
  // The tokens, at most `count`, that followed the latest earlier occurrence of the last kNgramTokens of
  // `tokens`; empty where there is none. `tokens` has only grown since the call before.
  std::vector<int32_t> propose(std::span<const int32_t> tokens, int count);

  static constexpr int64_t kNgramTokens = 3;

 private:
  std::size_t slot_of(std::span<const int32_t> tokens, int64_t end) const;
  void insert(std::span<const int32_t> tokens, int64_t end);

  // Open addressing: the end (one beyond the last token) of the latest occurrence of an n-gram; 0: empty. At
  // most half full.
  std::vector<int32_t> ends_;
  int64_t num_indexed_ = 0;  // n-grams that end at or before here are in
  int64_t num_used_ = 0;
};

// How many tokens a sequence's drafts have: more while they are accepted, none for a while when they are not,
// so that a text which never repeats itself pays for a draft in every 64 steps.
class DraftLength {
 public:
  // For the next step, at most `most`.
  int next(int most);
  void observe(int64_t num_drafted, int64_t num_accepted);

 private:
  int length_ = 2;
  int wait_ = 4;  // steps to sit out after the next failure, doubled first
  int sit_out_ = 0;
};

// Whether drafts pay on this machine at this load: a small model computes a draft's tokens one after the
// other, so to speak, and a large one gets them for the price of reading its weights once.
class DraftGain {
 public:
  // Asked once a step.
  bool pays();
  // A step in which `num_sequences` decoded, together with `num_drafted` tokens of drafts, and gave
  // `num_new`.
  void observe(int64_t num_sequences, int64_t num_drafted, int64_t num_new, double seconds);

 private:
  static constexpr int kSizes = 16;             // powers of two of sequences, which cost alike
  std::array<double, kSizes> plain_seconds_{};  // of a step without drafts; 0: not known
  double gain_ = 1.0;  // how much faster tokens come with drafts, averaged over the last few steps with them
  int sit_out_ = 0;
};

}  // namespace gossamer
