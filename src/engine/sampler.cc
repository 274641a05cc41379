#include "engine/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
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

// For temperatures so low that only the most likely count, a scale that is still finite.
float inverse(float temperature) { return static_cast<float>(std::min(1.0 / double{temperature}, 1e30)); }

// How many candidates top-p begins with.
constexpr int64_t kFirstCandidates = 128;

}  // namespace

bool Sampler::more_likely(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

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
  if (row_.reset(input.logits, input.maxima)) {
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
  const double share = uniform(input.seed, input.index);
  const bool from_all = input.params.top_k == 0 && input.params.top_p == 1.0F;
  return from_all ? draw_from_all(input.params, share) : draw_from_most_likely(input.params, share);
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

// Where `share` of the probability lies, in order of the ids: no sorting.
int32_t Sampler::draw_from_all(const SamplingParams& params, double share) {
  float least = std::numeric_limits<float>::lowest();
  if (params.min_p > 0.0F) {  // exp((logit - largest) / temperature) >= min_p
    const double logit = row_.largest() + double{params.temperature} * std::log(double{params.min_p});
    least = std::max(least, static_cast<float>(logit));
  }
  const float scale = inverse(params.temperature);
  row_.sum_exp(least, scale);
  return row_.id_at(share, least, scale);
}

// Where it lies in order of probability, among those that top-k, top-p and min-p leave.
int32_t Sampler::draw_from_most_likely(const SamplingParams& params, double share) {
  const double largest = row_.largest();
  const double scale = inverse(params.temperature);
  double total = 0.0;
  if (params.top_k == 0)
    total = row_.sum_exp(std::numeric_limits<float>::lowest(), inverse(params.temperature));
  double kept = 0.0;
  // As many candidates as it takes to reach top_p: mostly few.
  for (int64_t wanted = params.top_k > 0 ? params.top_k : kFirstCandidates;; wanted *= 8) {
    const bool all = collect(wanted) || params.top_k > 0;
    sort_candidates();
    weights_.clear();
    for (const Candidate& candidate : candidates_)
      weights_.push_back(std::exp((candidate.logit - largest) * scale));
    if (params.top_k > 0) total = std::accumulate(weights_.begin(), weights_.end(), 0.0);
    kept = 0.0;
    std::size_t count = 0;
    while (count < weights_.size() && kept < params.top_p * total) kept += weights_[count++];
    if (!all && kept < params.top_p * total) continue;
    weights_.resize(std::max<std::size_t>(count, 1));
    break;
  }
  while (weights_.size() > 1 && weights_.back() < params.min_p) {  // the most likely has 1
    kept -= weights_.back();
    weights_.pop_back();
  }
  double target = share * kept;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    target -= weights_[i];
    if (target < 0.0) return candidates_[i].id;
  }
  return candidates_[weights_.size() - 1].id;  // rounding only
}

// Makes the `wanted` most likely tokens candidates, of equal ones those with lower ids. True when there are
// no others (but those that are never chosen).
bool Sampler::collect(int64_t wanted) {
  const float reached = row_.reached_by(wanted);
  const float least = std::max(reached, std::numeric_limits<float>::lowest());
  candidates_.clear();
  row_.for_each_from(least, [&](int32_t id, float logit) { candidates_.push_back({logit, id}); });
  if (static_cast<int64_t>(candidates_.size()) <= wanted) return reached < least;
  std::nth_element(candidates_.begin(), candidates_.begin() + wanted, candidates_.end(), more_likely);
  candidates_.resize(static_cast<std::size_t>(wanted));
  return false;
}

// Most likely first; ties: the lower id first.
void Sampler::sort_candidates() {
  constexpr std::size_t kFew = 4096;
  if (candidates_.size() <= kFew) {
    std::sort(candidates_.begin(), candidates_.end(), more_likely);
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

}  // namespace gossamer
