// How far one model's logits are from another's for the same token: what quantization cost. Called by
// `gossamer quality` and by tests.
#pragma once

#include <cstdint>
#include <span>

namespace gossamer {

struct LogitsDifference {
  double divergence = 0.0;  // Kullback-Leibler, of the found distribution from the expected one, in nats
  double squared_error = 0.0;
  double squared_norm = 0.0;  // of the expected logits
  bool same_top = false;      // the most probable token is the same
};

// Both [vocab_size], finite.
LogitsDifference compare_logits(std::span<const float> expected, std::span<const float> found);

// -log of the probability of token `id`.
double token_loss(std::span<const float> logits, int32_t id);

}  // namespace gossamer
