// What a request, or a command line, says about sampling, over what the model recommends.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "engine/sampler.h"

namespace gossamer {

struct SamplingOverrides {
  std::optional<float> temperature;
  std::optional<int32_t> top_k;
  std::optional<float> top_p;
  std::optional<float> min_p;
  std::optional<float> repetition_penalty;
  std::optional<float> presence_penalty;
  std::optional<float> frequency_penalty;
  std::map<int32_t, float> logit_bias;
  std::optional<uint64_t> seed;
};

// Ranges are not looked at: check_sampling_params does. Whoever asks for top-k, top-p, min-p or a seed wants
// to sample: a model that recommends temperature 0 then gets 1.
SamplingParams merge_sampling(const SamplingParams& defaults, const SamplingOverrides& overrides);

}  // namespace gossamer
