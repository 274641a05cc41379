// ForwardBatch: one step's tokens, flattened. Plain data that the engine fills and passes down; it could
// travel over a wire. A backend copies what its device needs in Backend::begin_step.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gossamer {

// Tokens of one page of the KV cache. Attention walks keys in segments of this size, aligned to absolute
// positions, which is part of the numerics contract: a token's bits do not depend on which pages its sequence
// lies in.
inline constexpr int kPageTokens = 32;

// Which pages hold the keys and values of each sequence, for one attention kind (KvPoolConfig::kinds).
struct PageTables {
  std::vector<int32_t> pages;  // page of positions [i * kPageTokens, (i + 1) * kPageTokens); -1: not resident
                               // (outside the window)
  std::vector<int32_t> offsets;  // [num_sequences + 1]: sequence s has pages[offsets[s] .. offsets[s + 1])

  std::span<const int32_t> of(int64_t sequence) const {
    const auto begin = static_cast<std::size_t>(offsets[static_cast<std::size_t>(sequence)]);
    const auto end = static_cast<std::size_t>(offsets[static_cast<std::size_t>(sequence) + 1]);
    return {pages.data() + begin, end - begin};
  }
};

struct ForwardBatch {
  std::vector<int32_t> ids;               // [num_tokens], sequence after sequence
  std::vector<int32_t> positions;         // [num_tokens], consecutive within a sequence
  std::vector<int32_t> sequence_offsets;  // [num_sequences + 1] into ids: sequence s has tokens [s], [s + 1)
  std::vector<PageTables> page_tables;    // one per attention kind
  std::vector<int32_t> logit_rows;        // tokens whose logits are wanted, ascending

  int64_t num_tokens() const { return static_cast<int64_t>(ids.size()); }
  int64_t num_sequences() const { return static_cast<int64_t>(sequence_offsets.size()) - 1; }
};

}  // namespace gossamer
