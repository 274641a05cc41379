// How sure a score is. Called by the reports of the evaluations.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace gossamer {

// Both ends are inclusive.
struct Interval {
  double low = 0.0;
  double high = 0.0;
};

double mean(std::span<const double> values);

// Wilson's score interval, 95 %, for a share of right answers. [0, 1] where there are none.
Interval wilson_interval(std::size_t right, std::size_t total);

// The 95 % percentile bootstrap (1,000 resamples, a fixed seed) of the mean of the groups' means: every group
// is resampled within itself. One group: of its mean. Groups without values are left out.
Interval bootstrap_interval(std::span<const std::vector<double>> groups);

}  // namespace gossamer
