#include "eval/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

namespace gossamer {
namespace {

// SplitMix64, the same on every platform.
class Random {
 public:
  std::size_t below(std::size_t bound) {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15U);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9U;
    z = (z ^ z >> 27) * 0x94D049BB133111EBU;
    return static_cast<std::size_t>((z ^ z >> 31) % bound);
  }

 private:
  uint64_t state_ = 0;
};

constexpr double kZ = 1.959963984540054;  // of 95 %, two-sided

}  // namespace

double mean(std::span<const double> values) {
  if (values.empty()) return 0.0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

Interval wilson_interval(std::size_t right, std::size_t total) {
  if (total == 0) return {.low = 0.0, .high = 1.0};
  const auto n = static_cast<double>(total);
  const double share = static_cast<double>(right) / n;
  const double centre = share + kZ * kZ / (2.0 * n);
  const double spread = kZ * std::sqrt(share * (1.0 - share) / n + kZ * kZ / (4.0 * n * n));
  const double scale = 1.0 + kZ * kZ / n;
  return {.low = std::max(0.0, (centre - spread) / scale), .high = std::min(1.0, (centre + spread) / scale)};
}

Interval bootstrap_interval(std::span<const std::vector<double>> groups) {
  constexpr std::size_t kResamples = 1000;
  constexpr std::size_t kTail = 25;  // on each side
  std::vector<double> means;
  Random random;
  for (std::size_t sample = 0; sample < kResamples; ++sample) {
    double sum = 0.0;
    std::size_t num_groups = 0;
    for (const std::vector<double>& group : groups) {
      if (group.empty()) continue;
      double of_group = 0.0;
      for (std::size_t i = 0; i < group.size(); ++i) of_group += group[random.below(group.size())];
      sum += of_group / static_cast<double>(group.size());
      ++num_groups;
    }
    if (num_groups == 0) return {};
    means.push_back(sum / static_cast<double>(num_groups));
  }
  std::sort(means.begin(), means.end());
  return {.low = means[kTail], .high = means[kResamples - 1 - kTail]};
}

}  // namespace gossamer
