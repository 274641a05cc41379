#include "engine/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/token_constraint.h"

namespace gossamer {
namespace {

RequestError out_of_range(const char* name, const char* expected, double found) {
  return {RequestErrorKind::kInvalid, fmt::format("{}: expected {}, found {}", name, expected, found)};
}

bool within(float value, float low, float high) { return value >= low && value <= high; }  // false for NaN

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// A number in [0, 1) with 53 random bits.
double uniform(uint64_t seed, uint64_t counter) {
  const auto bits = philox(seed, counter);
  const uint64_t joined = (static_cast<uint64_t>(bits[0]) << 32) | bits[1];
  return static_cast<double>(joined >> 11) * 0x1p-53;
}

}  // namespace

std::optional<RequestError> check_sampling_params(const SamplingParams& params, int64_t vocab_size) {
  if (!within(params.temperature, 0.0F, 100.0F))
    return out_of_range("temperature", "0 to 100", params.temperature);
  if (params.top_k < 0) return out_of_range("top_k", "0 (off) or more", params.top_k);
  if (!within(params.top_p, 0.0F, 1.0F) || params.top_p == 0.0F) {
    return out_of_range("top_p", "above 0, at most 1", params.top_p);
  }
  if (!within(params.min_p, 0.0F, 1.0F)) return out_of_range("min_p", "0 to 1", params.min_p);
  if (!within(params.repetition_penalty, 0.01F, 100.0F)) {
    return out_of_range("repetition_penalty", "0.01 to 100", params.repetition_penalty);
  }
  if (!within(params.presence_penalty, -2.0F, 2.0F)) {
    return out_of_range("presence_penalty", "-2 to 2", params.presence_penalty);
  }
  if (!within(params.frequency_penalty, -2.0F, 2.0F)) {
    return out_of_range("frequency_penalty", "-2 to 2", params.frequency_penalty);
  }
  for (const auto& [id, bias] : params.logit_bias) {
    if (id < 0 || id >= vocab_size) {
      return RequestError{
          RequestErrorKind::kInvalid,
          fmt::format("logit_bias: expected token ids from 0 to {}, found {}", vocab_size - 1, id)};
    }
    if (!within(bias, -100.0F, 100.0F)) return out_of_range("logit_bias", "values from -100 to 100", bias);
  }
  return std::nullopt;
}

std::array<uint32_t, 4> philox(uint64_t seed, uint64_t counter) {
  constexpr uint64_t kMultiplierA = 0xD2511F53;
  constexpr uint64_t kMultiplierB = 0xCD9E8D57;
  std::array<uint32_t, 4> x = {static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0};
  auto key_a = static_cast<uint32_t>(seed);
  auto key_b = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = kMultiplierA * x[0];
    const uint64_t b = kMultiplierB * x[2];
    x = {static_cast<uint32_t>(b >> 32) ^ x[1] ^ key_a, static_cast<uint32_t>(b),
         static_cast<uint32_t>(a >> 32) ^ x[3] ^ key_b, static_cast<uint32_t>(a)};
    key_a += 0x9E3779B9U;
    key_b += 0xBB67AE85U;
  }
  return x;
}

std::optional<RequestError> check_logits(std::span<const float> logits, int64_t position) {
  const auto broken =
      std::find_if(logits.begin(), logits.end(), [](float logit) { return !(logit < kInfinity); });
  if (broken == logits.end()) return std::nullopt;
  return RequestError{
      RequestErrorKind::kInternal,
      fmt::format(
          "non-finite logits at position {}: the logit of token {} is {}; the weights or the activation "
          "type overflow (try --dtype f32)",
          position, broken - logits.begin(), *broken)};
}

Sampler::Sampler(int64_t vocab_size, int64_t num_sampled_ids)
    : num_sampled_ids_(std::min(vocab_size, num_sampled_ids)),
      row_(num_sampled_ids_),
      counts_(static_cast<std::size_t>(num_sampled_ids_), 0),
      seen_(static_cast<std::size_t>(num_sampled_ids_), 0) {}

Result<int32_t> Sampler::sample(const SamplingInput& input) {
  GOSSAMER_CHECK_GE(static_cast<int64_t>(input.logits.size()), num_sampled_ids_);
  if (row_.reset(input.logits)) {
    const auto position = static_cast<int64_t>(input.prompt.size() + input.output.size()) - 1;
    return check_logits(input.logits.first(static_cast<std::size_t>(num_sampled_ids_)), position).value();
  }
  apply_bias_and_penalties(input);
  for (const int32_t id : input.forbidden) {
    if (id >= 0 && id < num_sampled_ids_) row_.change(id) = -kInfinity;
  }
  if (!input.mask.empty()) row_.allow_only(input.mask);
  row_.update_maxima();

  if (row_.largest() == -kInfinity) return nothing_left(input);
  if (input.params.temperature == 0.0F) return row_.first_largest();
  return draw(input);
}

RequestError Sampler::nothing_left(const SamplingInput& input) const {
  for (int64_t i = 0; i < num_sampled_ids_; ++i) {
    const auto id = static_cast<int32_t>(i);
    if (!input.mask.empty() && !is_allowed(input.mask, id)) continue;
    if (std::find(input.forbidden.begin(), input.forbidden.end(), id) != input.forbidden.end()) continue;
    return {RequestErrorKind::kInternal,
            fmt::format("every {}token's logit is -infinity: nothing can be sampled",
                        input.mask.empty() && input.forbidden.empty() ? "" : "allowed ")};
  }
  return {RequestErrorKind::kInternal,
          fmt::format("none of {} tokens may come after {} tokens of output: the constraint allows none but "
                      "tokens that are forbidden here ({}); nothing can be sampled",
                      num_sampled_ids_, input.output.size(), input.forbidden.size())};
}

void Sampler::apply_bias_and_penalties(const SamplingInput& input) {
  const SamplingParams& params = input.params;
  const auto in_range = [this](int32_t id) { return id >= 0 && id < num_sampled_ids_; };
  for (const auto& [id, bias] : params.logit_bias) {
    if (in_range(id)) row_.change(id) += bias;
  }
  if (params.repetition_penalty != 1.0F) {
    for (const auto& tokens : {input.prompt, input.output}) {
      for (const int32_t id : tokens) {
        if (!in_range(id) || std::exchange(seen_[static_cast<std::size_t>(id)], uint8_t{1}) != 0) continue;
        float& logit = row_.change(id);
        logit = logit > 0.0F ? logit / params.repetition_penalty : logit * params.repetition_penalty;
        logit = std::min(logit, std::numeric_limits<float>::max());  // a penalty below 1 may overflow
      }
    }
    for (const auto& tokens : {input.prompt, input.output}) {
      for (const int32_t id : tokens) {
        if (in_range(id)) seen_[static_cast<std::size_t>(id)] = 0;
      }
    }
  }
  if (params.presence_penalty != 0.0F || params.frequency_penalty != 0.0F) {
    for (const int32_t id : input.output) {
      if (in_range(id)) ++counts_[static_cast<std::size_t>(id)];
    }
    for (const int32_t id : input.output) {
      if (!in_range(id)) continue;
      const int32_t count = std::exchange(counts_[static_cast<std::size_t>(id)], 0);
      if (count == 0) continue;  // an earlier occurrence has done it
      row_.change(id) -= params.presence_penalty + params.frequency_penalty * static_cast<float>(count);
    }
  }
}

// What is drawn is defined in the plainest way: all tokens above the floor, sorted; their weights added in
// that order, in double; top-p and min-p; then a uniform share of the sum, from which weights are taken away
// in order until it is negative. With a vocabulary of 200,000 that takes 16 ms, nearly all for tokens that
// are never reached. So it is done for the most likely ones first, with bounds for what the rest adds to the
// sum: if both bounds lead to the same token, so does the exact sum. If not, once in a hundred draws or so,
// with more tokens.
int32_t Sampler::draw(const SamplingInput& input) {
  const SamplingParams& params = input.params;
  const double share = uniform(input.seed, input.index);
  const double inverse_temperature = 1.0 / params.temperature;
  const auto collected = [&](int64_t wanted) {
    const bool all = collect(params.temperature, wanted);
    sort_candidates();
    if (params.top_k > 0 && static_cast<std::size_t>(params.top_k) < candidates_.size()) {
      candidates_.resize(static_cast<std::size_t>(params.top_k));
    }
    const double largest = row_.largest();
    weights_.clear();
    for (const Candidate& candidate : candidates_) {
      weights_.push_back(std::exp((candidate.logit - largest) * inverse_temperature));
    }
    return all;
  };
  if (params.top_k > 0) {  // the rest adds nothing
    collected(params.top_k);
    return choose(params, share, std::nullopt).value();
  }
  // Bounds hold for these temperatures only: see sum_exp_below.
  if (inverse_temperature <= 1e6) {
    for (const int64_t wanted : {128, 512}) {
      if (collected(wanted)) return choose(params, share, std::nullopt).value();
      const double rest =
          row_.sum_exp_below(candidates_.back().logit, static_cast<float>(inverse_temperature));
      if (const auto id = choose(params, share, rest)) return *id;
    }
  }
  collected(num_sampled_ids_);
  return choose(params, share, std::nullopt).value();
}

// Makes the `wanted` most likely tokens candidates, and those that are as likely as the last of them and more
// as they come, but none below the floor. True when these are all above the floor. Lower ids come first.
bool Sampler::collect(double temperature, int64_t wanted) {
  const double largest = row_.largest();
  const double inverse_temperature = 1.0 / temperature;
  // Relative to the most likely token: what lies beyond exp(-50) cannot be drawn from 53 bits, and dropping
  // it at once keeps the sort below short.
  constexpr double kFloor = -50.0;
  // The same as a logit, and less than the roundings of either side could make it.
  const double lowest =
      std::max<double>(largest + kFloor * temperature * (1.0 + 1e-9), std::numeric_limits<float>::lowest());
  const float floor = std::nextafter(static_cast<float>(lowest), -kInfinity);
  const float reached = row_.reached_by(wanted);
  candidates_.clear();
  row_.for_each_from(std::max(floor, reached), [&](int32_t id, float logit) {
    if ((logit - largest) * inverse_temperature >= kFloor) candidates_.push_back({logit, id});
  });
  return reached <= floor;
}

// Most likely first; ties: the lower id first.
void Sampler::sort_candidates() {
  constexpr std::size_t kFew = 4096;
  if (candidates_.size() <= kFew) {
    std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
      return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
    });
    return;
  }
  // By digits of the logit's bits, the lowest first: a tenth of the time that comparing takes for 200,000,
  // and equal ones stay in the order of their ids.
  const auto key = [](const Candidate& candidate) {
    const auto bits = std::bit_cast<uint32_t>(candidate.logit + 0.0F);  // -0 equals 0
    return (bits & 0x80000000U) != 0 ? bits : ~bits & 0x7fffffffU;
  };
  constexpr unsigned kDigitBits = 11;
  sorted_.resize(candidates_.size());
  for (unsigned shift = 0; shift < 32; shift += kDigitBits) {
    const auto digit = [&](const Candidate& candidate) {
      return key(candidate) >> shift & ((1U << kDigitBits) - 1);
    };
    std::array<std::size_t, 1U << kDigitBits> places{};
    for (const Candidate& candidate : candidates_) ++places[digit(candidate)];
    std::size_t before = 0;
    for (std::size_t& place : places) before += std::exchange(place, before);
    for (const Candidate& candidate : candidates_) sorted_[places[digit(candidate)]++] = candidate;
    candidates_.swap(sorted_);
  }
}

// Filters the candidates and draws one. `rest`: what the tokens that are no candidates add to the sum of the
// weights, as sum_exp_below says; nullopt when there are none. Nothing when it takes more candidates to say.
std::optional<int32_t> Sampler::choose(const SamplingParams& params, double uniform,
                                       std::optional<double> rest) {
  double total = 0.0;
  for (const double weight : weights_) total += weight;

  // The sum over all tokens in order lies between these.
  double low = total;
  double high = total;
  double rounding = 0.0;
  if (rest) {
    // sum_exp_below's error for exponents down to the floor, twice; and what adding that many numbers one
    // after the other, or taking some away again, may lose, twice. Tokens below the floor are far less than
    // that.
    constexpr double kRestError = 2e-5;
    rounding = (total + *rest) * static_cast<double>(num_sampled_ids_) * 0x1p-51;
    low = total + *rest * (1.0 - kRestError) - rounding;
    high = total + *rest * (1.0 + kRestError) + rounding;
  }

  bool complete = !rest;
  if (params.top_p < 1.0F) {
    double kept = 0.0;
    std::size_t count = 0;
    while (count < weights_.size() && kept < params.top_p * low) kept += weights_[count++];
    if (!complete && kept < params.top_p * high) return std::nullopt;
    weights_.resize(std::max<std::size_t>(count, 1));
    low = high = total = kept;
    complete = true;
  }
  if (complete) {
    while (weights_.size() > 1 && weights_.back() < params.min_p) {  // the most likely has 1
      total -= weights_.back();
      weights_.pop_back();
    }
    low = high = total;
  } else if (params.min_p > 0.0F) {
    // The rest is dropped for certain when the last candidate is: by more than exp's own rounding.
    if (!(weights_.back() < params.min_p * (1.0 - 1e-12))) return std::nullopt;
    while (weights_.size() > 1 && weights_.back() < params.min_p) weights_.pop_back();
    double kept = 0.0;
    for (const double weight : weights_) kept += weight;
    low = kept - rounding;
    high = kept + rounding;
    complete = true;
  }

  double low_target = uniform * low;
  double high_target = uniform * high;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    low_target -= weights_[i];
    high_target -= weights_[i];
    if (high_target < 0.0) return candidates_[i].id;
    if (low_target < 0.0) return std::nullopt;
  }
  if (!complete) return std::nullopt;
  return candidates_[weights_.size() - 1].id;  // rounding only
}

}  // namespace gossamer
