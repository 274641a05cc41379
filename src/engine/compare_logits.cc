#include "engine/compare_logits.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace gossamer {
namespace {

// log of the sum of exp(logit)
double log_sum(std::span<const float> logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return largest + std::log(sum);
}

std::ptrdiff_t top(std::span<const float> logits) {
  return std::max_element(logits.begin(), logits.end()) - logits.begin();
}

}  // namespace

LogitsDifference compare_logits(std::span<const float> expected, std::span<const float> found) {
  GOSSAMER_CHECK(!expected.empty());
  GOSSAMER_CHECK_EQ(expected.size(), found.size());
  LogitsDifference difference{.same_top = top(expected) == top(found)};
  const double expected_sum = log_sum(expected);
  const double found_sum = log_sum(found);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double log_p = expected[i] - expected_sum;
    const double log_q = found[i] - found_sum;
    difference.divergence += std::exp(log_p) * (log_p - log_q);
    const double error = double{found[i]} - expected[i];
    difference.squared_error += error * error;
    difference.squared_norm += double{expected[i]} * expected[i];
  }
  return difference;
}

double token_loss(std::span<const float> logits, int32_t id) {
  GOSSAMER_CHECK(id >= 0 && static_cast<std::size_t>(id) < logits.size());
  return log_sum(logits) - logits[static_cast<std::size_t>(id)];
}

}  // namespace gossamer
