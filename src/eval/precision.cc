#include "eval/precision.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/check.h"
#include "eval/rouge.h"

namespace gossamer {
namespace {

// The sums from which llama-perplexity computes a mean and its standard error.
class Moments {
 public:
  void add(double value) {
    ++count_;
    sum_ += value;
    sum_of_squares_ += value * value;
  }

  double mean() const { return sum_ / static_cast<double>(count_); }
  // Of the mean.
  double variance() const {
    if (count_ < 2) return 0.0;
    const double of_one = sum_of_squares_ / static_cast<double>(count_) - mean() * mean();
    return std::max(0.0, of_one) / static_cast<double>(count_ - 1);
  }
  Estimate estimate() const { return {.value = mean(), .error = std::sqrt(variance())}; }

 private:
  std::size_t count_ = 0;
  double sum_ = 0.0;
  double sum_of_squares_ = 0.0;
};

Estimate exponential(const Estimate& exponent) {
  const double value = std::exp(exponent.value);
  return {.value = value, .error = value * exponent.error};
}

}  // namespace

TokenMatch match_tokens(std::span<const int32_t> expected, std::span<const int32_t> found) {
  TokenMatch match{.num_positions = std::max(expected.size(), found.size())};
  for (std::size_t i = 0; i < match.num_positions; ++i) {
    const bool equal = i < expected.size() && i < found.size() && expected[i] == found[i];
    if (equal) ++match.num_equal;
    if (!equal && !match.first_difference) match.first_difference = i;
  }
  return match;
}

double answer_rouge_l(std::string_view expected, std::string_view found) {
  return expected == found ? 1.0 : rouge_l(found, expected);
}

std::optional<double> cosine_similarity(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return std::nullopt;
  double product = 0.0;
  double norm_a = 0.0;
  double norm_b = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    product += double{a[i]} * b[i];
    norm_a += double{a[i]} * a[i];
    norm_b += double{b[i]} * b[i];
  }
  // Of equal vectors this is the root of a square, which is exact.
  const double norms = std::sqrt(norm_a * norm_b);
  if (!std::isfinite(product) || !std::isfinite(norms) || norms == 0.0) return std::nullopt;
  return product / norms;
}

double truncated_divergence(std::span<const TokenLogprob> expected, std::span<const TokenLogprob> found) {
  std::map<int32_t, float> logprobs;
  for (const TokenLogprob& token : found) logprobs.emplace(token.id, token.logprob);
  double divergence = 0.0;
  double other_expected = 1.0;
  double other_found = 1.0;
  for (const TokenLogprob& token : expected) {
    const auto at = logprobs.find(token.id);
    if (at == logprobs.end()) continue;
    const double log_p = token.logprob;
    const double log_q = at->second;
    const double p = std::exp(log_p);
    if (p == 0.0) continue;
    divergence += p * (log_p - log_q);
    other_expected -= p;
    other_found -= std::exp(log_q);
  }
  // What is left of 1 after subtracting floats is noise below this.
  constexpr double kNoise = 1e-6;
  other_expected = std::max(other_expected, kNoise);
  other_found = std::max(other_found, kNoise);
  divergence += other_expected * std::log(other_expected / other_found);
  return std::max(divergence, 0.0);
}

double DivergenceStatistics::percentile(std::span<const double> ascending, double share) {
  GOSSAMER_CHECK(!ascending.empty());
  const double place = share * static_cast<double>(ascending.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, ascending.size() - 1);
  const double weight = place - static_cast<double>(below);
  return (1.0 - weight) * ascending[below] + weight * ascending[above];
}

DivergenceStatistics compute_divergence_statistics(std::span<const PredictedToken> tokens) {
  GOSSAMER_CHECK(!tokens.empty());
  DivergenceStatistics result{.num_tokens = tokens.size()};
  Moments found;
  Moments expected;
  Moments divergence;
  Moments change;
  Moments squared_change;
  double sum_of_products = 0.0;
  std::size_t num_same_top = 0;
  for (const PredictedToken& token : tokens) {
    found.add(token.found_loss);
    expected.add(token.expected_loss);
    sum_of_products += token.found_loss * token.expected_loss;
    divergence.add(token.divergence);
    result.divergences.push_back(token.divergence);
    const double delta = std::exp(-token.found_loss) - std::exp(-token.expected_loss);
    change.add(delta);
    squared_change.add(delta * delta);
    result.probability_changes.push_back(delta);
    num_same_top += token.same_top ? 1 : 0;
  }
  std::sort(result.divergences.begin(), result.divergences.end());
  std::sort(result.probability_changes.begin(), result.probability_changes.end());

  const auto count = static_cast<double>(tokens.size());
  result.perplexity = exponential(found.estimate());
  result.expected_perplexity = exponential(expected.estimate());
  const double covariance =
      count < 2 ? 0.0 : (sum_of_products / count - found.mean() * expected.mean()) / (count - 1.0);
  const double variances = found.variance() * expected.variance();
  if (variances > 0.0) result.correlation = covariance / std::sqrt(variances);
  const double ratio_variance = found.variance() + expected.variance() - 2.0 * covariance;
  result.log_ratio = {.value = found.mean() - expected.mean(),
                      .error = std::sqrt(std::max(0.0, ratio_variance))};
  result.ratio = exponential(result.log_ratio);
  const double q = result.perplexity.value;
  const double base = result.expected_perplexity.value;
  const double difference_variance =
      q * q * found.variance() + base * base * expected.variance() - 2.0 * q * base * covariance;
  result.difference = {.value = q - base, .error = std::sqrt(std::max(0.0, difference_variance))};
  result.divergence = divergence.estimate();
  result.probability_change = change.estimate();
  const double root = std::sqrt(squared_change.mean());
  result.probability_change_rms = {
      .value = root, .error = root > 0.0 ? 0.5 / root * std::sqrt(squared_change.variance()) : 0.0};
  const double share = static_cast<double>(num_same_top) / count;
  result.same_top = {.value = share,
                     .error = count < 2 ? 0.0 : std::sqrt(share * (1.0 - share) / (count - 1.0))};
  return result;
}

}  // namespace gossamer
