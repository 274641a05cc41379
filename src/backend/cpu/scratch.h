// Where the CPU backend's scratch lies: one buffer for everything a step writes besides its tensors, sized
// once from StepLimits, so that a step never allocates.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/backend.h"
#include "tensor/tensor.h"

namespace gossamer::cpu {

// Queries that share a kv head and are computed together: tokens times heads, more only when a single token
// has more heads than this.
constexpr int64_t kQueryRows = 32;

// Rows of attention whose spans may be shared by threads. A row for each thread would do; where there are
// more queries than this, threads have enough to do without.
constexpr int64_t span_rows(int64_t num_threads) { return num_threads * 16; }

struct ScratchLayout {
  struct Region {
    std::size_t offset = 0;
    std::size_t size = 0;  // bytes

    template <typename T>
    T* in(const Buffer& buffer) const {
      return reinterpret_cast<T*>(static_cast<std::byte*>(buffer.data()) + offset);
    }
  };

  Region arranged;            // [rows, cols in whole groups] of 4 bytes: activations as a kernel wants them
  Region group_scales;        // f32 [rows, groups of cols]: of activations as integers
  Region group_sums;          // i32 [rows, groups of cols]
  Region token_sequence;      // i32 [max_tokens]
  Region query_tiles;         // [max_tokens] of three i32
  Region rope;                // f32 [2, max_tokens, head_dim / 2]
  Region expert_x;            // activation [slots, hidden_dim]
  Region expert_gate_up;      // f32 [slots, 2 * ffn_dim]
  Region expert_h;            // activation [slots, ffn_dim]
  Region expert_down;         // f32 [slots, hidden_dim]
  Region slot_order;          // i32 [slots]: grouped row -> slot
  Region slot_row;            // i32 [slots]: slot -> grouped row
  Region expert_begin;        // i32 [num_experts + 1]: first grouped row of each expert
  Region active_experts;      // i32 [num_experts]
  Region thread_sums;         // [num_threads]: a panel's sums of all tokens
  Region thread_slab;         // [num_threads, kSlabBytes]: a piece of a panel, decoded
  Region thread_attention;    // [num_threads]: attention's rows
  Region attention_partials;  // [span_rows, spans of max_positions]: what a span leaves of a row
  std::size_t sums_stride = 0;
  std::size_t attention_stride = 0;
  std::size_t total = 0;

  ScratchLayout() = default;
  ScratchLayout(const StepLimits& limits, int num_threads);
};

}  // namespace gossamer::cpu
