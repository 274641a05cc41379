#include "engine/compare_logits.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace gossamer {
namespace {

TEST(CompareLogits, IsZeroForTheSameDistribution) {
  const std::vector<float> logits = {1, -2, 0.5F};
  std::vector<float> shifted = logits;
  for (float& logit : shifted) logit += 3;
  EXPECT_EQ(compare_logits(logits, logits).divergence, 0.0);
  const LogitsDifference difference = compare_logits(logits, shifted);
  EXPECT_NEAR(difference.divergence, 0.0, 1e-12);
  EXPECT_TRUE(difference.same_top);
  EXPECT_DOUBLE_EQ(difference.squared_error, 27.0);
  EXPECT_DOUBLE_EQ(difference.squared_norm, 5.25);
}

TEST(CompareLogits, IsTheDivergenceFromTheExpectedOne) {
  // p = (3/4, 1/4), q = (1/4, 3/4)
  const std::vector<float> p = {std::log(3.0F), 0};
  const std::vector<float> q = {0, std::log(3.0F)};
  const LogitsDifference difference = compare_logits(p, q);
  EXPECT_NEAR(difference.divergence, 0.5 * std::log(3.0), 1e-6);
  EXPECT_FALSE(difference.same_top);
}

TEST(TokenLoss, IsTheLogarithmOfTheProbability) {
  const std::vector<float> logits = {std::log(3.0F), 0};
  EXPECT_NEAR(token_loss(logits, 1), std::log(4.0), 1e-6);
  const std::vector<float> large = {1000, 0};
  EXPECT_NEAR(token_loss(large, 1), 1000.0, 1e-9);
}

}  // namespace
}  // namespace gossamer
