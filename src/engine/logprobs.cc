#include "engine/logprobs.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "engine/logit_row.h"

namespace gossamer {

TokenLogprobs compute_logprobs(std::span<const float> logits, int32_t id, int num_top) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto vocab_size = static_cast<int64_t>(logits.size());
  GOSSAMER_CHECK_GE(id, 0);
  GOSSAMER_CHECK_LT(id, vocab_size);
  GOSSAMER_CHECK_GE(num_top, 0);
  GOSSAMER_CHECK_LE(num_top, vocab_size);
  LogitRow row(vocab_size);
  const bool broken = row.reset(logits).has_value();
  GOSSAMER_CHECK(!broken);

  const double largest = row.largest();
  // The largest's own term is exactly 1, so that no logarithm is negative and no probability above 1.
  const double log_sum = largest == -kInfinity
                             ? 0.0
                             : std::log(row.sum_exp(std::numeric_limits<float>::lowest(), /*scale=*/1.0F));
  const auto entry = [&](int32_t of, float logit) {
    const double logprob = logit == -kInfinity ? -kInfinity : (logit - largest) - log_sum;
    return TokenLogprobs::Entry{of, static_cast<float>(logprob)};
  };
  TokenLogprobs result{.token = entry(id, row[id]), .rank = row.count_above(row[id]), .top = {}};
  if (num_top == 0) return result;

  struct Candidate {
    float logit;
    int32_t id;
  };
  std::vector<Candidate> candidates;
  row.for_each_from(row.reached_by(num_top), [&](int32_t of, float logit) {
    candidates.push_back({logit, of});
  });
  const auto end = candidates.begin() + num_top;
  std::partial_sort(candidates.begin(), end, candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
  });
  result.top.reserve(static_cast<std::size_t>(num_top));
  for (auto candidate = candidates.begin(); candidate != end; ++candidate) {
    result.top.push_back(entry(candidate->id, candidate->logit));
  }
  return result;
}

}  // namespace gossamer
