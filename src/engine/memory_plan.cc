#include "engine/memory_plan.h"

#include <algorithm>

#include "base/error.h"
#include "base/system_memory.h"
#include "engine/kv_pages.h"

namespace gossamer {
namespace {

// The largest sequence length for which the plan fits; 0 when none does.
int64_t largest_model_len(const ModelFolder& folder, const Backend& backend, EngineLimits limits,
                          std::size_t available) {
  int64_t fits = 0;
  int64_t beyond = folder.model->info().max_positions + 1;
  while (beyond - fits > 1) {  // bytes grow with the length
    limits.max_model_len = fits + (beyond - fits) / 2;
    (compute_plan(folder, backend, limits).total() <= available ? fits : beyond) = limits.max_model_len;
  }
  return fits;
}

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
    KvKind of_kind{.num_layers = static_cast<int>(num_layers), .window = info.windows[kind]};
    of_kind.num_pages =
        limits.max_num_seqs * KvPages::pages_needed(of_kind, limits.max_model_len, limits.max_batched_tokens);
    config.kinds.push_back(of_kind);
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
  for (const KvKind& kind : pool.kinds) {
    const std::size_t page = KvPool::page_bytes(pool) * static_cast<std::size_t>(kind.num_layers);
    const std::size_t of_kind = page * static_cast<std::size_t>(kind.num_pages);
    plan.kv += of_kind;
    if (kind.window == 0) {
      plan.kv_per_token += page / kPageTokens;
    } else {
      plan.kv_window += of_kind / static_cast<std::size_t>(limits.max_num_seqs);
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
  const bool automatic = limits.max_model_len == 0;
  const auto longest = [&] { return largest_model_len(folder, backend, limits, usable); };
  if (automatic) limits.max_model_len = std::max<int64_t>(1, longest());
  const MemoryPlan plan = compute_plan(folder, backend, limits);
  if (plan.total() <= usable) return plan;

  const int64_t fitting_len = automatic ? 0 : longest();
  const std::string advice =
      fitting_len > 0
          ? fmt::format("--max-model-len {} would fit", fitting_len)
          : std::string("no --max-model-len fits: it needs a machine with more memory, or smaller weights");
  throw Error(
      "{}: does not fit into memory: weights {}, KV cache {} ({} tokens x {} sequences), workspace {}, "
      "reserve {}: {} "
      "in all, but {} are available; {}",
      folder.checkpoint->folder().string(), format_bytes(plan.weights), format_bytes(plan.kv),
      plan.limits.max_model_len, plan.limits.max_num_seqs, format_bytes(plan.workspace),
      format_bytes(kMemoryReserve), format_bytes(plan.total() + kMemoryReserve), format_bytes(available),
      advice);
}

}  // namespace gossamer
