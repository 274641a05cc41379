#include "backend/cpu/scratch.h"

#include <algorithm>

#include "backend/cpu/kernel_table.h"

namespace gossamer::cpu {
namespace {

constexpr std::size_t kAlignment = 64;

std::size_t aligned(std::size_t size) { return (size + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

ScratchLayout::ScratchLayout(const StepLimits& limits, int num_threads) {
  const int64_t tokens = limits.max_tokens;
  const int64_t slots = tokens * limits.num_experts_per_token;
  const int64_t cols = std::max({limits.max_cols, limits.hidden_dim, limits.ffn_dim});
  const int64_t threads = num_threads;
  const auto take = [this](Region& region, int64_t num_elements, int64_t element_bytes) {
    region = {total, static_cast<std::size_t>(num_elements * element_bytes)};
    total += aligned(region.size);
  };
  // Every product's input, experts' included.
  const int64_t groups =
      std::max(tokens * groups_of(cols), slots * groups_of(std::max(limits.hidden_dim, limits.ffn_dim)));
  take(arranged, groups * kGroupCols, 4);
  take(group_scales, groups, 4);
  take(group_sums, groups, 4);
  take(token_sequence, tokens, 4);
  take(query_tiles, tokens, 12);
  take(rope, tokens * limits.head_dim, 4);
  take(expert_x, slots * limits.hidden_dim, 4);
  take(expert_gate_up, slots * 2 * limits.ffn_dim, 4);
  take(expert_h, slots * limits.ffn_dim, 4);
  take(expert_down, slots * limits.hidden_dim, 4);
  take(slot_order, slots, 4);
  take(slot_row, slots, 4);
  take(expert_begin, limits.num_experts + 1, 4);
  take(active_experts, limits.num_experts, 4);
  const int64_t rows_per_product = std::max(tokens, slots);
  sums_stride = aligned(static_cast<std::size_t>((rows_per_product + 31) / 32 * 32 * kPanelRows * 4));
  take(thread_sums, threads, static_cast<int64_t>(sums_stride));
  take(thread_slab, threads, kSlabBytes);
  attention_stride = aligned(static_cast<std::size_t>(std::max(kQueryRows, limits.num_heads) *
                                                      attention_row_floats(limits.head_dim) * 4));
  take(thread_attention, threads, static_cast<int64_t>(attention_stride));
  take(attention_partials, span_rows(threads) * (limits.max_positions / kSpanKeys + 1),
       attention_partial_floats(limits.head_dim) * 4);
}

}  // namespace gossamer::cpu
