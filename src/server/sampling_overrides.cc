#include "server/sampling_overrides.h"

namespace gossamer {

SamplingParams merge_sampling(const SamplingParams& defaults, const SamplingOverrides& overrides) {
  SamplingParams params = defaults;
  const bool asks_to_sample = overrides.top_k || overrides.top_p || overrides.min_p || overrides.seed;
  if (asks_to_sample && params.temperature == 0.0F) params.temperature = 1.0F;
  params.temperature = overrides.temperature.value_or(params.temperature);
  params.top_k = overrides.top_k.value_or(params.top_k);
  params.top_p = overrides.top_p.value_or(params.top_p);
  params.min_p = overrides.min_p.value_or(params.min_p);
  params.repetition_penalty = overrides.repetition_penalty.value_or(params.repetition_penalty);
  params.presence_penalty = overrides.presence_penalty.value_or(params.presence_penalty);
  params.frequency_penalty = overrides.frequency_penalty.value_or(params.frequency_penalty);
  params.logit_bias = overrides.logit_bias;
  params.seed = overrides.seed.value_or(params.seed);
  return params;
}

}  // namespace gossamer
