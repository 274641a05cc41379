// What operations cannot avoid, in bytes and in floating-point operations: what the engine's CostModel adds
// up before anything runs (engine/step_cost.h), and what a profile says of operations as they run.
//
// Bytes are those of weights, keys and values: what memory must give. Activations are counted apart, because
// they mostly stay in caches. A multiplication and an addition are two operations; only products and
// attention have any.
#pragma once

#include <cstdint>

#include "backend/backend.h"

namespace gossamer {

// Tokens [begin, end) of one sequence, by position.
struct TokenSpan {
  int64_t begin = 0;
  int64_t end = 0;
};

// Keys that the tokens of a span see, summed over its tokens. `window` as in AttentionParams.
double seen_keys(const TokenSpan& span, int window);
// Positions whose keys and values the span must read, its own included.
double read_positions(const TokenSpan& span, int window);
// Keys and values of one position of one layer. Of `config` the kinds do not matter.
double kv_position_bytes(const KvPoolConfig& config);

// One token's product with [rows, cols].
constexpr double product_flops(int64_t rows, int64_t cols) {
  return 2.0 * static_cast<double>(rows) * static_cast<double>(cols);
}
// Each key costs a dot product with the query and a sum into the output, per head.
constexpr double attention_flops(const AttentionParams& params, double num_keys) {
  return 4.0 * params.num_heads * params.head_dim * num_keys;
}

// Different experts of one layer that `num_tokens` tokens choose, when each does so evenly and independently:
// E (1 - (1 - k / E)^n).
double expected_experts(int64_t num_experts, int64_t num_experts_per_token, int64_t num_tokens);

// Bytes that a step reads of a prepared weight: of its copies it reads one.
constexpr double copy_bytes(std::size_t prepared_bytes, int weight_copies) {
  return static_cast<double>(prepared_bytes) / weight_copies;
}

}  // namespace gossamer
