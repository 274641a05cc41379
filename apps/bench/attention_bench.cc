#include "apps/bench/attention_bench.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/half.h"
#include "checkpoint/synth_pools.h"

namespace gossamer::apps {

AttentionBench::AttentionBench(Backend& backend, const Shape& shape, DType kv, DType activation,
                               std::size_t least_bytes, int64_t max_tokens)
    : backend_(backend), shape_(shape), activation_(activation) {
  backend.reserve({.max_tokens = max_tokens,
                   .max_sequences = 1,
                   .max_positions = shape.depth,
                   .max_cols = row(),
                   .num_heads = shape.num_heads,
                   .head_dim = shape.head_dim});
  const int64_t num_pages = (shape.depth + kPageTokens - 1) / kPageTokens;
  KvPoolConfig config{.kinds = {{.num_layers = 1, .num_pages = num_pages}},
                      .num_kv_heads = shape.num_kv_heads,
                      .head_dim = shape.head_dim,
                      .dtype = kv};
  const std::size_t layer_bytes = KvPool::page_bytes(config) * static_cast<std::size_t>(num_pages);
  num_layers_ = static_cast<int>(std::max<std::size_t>(1, (least_bytes + layer_bytes - 1) / layer_bytes));
  config.kinds[0].num_layers = num_layers_;
  pool_ = backend.create_kv_pool(config);
  qkv_ = backend.allocate(static_cast<std::size_t>(max_tokens * row()) * sizeof(float));
  out_ = backend.allocate(static_cast<std::size_t>(max_tokens * shape.num_heads * shape.head_dim) *
                          dtype_size(activation));
  batch_.page_tables.resize(1);
  batch_.page_tables[0].pages.resize(static_cast<std::size_t>(num_pages));
  std::iota(batch_.page_tables[0].pages.begin(), batch_.page_tables[0].pages.end(), 0);
  batch_.page_tables[0].offsets = {0, static_cast<int32_t>(num_pages)};
  for (int64_t first = 0; first < shape.depth; first += max_tokens) {
    const int64_t tokens = std::min(max_tokens, shape.depth - first);
    begin(first, tokens);
    const Tensor numbers = qkv(first, tokens);
    for (int layer = 0; layer < num_layers_; ++layer) {
      backend.rope_kv_write(batch_, numbers, params(), {}, *pool_, {.kind = 0, .index = layer});
    }
  }
}

void AttentionBench::run(int64_t tokens, int call) {
  begin(shape_.depth - tokens, tokens);
  backend_.attention(batch_, qkv_.view(DType::kF32, {tokens, row()}), params(), *pool_,
                     {.kind = 0, .index = call % num_layers_},
                     out_.view(activation_, {tokens, int64_t{shape_.num_heads} * shape_.head_dim}));
}

std::vector<float> AttentionBench::result(int64_t tokens) {
  qkv(shape_.depth - tokens, tokens);
  run(tokens, 0);
  std::vector<float> numbers(static_cast<std::size_t>(tokens * shape_.num_heads * shape_.head_dim));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = activation_ == DType::kF32 ? static_cast<const float*>(out_.data())[i]
                                            : bf16_to_float(static_cast<const uint16_t*>(out_.data())[i]);
  }
  return numbers;
}

double AttentionBench::bytes() const {
  return static_cast<double>(2 * shape_.depth * shape_.num_kv_heads) *
         static_cast<double>(KvPool::vector_bytes(pool_->config()));
}

double AttentionBench::operations(int64_t tokens) const {
  const double keys =
      static_cast<double>(tokens) * (static_cast<double>(shape_.depth) - static_cast<double>(tokens - 1) / 2);
  return 4.0 * keys * shape_.num_heads * shape_.head_dim;
}

int64_t AttentionBench::row() const {
  return int64_t{shape_.num_heads + 2 * shape_.num_kv_heads} * shape_.head_dim;
}

void AttentionBench::begin(int64_t first, int64_t tokens) {
  batch_.ids.assign(static_cast<std::size_t>(tokens), 0);
  batch_.positions.resize(static_cast<std::size_t>(tokens));
  std::iota(batch_.positions.begin(), batch_.positions.end(), static_cast<int32_t>(first));
  batch_.sequence_offsets = {0, static_cast<int32_t>(tokens)};
  backend_.begin_step(batch_);
}

Tensor AttentionBench::qkv(int64_t first, int64_t tokens) {
  auto* numbers = static_cast<float*>(qkv_.data());
  for (int64_t i = 0; i < tokens * row(); ++i) {
    const uint64_t bits = synth_mix(static_cast<uint64_t>(first * row() + i));
    numbers[i] = static_cast<float>(bits >> 40) * 0x1p-22F - 2.0F;  // [-2, 2)
  }
  return qkv_.view(DType::kF32, {tokens, row()});
}

AttentionParams AttentionBench::params() const {
  return {.num_heads = shape_.num_heads,
          .num_kv_heads = shape_.num_kv_heads,
          .head_dim = shape_.head_dim,
          .scale = 1.0F / std::sqrt(static_cast<float>(shape_.head_dim))};
}

}  // namespace gossamer::apps
