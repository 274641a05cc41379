// The memory plan: exact bytes of everything a model will hold, from headers alone, before anything is
// loaded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "backend/backend.h"
#include "model/model_folder.h"

namespace gossamer {

// How much an engine may do at once.
struct EngineLimits {
  int64_t max_model_len = 0;  // tokens of one sequence, prompt and answer; 0: the model's limit, or what fits
  int64_t max_num_seqs = 1;   // sequences that run at once
  int64_t max_batched_tokens = 512;  // tokens of one step
  int64_t max_logit_rows = 64;       // logits of one step; at least max_num_seqs
  // Tokens that the layers which keep everything hold, of all sequences together and of cached prefixes; at
  // least max_model_len. Sequences that do not fit beside the others wait, or compute again. 0: enough for
  // max_num_seqs of max_model_len, but no more than one of them or kDefaultKvBytes, or what fits.
  int64_t kv_cache_tokens = 0;
  // Keeps the pages of what was computed for requests that begin with the same tokens.
  bool prefix_cache = false;
};

inline constexpr std::size_t kDefaultKvBytes = std::size_t{4} << 30;

struct MemoryPlan {
  EngineLimits limits;  // resolved: neither max_model_len nor kv_cache_tokens is 0
  std::size_t weights = 0;
  std::size_t kv_per_token = 0;  // of one sequence, in the layers that keep everything
  std::size_t kv_window = 0;     // of one sequence, in the layers that keep a window
  std::size_t kv = 0;            // the whole pool
  std::size_t workspace = 0;     // activations and the backend's scratch
  std::size_t total() const { return weights + kv + workspace; }
};

// What a process needs beyond the plan: code, tokenizer, buffers of the system.
inline constexpr std::size_t kMemoryReserve = std::size_t{300} << 20;

// The pool's shape for these limits.
KvPoolConfig kv_pool_config(const ModelInfo& info, DType kv_cache, const EngineLimits& limits);
StepLimits step_limits(const ModelInfo& info, const EngineLimits& limits);

// `available` bytes decide max_model_len when it is 0, and how much of the default for kv_cache_tokens there
// is. Throws Error, with the numbers and the nearest setting
// that would fit, when the plan does not fit or when max_model_len is beyond the model's own limit.
MemoryPlan plan_memory(const ModelFolder& folder, const Backend& backend, EngineLimits limits,
                       std::size_t available);

// The same without refusing: for reports.
MemoryPlan compute_plan(const ModelFolder& folder, const Backend& backend, const EngineLimits& limits);

}  // namespace gossamer
