#include "engine/memory_plan.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/system_memory.h"
#include "engine/kv_pages.h"

namespace gossamer {
namespace {

bool fits(const ModelFolder& folder, const Backend& backend, const EngineLimits& limits,
          std::size_t available) {
  return compute_plan(folder, backend, limits).total() <= available;
}

// The largest number in [low, high] for which `is_fine`, which is monotonic; low - 1 when none is.
template <typename IsFine>
int64_t largest(int64_t low, int64_t high, IsFine is_fine) {
  int64_t fine = low - 1;
  int64_t beyond = high + 1;
  while (beyond - fine > 1) {
    const int64_t middle = fine + (beyond - fine) / 2;
    (is_fine(middle) ? fine : beyond) = middle;
  }
  return fine;
}

// The largest sequence length for which the plan fits; 0 when none does.
int64_t largest_model_len(const ModelFolder& folder, const Backend& backend, EngineLimits limits,
                          std::size_t available) {
  const bool automatic = limits.kv_cache_tokens == 0;
  const int64_t most = folder.model->info().max_positions;
  return largest(1, automatic ? most : std::min(most, limits.kv_cache_tokens), [&](int64_t length) {
    limits.max_model_len = length;
    if (automatic) limits.kv_cache_tokens = length;
    return fits(folder, backend, limits, available);
  });
}

// Bytes of one page in all layers of a kind.
std::size_t bytes_of_page(const KvPoolConfig& pool, const KvKind& kind) {
  return KvPool::page_bytes(pool) * static_cast<std::size_t>(kind.num_layers);
}

int64_t default_kv_cache_tokens(const KvPoolConfig& pool, const EngineLimits& limits) {
  std::size_t page = 0;
  for (const KvKind& kind : pool.kinds) page += kind.window == 0 ? bytes_of_page(pool, kind) : 0;
  const auto affordable = page > 0 ? static_cast<int64_t>(kDefaultKvBytes / page) * kPageTokens
                                   : std::numeric_limits<int64_t>::max();
  return std::clamp(affordable, limits.max_model_len, limits.max_model_len * limits.max_num_seqs);
}

// Of the pages of a kind that keeps everything, how many pages of window kinds are kept with them, so that
// prefixes can be begun with (kv_pages.cc, kCheckpointPages).
constexpr int64_t kWindowPagePart = 16;

}  // namespace

KvPoolConfig kv_pool_config(const ModelInfo& info, DType kv_cache, const EngineLimits& limits) {
  KvPoolConfig config{.kinds = {},
                      .num_kv_heads = info.attention.num_kv_heads,
                      .head_dim = info.attention.head_dim,
                      .dtype = kv_cache};
  for (std::size_t kind = 0; kind < info.windows.size(); ++kind) {
    const auto num_layers = std::count_if(info.layers.begin(), info.layers.end(), [&](const KvLayer& layer) {
      return layer.kind == static_cast<int>(kind);
    });
    config.kinds.push_back({.num_layers = static_cast<int>(num_layers), .window = info.windows[kind]});
  }
  const int64_t kv_cache_tokens =
      limits.kv_cache_tokens > 0 ? limits.kv_cache_tokens : default_kv_cache_tokens(config, limits);
  // Sequences do not share pages that they are writing: each may have one that is not full.
  const int64_t full_pages =
      std::min(KvPages::pages_needed({}, kv_cache_tokens, 0) + (limits.max_num_seqs - 1),
               KvPages::pages_needed({}, limits.max_model_len, 0) * limits.max_num_seqs);
  for (KvKind& kind : config.kinds) {
    kind.num_pages = kind.window == 0
                         ? full_pages
                         : limits.max_num_seqs * KvPages::pages_needed(kind, limits.max_model_len,
                                                                       limits.max_batched_tokens) +
                               (limits.prefix_cache ? full_pages / kWindowPagePart : 0);
  }
  return config;
}

StepLimits step_limits(const ModelInfo& info, const EngineLimits& limits) {
  const int64_t attended = int64_t{info.attention.num_heads} * info.attention.head_dim;
  return {.max_tokens = limits.max_batched_tokens,
          .max_sequences = limits.max_num_seqs,
          .max_positions = limits.max_model_len,
          .max_cols = std::max({info.hidden_dim, info.ffn_dim, attended}),
          .num_experts = info.num_experts,
          .num_experts_per_token = info.num_experts_per_token,
          .hidden_dim = info.hidden_dim,
          .ffn_dim = info.ffn_dim,
          .num_heads = info.attention.num_heads,
          .head_dim = info.attention.head_dim};
}

MemoryPlan compute_plan(const ModelFolder& folder, const Backend& backend, const EngineLimits& limits) {
  const ModelInfo& info = folder.model->info();
  const DType activation = folder.precision.activation;
  MemoryPlan plan{.limits = limits};
  for (const ResolvedMatrix& matrix : folder.matrices) {
    const WeightSource& source = matrix.source;
    plan.weights += backend.prepared_bytes(folder.precision.format_of(matrix), source.num_experts,
                                           source.rows, source.cols);
  }
  for (const VectorParam& vector : folder.params.vectors) {
    plan.weights +=
        static_cast<std::size_t>(vector.rows() * std::max<int64_t>(vector.num_experts, 1)) * sizeof(float);
  }
  const KvPoolConfig pool = kv_pool_config(info, folder.precision.kv_cache, limits);
  if (limits.kv_cache_tokens == 0) plan.limits.kv_cache_tokens = default_kv_cache_tokens(pool, limits);
  for (const KvKind& kind : pool.kinds) {
    const std::size_t page = bytes_of_page(pool, kind);
    const std::size_t of_kind = page * static_cast<std::size_t>(kind.num_pages);
    plan.kv += of_kind;
    if (kind.window == 0) {
      plan.kv_per_token += page / kPageTokens;
    } else {
      plan.kv_window += page * static_cast<std::size_t>(KvPages::pages_needed(kind, limits.max_model_len,
                                                                              limits.max_batched_tokens));
    }
  }
  plan.workspace = Workspace::bytes(info, activation, limits.max_batched_tokens, limits.max_logit_rows) +
                   backend.scratch_bytes(step_limits(info, limits));
  return plan;
}

MemoryPlan plan_memory(const ModelFolder& folder, const Backend& backend, EngineLimits limits,
                       std::size_t available) {
  const ModelInfo& info = folder.model->info();
  const std::size_t usable = available - std::min(available, kMemoryReserve);
  if (limits.max_model_len > info.max_positions) {
    throw Error("--max-model-len {} is beyond the model's limit of {} positions", limits.max_model_len,
                info.max_positions);
  }
  if (limits.kv_cache_tokens > 0 && limits.kv_cache_tokens < limits.max_model_len) {
    throw Error("--kv-cache-tokens {} is less than --max-model-len {}: one sequence would not fit",
                limits.kv_cache_tokens, limits.max_model_len);
  }
  const bool automatic = limits.max_model_len == 0;
  const auto longest = [&] { return largest_model_len(folder, backend, limits, usable); };
  if (automatic) limits.max_model_len = std::max<int64_t>(1, longest());
  MemoryPlan plan = compute_plan(folder, backend, limits);
  if (limits.kv_cache_tokens == 0 && plan.total() > usable) {  // less than the default, if one sequence fits
    EngineLimits smaller = limits;
    smaller.kv_cache_tokens = largest(limits.max_model_len, plan.limits.kv_cache_tokens, [&](int64_t tokens) {
      smaller.kv_cache_tokens = tokens;
      return fits(folder, backend, smaller, usable);
    });
    smaller.kv_cache_tokens = std::max(smaller.kv_cache_tokens, limits.max_model_len);
    plan = compute_plan(folder, backend, smaller);
  }
  if (plan.total() <= usable) return plan;

  const int64_t fitting_len = automatic ? 0 : longest();
  const std::string advice =
      fitting_len > 0
          ? fmt::format("--max-model-len {} would fit", fitting_len)
          : std::string("no --max-model-len fits: it needs a machine with more memory, or smaller weights");
  throw Error(
      "{}: does not fit into memory: weights {}, KV cache {} ({} tokens for up to {} sequences), workspace "
      "{}, "
      "reserve {}: {} "
      "in all, but {} are available; {}",
      folder.checkpoint->folder().string(), format_bytes(plan.weights), format_bytes(plan.kv),
      plan.limits.kv_cache_tokens, plan.limits.max_num_seqs, format_bytes(plan.workspace),
      format_bytes(kMemoryReserve), format_bytes(plan.total() + kMemoryReserve), format_bytes(available),
      advice);
}

}  // namespace gossamer
