// The sampling flags of generate and chat, over the defaults of the folder's generation_config.json.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/commands.h"
#include "apps/session.h"
#include "engine/sampler.h"
#include "server/sampling_overrides.h"

namespace gossamer::apps {

struct SamplingOptions {
  bool greedy = false;
  SamplingOverrides values;  // but logit_bias, which is read below
  std::vector<std::string> logit_bias;
  std::vector<std::string> stop;
  std::vector<int32_t> stop_token_ids;
  bool ignore_eos = false;
};

void add_sampling_options(CLI::App& command, SamplingOptions& options);

// Parameters and stop ids for the session's model. Without --seed a random one is chosen. Throws Error naming
// the flag, the range and the value.
SamplingParams resolve_sampling(const SamplingOptions& options, const Session& session);
std::vector<int32_t> resolve_stop_ids(const SamplingOptions& options, const Session& session);

}  // namespace gossamer::apps
