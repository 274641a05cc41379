#include "apps/serving_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/error.h"

namespace gossamer::apps {

void add_serving_options(CLI::App& command, ServingOptions& options) {
  command.add_option("--max-num-seqs", options.max_num_seqs, "Sequences that run at once; others wait")
      ->check(CLI::Range(int64_t{1}, int64_t{4096}))
      ->capture_default_str();
  command
      .add_option("--max-num-batched-tokens", options.max_num_batched_tokens,
                  "Tokens of one step, of prompts and answers together. Default: --chunk-tokens and "
                  "--max-num-seqs")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20));
  command
      .add_option(
          "--kv-cache-tokens", options.kv_cache_tokens,
          "Tokens that the KV cache holds, of all sequences together and of cached prefixes. Sequences "
          "beyond it wait. Default: enough for --max-num-seqs of --max-model-len, but no more than 4 GiB "
          "or one of them")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command.add_flag(
      "--no-prefix-cache,--no-enable-prefix-caching", options.no_prefix_cache,
      "Compute every prompt whole, also where another began with the same tokens. Results do not "
      "depend on it");
  command
      .add_option("--num-speculative-tokens", options.num_speculative_tokens,
                  "The most tokens of a step that are guessed from what the text said before, and verified. "
                  "0: none. Results do not depend on it")
      ->check(CLI::Range(0, static_cast<int>(kMaxLookAhead)))
      ->capture_default_str();
}

MemoryPlan plan_default_len(const Session& session, const std::function<MemoryPlan(int64_t)>& plan) {
  const int64_t longest = session.longest();
  if (session.options().max_model_len == kWhatFits) return plan(0);
  if (session.options().max_model_len > 0 || longest <= kDefaultModelLen) return plan(longest);
  try {
    return plan(kDefaultModelLen);
  } catch (const Error&) {
    return plan(0);  // what fits
  }
}

EngineLimits serving_limits(const ServingOptions& options, const Session& session, int64_t max_model_len) {
  const int64_t seqs = options.max_num_seqs;
  EngineLimits limits = session.limits(max_model_len, seqs, seqs + 2 * options.num_speculative_tokens);
  limits.max_batched_tokens = options.max_num_batched_tokens > 0
                                  ? std::max(options.max_num_batched_tokens, seqs)
                                  : session.options().chunk_tokens + seqs;
  limits.kv_cache_tokens = options.kv_cache_tokens;
  limits.prefix_cache = !options.no_prefix_cache;
  return limits;
}

MemoryPlan plan_serving(const Session& session, const ServingOptions& options) {
  return plan_default_len(session, [&](int64_t max_model_len) {
    return session.plan(serving_limits(options, session, max_model_len));
  });
}

EngineSettings serving_settings(const ServingOptions& options) {
  return {.max_draft_tokens = options.num_speculative_tokens};
}

}  // namespace gossamer::apps
