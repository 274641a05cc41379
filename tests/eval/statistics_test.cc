#include "eval/statistics.h"

#include <gtest/gtest.h>

namespace gossamer {
namespace {

// Newcombe 1998, table I: 81 of 263.
TEST(Statistics, WilsonIntervalAsPublished) {
  const Interval interval = wilson_interval(81, 263);
  EXPECT_NEAR(interval.low, 0.2553, 5e-5);
  EXPECT_NEAR(interval.high, 0.3662, 5e-5);
  EXPECT_EQ(wilson_interval(0, 0).high, 1.0);
  EXPECT_EQ(wilson_interval(0, 20).low, 0.0);
  EXPECT_NEAR(wilson_interval(0, 20).high, 0.1611, 5e-5);
  EXPECT_EQ(wilson_interval(20, 20).high, 1.0);
}

TEST(Statistics, BootstrapSurroundsTheMeanAndRepeats) {
  std::vector<double> values;
  for (int i = 0; i < 400; ++i) values.push_back(i % 4 == 0 ? 1.0 : 0.0);
  const std::vector<std::vector<double>> one = {values};
  const Interval interval = bootstrap_interval(one);
  // The normal approximation: 0.25 +- 1.96 * sqrt(0.1875 / 400) = 0.25 +- 0.0424.
  EXPECT_NEAR(interval.low, 0.2076, 0.01);
  EXPECT_NEAR(interval.high, 0.2924, 0.01);
  EXPECT_EQ(bootstrap_interval(one).low, interval.low);
}

// Groups weigh the same, whatever their size; constant ones have no spread.
TEST(Statistics, BootstrapAveragesGroups) {
  const std::vector<std::vector<double>> groups = {{1.0, 1.0, 1.0, 1.0}, {0.0}, {}};
  const Interval interval = bootstrap_interval(groups);
  EXPECT_DOUBLE_EQ(interval.low, 0.5);
  EXPECT_DOUBLE_EQ(interval.high, 0.5);
}

}  // namespace
}  // namespace gossamer
