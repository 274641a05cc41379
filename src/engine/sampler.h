// Choosing the next token from a row of logits. Pure functions of the row, the parameters, the tokens so far
// and a counter: the same seed gives the same text whatever runs beside it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"
#include "engine/logit_row.h"

namespace gossamer {

// Ranges are those of check_sampling_params. Applied in this order: logit_bias, repetition_penalty (prompt
// and output), presence and frequency penalties (output), temperature, top_k, top_p, min_p.
struct SamplingParams {
  float temperature = 1.0F;  // 0: greedy
  int32_t top_k = 0;         // 0: off
  float top_p = 1.0F;        // smallest set of most likely tokens whose probabilities reach this
  float min_p = 0.0F;        // drops tokens less likely than this times the most likely
  float repetition_penalty =
      1.0F;  // Keskar et al. 2019, arXiv:1909.05858: divides positive, multiplies negative logits
  float presence_penalty = 0.0F;
  float frequency_penalty = 0.0F;
  std::map<int32_t, float> logit_bias;
  uint64_t seed = 0;
};

// Says which parameter is out of range, what was expected and what was found; nothing when all are fine.
std::optional<RequestError> check_sampling_params(const SamplingParams& params, int64_t vocab_size);

// Philox4x32-10 (Salmon et al., SC 2011): random bits number `counter` of stream `seed`.
std::array<uint32_t, 4> philox(uint64_t seed, uint64_t counter);

// NaN and +infinity mean that the forward pass broke; -infinity is a fine way to say never. An error value
// that names the position, the first such token and its logit; nothing when the row is fine.
std::optional<RequestError> check_logits(std::span<const float> logits, int64_t position);

// A row of logits and what decides about it.
struct SamplingInput {
  std::span<const float> logits;  // [vocab_size]
  std::span<const float> maxima;  // of Backend::linear_with_maxima; empty: not known
  const SamplingParams& params;
  uint64_t seed = 0;   // of this sequence
  uint64_t index = 0;  // how many tokens this sequence has given before
  std::span<const int32_t> prompt;
  std::span<const int32_t> output;
  std::span<const uint64_t> mask;      // token_constraint.h; empty: every token may come
  std::span<const int32_t> forbidden;  // never chosen
};

// Scratch for one vocabulary; one sampler serves one thread.
class Sampler {
 public:
  // Ids from `num_sampled_ids` on are never chosen (rows beyond the tokenizer's vocabulary).
  Sampler(int64_t vocab_size, int64_t num_sampled_ids);

  // Chooses a token. An error value when a logit is NaN or +infinity (masked ones too), or when nothing can
  // be chosen.
  Result<int32_t> sample(const SamplingInput& input);

 private:
  struct Candidate {
    float logit;
    int32_t id;
  };
  // Ties: the lower id first.
  static bool more_likely(const Candidate& a, const Candidate& b);
  // Says why the row is -infinity everywhere.
  RequestError nothing_left(const SamplingInput& input) const;
  void apply_bias_and_penalties(const SamplingInput& input);
  int32_t draw_from_all(const SamplingParams& params, double share);
  int32_t draw_from_most_likely(const SamplingParams& params, double share);
  bool collect(int64_t wanted);
  void sort_candidates();

  int64_t num_sampled_ids_;
  LogitRow row_;                       // [num_sampled_ids]
  std::vector<int32_t> counts_;        // [num_sampled_ids] occurrences in the output; zero between calls
  std::vector<uint8_t> seen_;          // [num_sampled_ids] occurs in prompt or output; zero between calls
  std::vector<Candidate> candidates_;  // the most likely tokens, in order
  std::vector<Candidate> sorted_;      // sort_candidates' other half
  std::vector<double> weights_;        // [candidates] probabilities relative to the most likely token's
};

}  // namespace gossamer
