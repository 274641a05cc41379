// Log-probabilities of tokens under the model itself: of the raw logits, before any sampling parameter.
#pragma once

#include <cstdint>
#include <span>

#include "engine/request.h"

namespace gossamer {

// Of token `id` and of the `num_top` most likely ones (at most vocab_size). logits [vocab_size], none of them
// NaN or +infinity. A function of these alone, whatever thread or batch: within 2e-6 of the exact value plus
// one rounding of the f32 logit.
TokenLogprobs compute_logprobs(std::span<const float> logits, int32_t id, int num_top);

}  // namespace gossamer
