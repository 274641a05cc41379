// Rotary embedding, the key-value cache's layout on this backend, and attention's tasks.
//
// A page holds, per kv head, its keys transposed [head_dim, kPageTokens], so that a vector register holds one
// dimension of several keys, and its values [kPageTokens, head_dim]; an int8 page ends with their scales.
// bf16 lies in pairs (bf16_key_at, bf16_value_at): of dimensions of a key, of keys in the values.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "backend/cpu/cpu_backend.h"
#include "base/check.h"
#include "base/half.h"
#include "tensor/quantize.h"

namespace gossamer::cpu {
namespace {

static_assert(kSegmentKeys == kPageTokens);

constexpr int64_t kRopeTokensPerTask = 16;
// With fewer tasks a thread than this, threads share the spans of long sequences.
constexpr int64_t kTasksToShareSpans = 2;

KvNumbers kv_numbers(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return KvNumbers::kF32;
    case DType::kBf16:
      return KvNumbers::kBf16;
    case DType::kF16:
      return KvNumbers::kF16;
    case DType::kI8:
      return KvNumbers::kInt8;
    default:
      GOSSAMER_CHECK(false);
  }
}

// Bytes of the keys, or the values, of one head in a page.
int64_t kv_head_bytes(const KvPoolConfig& config) {
  return int64_t{config.head_dim} * kPageTokens * static_cast<int64_t>(dtype_size(config.dtype));
}
// Where the scales of an int8 page begin.
int64_t kv_scales_at(const KvPoolConfig& config) { return 2 * config.num_kv_heads * kv_head_bytes(config); }

// Number i of x goes to element at(i) of `base`.
template <typename At>
void put_kv(std::byte* base, DType dtype, const float* x, int64_t count, uint16_t* scale, At at) {
  switch (dtype) {
    case DType::kF32:
      for (int64_t i = 0; i < count; ++i) reinterpret_cast<float*>(base)[at(i)] = x[i];
      return;
    case DType::kBf16:
      for (int64_t i = 0; i < count; ++i) reinterpret_cast<uint16_t*>(base)[at(i)] = float_to_bf16(x[i]);
      return;
    case DType::kF16:
      for (int64_t i = 0; i < count; ++i) reinterpret_cast<uint16_t*>(base)[at(i)] = float_to_f16(x[i]);
      return;
    case DType::kI8: {
      std::array<int8_t, kMaxInt8HeadDim> codes;
      *scale = quantize_kv(x, count, codes.data());
      for (int64_t i = 0; i < count; ++i) {
        reinterpret_cast<int8_t*>(base)[at(i)] = codes[static_cast<std::size_t>(i)];
      }
      return;
    }
    default:
      GOSSAMER_CHECK(false);
  }
}

// x[i], x[i + half] rotated by the angle of i.
void rotate(float* x, int64_t half, const float* cosines, const float* sines) {
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[i];
    const float b = x[i + half];
    x[i] = a * cosines[i] - b * sines[i];
    x[i + half] = b * cosines[i] + a * sines[i];
  }
}

}  // namespace

const float* CpuBackend::rope_table(const ForwardBatch& batch, const Rope& rope) {
  const auto half = static_cast<int64_t>(rope.inv_freq.size());
  const int64_t num_tokens = batch.num_tokens();
  auto* cosines = layout_.rope.in<float>(scratch_);
  if (rope_.valid && rope_.scale == rope.scale && rope_.inv_freq == rope.inv_freq) return cosines;
  GOSSAMER_CHECK_LE(static_cast<std::size_t>(2 * num_tokens * half) * sizeof(float), layout_.rope.size);
  for_each_row(num_tokens, half * 16, [&](int64_t token) {
    for (int64_t i = 0; i < half; ++i) {
      const float angle = static_cast<float>(batch.positions[static_cast<std::size_t>(token)]) *
                          rope.inv_freq[static_cast<std::size_t>(i)];
      cosines[token * half + i] = static_cast<float>(std::cos(double{angle})) * rope.scale;
      cosines[(num_tokens + token) * half + i] = static_cast<float>(std::sin(double{angle})) * rope.scale;
    }
  });
  rope_.inv_freq = rope.inv_freq;
  rope_.scale = rope.scale;
  rope_.valid = true;
  return cosines;
}

void CpuBackend::do_rope_kv_write(const ForwardBatch& batch, const Tensor& qkv, const AttentionParams& params,
                                  const Rope& rope, KvPool& pool, KvLayer layer) {
  const int64_t num_tokens = batch.num_tokens();
  const int64_t head_dim = params.head_dim;
  const int64_t num_rotated = params.num_heads + params.num_kv_heads;
  const int64_t stride = (num_rotated + params.num_kv_heads) * head_dim;
  const auto half = static_cast<int64_t>(rope.inv_freq.size());
  const float* cosines = half > 0 ? rope_table(batch, rope) : nullptr;
  const DType dtype = pool.config().dtype;
  const int64_t head_bytes = kv_head_bytes(pool.config());
  const auto* sequences = layout_.token_sequence.in<int32_t>(scratch_);
  const PageTables& tables = batch.page_tables[static_cast<std::size_t>(layer.kind)];

  const auto one_token = [&](int64_t token) {
    float* row = qkv.as<float>() + token * stride;
    if (half > 0) {
      for (int64_t head = 0; head < num_rotated; ++head) {
        rotate(row + head * head_dim, half, cosines + token * half, cosines + (num_tokens + token) * half);
      }
    }
    const int64_t position = batch.positions[static_cast<std::size_t>(token)];
    const auto pages = tables.of(sequences[token]);
    const auto page_index = static_cast<std::size_t>(position / kPageTokens);
    GOSSAMER_CHECK_LT(page_index, pages.size());
    if (pages[page_index] < 0) return;  // outside the window already: nobody will look
    const int64_t slot = position % kPageTokens;
    std::byte* page = pool.page(layer, pages[page_index]);
    for (int64_t head = 0; head < params.num_kv_heads; ++head) {
      const float* k = row + (params.num_heads + head) * head_dim;
      const float* v = row + (num_rotated + head) * head_dim;
      std::byte* keys = page + head * head_bytes;
      std::byte* values = page + (params.num_kv_heads + head) * head_bytes;
      auto* key_scale =
          reinterpret_cast<uint16_t*>(page + kv_scales_at(pool.config())) + head * kPageTokens + slot;
      uint16_t* value_scale = key_scale + params.num_kv_heads * kPageTokens;
      const bool pairs = dtype == DType::kBf16;
      put_kv(keys, dtype, k, head_dim, key_scale, [=](int64_t dim) {
        return pairs ? bf16_key_at(slot, dim, head_dim) : dim * kPageTokens + slot;
      });
      put_kv(values, dtype, v, head_dim, value_scale,
             [=](int64_t dim) { return pairs ? bf16_value_at(slot, dim, head_dim) : slot * head_dim + dim; });
    }
  };
  pool_.parallel_for((num_tokens + kRopeTokensPerTask - 1) / kRopeTokensPerTask, [&](int64_t task, int) {
    const int64_t end = std::min(num_tokens, (task + 1) * kRopeTokensPerTask);
    for (int64_t token = task * kRopeTokensPerTask; token < end; ++token) one_token(token);
  });
}

void CpuBackend::do_attention(const ForwardBatch& batch, const Tensor& qkv, const AttentionParams& params,
                              const KvPool& pool, KvLayer layer, const Tensor& out) {
  const int64_t head_dim = params.head_dim;
  const int64_t group = params.num_heads / params.num_kv_heads;
  const int64_t q_stride = (params.num_heads + 2 * params.num_kv_heads) * head_dim;
  const int64_t out_stride = params.num_heads * head_dim;
  const int64_t head_bytes = kv_head_bytes(pool.config());
  constexpr int64_t kScaleBytes = kPageTokens * 2;
  const PageTables& tables = batch.page_tables[static_cast<std::size_t>(layer.kind)];
  const auto out_element = static_cast<int64_t>(dtype_size(out.dtype()));
  GOSSAMER_CHECK_LE(params.num_heads, limits_.num_heads);
  GOSSAMER_CHECK_LE(params.head_dim, limits_.head_dim);

  auto* tiles = layout_.query_tiles.in<QueryTile>(scratch_);
  int64_t num_tiles = 0;
  const auto tile_tokens = static_cast<int32_t>(std::max<int64_t>(1, kQueryRows / group));
  for (int32_t s = 0; s < batch.num_sequences(); ++s) {
    const int32_t end = batch.sequence_offsets[static_cast<std::size_t>(s) + 1];
    for (int32_t token = batch.sequence_offsets[static_cast<std::size_t>(s)]; token < end;
         token += tile_tokens) {
      tiles[num_tiles++] = {s, token, std::min(tile_tokens, end - token)};
    }
  }
  if (num_tiles == 0) return;
  // Page 0's address plus page * page_bytes; the pool's pages of one layer are one array.
  const auto* base = reinterpret_cast<const uint8_t*>(pool.page(layer, 0));
  const auto args_of = [&](int64_t task, int thread) {
    // Later queries see more keys: longest tasks first.
    const QueryTile& tile = tiles[num_tiles - 1 - task / params.num_kv_heads];
    const int64_t head = task % params.num_kv_heads;
    return AttentionArgs{
        .q = qkv.as<float>() + tile.first_token * q_stride + head * group * head_dim,
        .q_stride = q_stride,
        .out = out.bytes() + (tile.first_token * out_stride + head * group * head_dim) * out_element,
        .out_stride = out_stride,
        .out_bf16 = out.dtype() == DType::kBf16,
        .num_tokens = tile.num_tokens,
        .group = static_cast<int>(group),
        .head_dim = params.head_dim,
        .first_position = batch.positions[static_cast<std::size_t>(tile.first_token)],
        .window = params.window,
        .scale = params.scale,
        .sinks = params.sinks.empty() ? nullptr : params.sinks.as<float>() + head * group,
        .pages = tables.of(tile.sequence).data(),
        .keys = base + head * head_bytes,
        .values = base + (params.num_kv_heads + head) * head_bytes,
        .page_bytes = static_cast<int64_t>(KvPool::page_bytes(pool.config())),
        .kv_numbers = kv_numbers(pool.config().dtype),
        .key_scales = base + kv_scales_at(pool.config()) + head * kScaleBytes,
        .value_scales = base + kv_scales_at(pool.config()) + (params.num_kv_heads + head) * kScaleBytes,
        .scratch = reinterpret_cast<float*>(layout_.thread_attention.in<std::byte>(scratch_) +
                                            static_cast<std::size_t>(thread) * layout_.attention_stride)};
  };
  const int64_t num_tasks = num_tiles * params.num_kv_heads;
  // Spans that a tile's queries see.
  const auto first_span = [&](const QueryTile& tile) {
    const int64_t position = batch.positions[static_cast<std::size_t>(tile.first_token)];
    return params.window == 0 ? 0 : std::max<int64_t>(0, position - params.window + 1) / kSpanKeys;
  };
  const auto num_spans = [&](const QueryTile& tile) {
    const int64_t last = batch.positions[static_cast<std::size_t>(tile.first_token)] + tile.num_tokens - 1;
    return last / kSpanKeys - first_span(tile) + 1;
  };
  int64_t most_spans = 0;
  int64_t most_rows = 0;
  for (int64_t i = 0; i < num_tiles; ++i) {
    most_spans = std::max(most_spans, num_spans(tiles[i]));
    most_rows = std::max(most_rows, tiles[i].num_tokens * group);
  }
  const bool share_spans = num_tasks < kTasksToShareSpans * pool_.num_threads() && most_spans > 2 &&
                           num_tasks * most_rows <= span_rows(pool_.num_threads());
  if (!share_spans) {
    pool_.parallel_for(num_tasks,
                       [&](int64_t task, int thread) { kernels_.attention(args_of(task, thread)); });
    return;
  }
  auto* partials = layout_.attention_partials.in<float>(scratch_);
  const int64_t partials_of_task = most_spans * most_rows * attention_partial_floats(head_dim);
  GOSSAMER_CHECK_LE(static_cast<std::size_t>(num_tasks * partials_of_task) * sizeof(float),
                    layout_.attention_partials.size);
  pool_.parallel_for(num_tasks * most_spans, [&](int64_t i, int thread) {
    const int64_t task = i / most_spans;
    const int64_t index = i % most_spans;
    const QueryTile& tile = tiles[num_tiles - 1 - task / params.num_kv_heads];
    if (index >= num_spans(tile)) return;
    AttentionArgs args = args_of(task, thread);
    args.span = first_span(tile) + index;
    args.partials = partials + task * partials_of_task +
                    index * tile.num_tokens * group * attention_partial_floats(head_dim);
    kernels_.attention(args);
  });
  pool_.parallel_for(num_tasks, [&](int64_t task, int thread) {
    AttentionArgs args = args_of(task, thread);
    args.partials = partials + task * partials_of_task;
    kernels_.attention_of_spans(args, num_spans(tiles[num_tiles - 1 - task / params.num_kv_heads]));
  });
}

}  // namespace gossamer::cpu
