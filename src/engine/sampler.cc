#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace gossamer {
namespace {

RequestError out_of_range(const char* name, const char* expected, double found) {
  return {RequestErrorKind::kInvalid, fmt::format("{}: expected {}, found {}", name, expected, found)};
}

bool within(float value, float low, float high) { return value >= low && value <= high; }  // false for NaN

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

Sampler::Sampler(int64_t vocab_size, int64_t num_sampled_ids)
    : num_sampled_ids_(std::min(vocab_size, num_sampled_ids)),
      logits_(static_cast<std::size_t>(num_sampled_ids_)),
      counts_(static_cast<std::size_t>(num_sampled_ids_), 0),
      seen_(static_cast<std::size_t>(num_sampled_ids_), 0) {
  GOSSAMER_CHECK_GT(num_sampled_ids_, 0);
}

Result<int32_t> Sampler::sample(std::span<const float> logits, const SamplingParams& params,
                                std::span<const int32_t> prompt, std::span<const int32_t> output,
                                uint64_t index) {
  GOSSAMER_CHECK_GE(static_cast<int64_t>(logits.size()), num_sampled_ids_);
  std::copy_n(logits.begin(), logits_.size(), logits_.begin());
  // -infinity is a fine way to say never; NaN and +infinity mean that the forward pass broke.
  const auto broken = std::find_if(logits_.begin(), logits_.end(), [](float logit) {
    return std::isnan(logit) || logit == std::numeric_limits<float>::infinity();
  });
  if (broken != logits_.end()) {
    return RequestError{
        RequestErrorKind::kInternal,
        fmt::format(
            "non-finite logits at position {}: the logit of token {} is {}; the weights or the activation "
            "type overflow (try --dtype f32)",
            prompt.size() + output.size() - 1, broken - logits_.begin(), *broken)};
  }
  apply_bias_and_penalties(params, prompt, output);

  const auto largest = std::max_element(logits_.begin(), logits_.end());  // the first of equals
  if (*largest == -std::numeric_limits<float>::infinity()) {
    return RequestError{RequestErrorKind::kInternal,
                        "every token's logit is -infinity: nothing can be sampled"};
  }
  if (params.temperature == 0.0F) return static_cast<int32_t>(largest - logits_.begin());
  return draw(params, index);
}

void Sampler::apply_bias_and_penalties(const SamplingParams& params, std::span<const int32_t> prompt,
                                       std::span<const int32_t> output) {
  const auto in_range = [this](int32_t id) { return id >= 0 && id < num_sampled_ids_; };
  for (const auto& [id, bias] : params.logit_bias) {
    if (in_range(id)) logits_[static_cast<std::size_t>(id)] += bias;
  }
  if (params.repetition_penalty != 1.0F) {
    for (const auto& tokens : {prompt, output}) {
      for (const int32_t id : tokens) {
        if (!in_range(id) || std::exchange(seen_[static_cast<std::size_t>(id)], uint8_t{1}) != 0) continue;
        float& logit = logits_[static_cast<std::size_t>(id)];
        logit = logit > 0.0F ? logit / params.repetition_penalty : logit * params.repetition_penalty;
        logit = std::min(logit, std::numeric_limits<float>::max());  // a penalty below 1 may overflow
      }
    }
    for (const auto& tokens : {prompt, output}) {
      for (const int32_t id : tokens) {
        if (in_range(id)) seen_[static_cast<std::size_t>(id)] = 0;
      }
    }
  }
  if (params.presence_penalty != 0.0F || params.frequency_penalty != 0.0F) {
    for (const int32_t id : output) {
      if (in_range(id)) ++counts_[static_cast<std::size_t>(id)];
    }
    for (const int32_t id : output) {
      if (!in_range(id)) continue;
      const int32_t count = std::exchange(counts_[static_cast<std::size_t>(id)], 0);
      if (count == 0) continue;  // an earlier occurrence has done it
      logits_[static_cast<std::size_t>(id)] -=
          params.presence_penalty + params.frequency_penalty * static_cast<float>(count);
    }
  }
}

int32_t Sampler::draw(const SamplingParams& params, uint64_t index) {
  const float largest = *std::max_element(logits_.begin(), logits_.end());
  const double inverse_temperature = 1.0 / params.temperature;
  // Relative to the most likely token: what lies beyond exp(-50) cannot be drawn from 53 bits, and dropping
  // it at once keeps the sort below short.
  constexpr double kFloor = -50.0;
  candidates_.clear();
  for (int64_t id = 0; id < num_sampled_ids_; ++id) {
    const float logit = logits_[static_cast<std::size_t>(id)];
    if ((static_cast<double>(logit) - largest) * inverse_temperature >= kFloor) {
      candidates_.push_back({logit, static_cast<int32_t>(id)});
    }
  }
  const auto more_likely = [](const Candidate& a, const Candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
  };
  if (params.top_k > 0 && static_cast<std::size_t>(params.top_k) < candidates_.size()) {
    std::nth_element(candidates_.begin(), candidates_.begin() + params.top_k, candidates_.end(), more_likely);
    candidates_.resize(static_cast<std::size_t>(params.top_k));
  }
  std::sort(candidates_.begin(), candidates_.end(), more_likely);

  const auto probability = [&](const Candidate& candidate) {
    return std::exp((static_cast<double>(candidate.logit) - largest) * inverse_temperature);
  };
  double total = 0.0;
  for (const Candidate& candidate : candidates_) total += probability(candidate);
  if (params.top_p < 1.0F) {
    double kept = 0.0;
    std::size_t count = 0;
    while (count < candidates_.size() && kept < params.top_p * total)
      kept += probability(candidates_[count++]);
    candidates_.resize(std::max<std::size_t>(count, 1));
    total = kept;
  }
  while (candidates_.size() > 1 && probability(candidates_.back()) < params.min_p) {  // the most likely has 1
    total -= probability(candidates_.back());
    candidates_.pop_back();
  }
  double target = uniform(params.seed, index) * total;
  for (const Candidate& candidate : candidates_) {
    target -= probability(candidate);
    if (target < 0.0) return candidate.id;
  }
  return candidates_.back().id;  // rounding only
}

}  // namespace gossamer
