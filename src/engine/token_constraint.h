// TokenConstraint: what may come next in a sequence, for constrained decoding (legal Harmony headers, tool
// arguments and answers by a JSON schema). The engine knows token ids only; grammars live above it.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace gossamer {

// One bit for each token id, in words of 64: bit (id % 64) of word (id / 64).
using TokenMask = std::span<uint64_t>;

inline bool is_allowed(std::span<const uint64_t> mask, int32_t id) {
  return (mask[static_cast<std::size_t>(id) / 64] >> (static_cast<std::size_t>(id) % 64) & 1) != 0;
}

// Whether `mask` leaves a token that is none of `ids`.
inline bool allows_other(std::span<const uint64_t> mask, std::span<const int32_t> ids) {
  for (std::size_t word = 0; word < mask.size(); ++word) {
    uint64_t bits = mask[word];
    for (const int32_t id : ids) {
      if (static_cast<std::size_t>(id) / 64 == word) bits &= ~(uint64_t{1} << (id % 64));
    }
    if (bits != 0) return true;
  }
  return false;
}

// Tokens that speculation looks ahead, at most.
inline constexpr std::size_t kMaxLookAhead = 64;

// Belongs to one sequence. Called on a thread of the engine's own, one call at a time, while the forward pass
// that gives the logits runs.
class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;

  // Sets in `mask`, which comes with every bit zero, the tokens that may follow `output` (all that the
  // sequence has given so far, forced tokens included). From call to call `output` grows, or loses some of
  // its last tokens and goes on in another way (drafts that were not sampled, at most kMaxLookAhead of them):
  // what an implementation found out about its beginning may be kept. Returns an empty string, or what is
  // wrong: the request then ends with kError.
  virtual std::string fill_mask(std::span<const int32_t> output, TokenMask mask) = 0;

  // False where anything may follow, which spares the mask (free text before a grammar begins).
  virtual bool is_active(std::span<const int32_t> output) const = 0;
};

}  // namespace gossamer
