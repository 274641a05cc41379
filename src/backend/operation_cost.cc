#include "backend/operation_cost.h"

#include <algorithm>
#include <cmath>

namespace gossamer {
namespace {

// The sum of min(position + 1, window) over the positions [0, end): what tokens up to there see.
double sum_seen(int64_t end, int window) {
  const auto triangle = [](double n) { return n * (n + 1) / 2; };
  const auto n = static_cast<double>(end);
  const auto w = static_cast<double>(window);
  if (window == 0 || end <= window) return triangle(n);
  return triangle(w) + (n - w) * w;
}

}  // namespace

double seen_keys(const TokenSpan& span, int window) {
  return sum_seen(span.end, window) - sum_seen(span.begin, window);
}

double read_positions(const TokenSpan& span, int window) {
  const int64_t first = window == 0 ? 0 : std::max<int64_t>(0, span.begin - window + 1);
  return static_cast<double>(span.end - first);
}

double kv_position_bytes(const KvPoolConfig& config) {
  return static_cast<double>(KvPool::page_bytes(config)) / kPageTokens;
}

double expected_experts(int64_t num_experts, int64_t num_experts_per_token, int64_t num_tokens) {
  if (num_experts == 0) return 0.0;
  const auto experts = static_cast<double>(num_experts);
  const double missed = 1.0 - static_cast<double>(num_experts_per_token) / experts;
  return experts * (1.0 - std::pow(missed, static_cast<double>(num_tokens)));
}

}  // namespace gossamer
