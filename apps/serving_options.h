// The options of commands that run many requests at once, under vLLM's names where it has them.
#pragma once

#include <cstdint>
#include <functional>

#include "apps/session.h"

namespace CLI {
class App;
}  // namespace CLI

namespace gossamer::apps {

struct ServingOptions {
  int64_t max_num_seqs = 16;
  int64_t max_num_batched_tokens = 0;  // 0: a chunk of a prompt beside max_num_seqs that decode
  int64_t kv_cache_tokens = 0;
  bool no_prefix_cache = false;
  int num_speculative_tokens = 8;
};

void add_serving_options(CLI::App& command, ServingOptions& options);

// Of commands that talk rather than answer one prompt: long enough for most, small beside the weights.
inline constexpr int64_t kDefaultModelLen = 16384;

// plan(max_model_len) for what --max-model-len says; by default kDefaultModelLen, or the model's limit, or
// what fits. 0 asks `plan` for what fits.
MemoryPlan plan_default_len(const Session& session, const std::function<MemoryPlan(int64_t)>& plan);

// The plan for a session that answers many requests.
MemoryPlan plan_serving(const Session& session, const ServingOptions& options);

// What the options ask of an engine, for Session::plan and Session::load. max_model_len 0: what fits.
EngineLimits serving_limits(const ServingOptions& options, const Session& session, int64_t max_model_len);
EngineSettings serving_settings(const ServingOptions& options);

}  // namespace gossamer::apps
