// The measures of precision against numbers worked out by hand.
#include "eval/precision.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace gossamer {
namespace {

using Ids = std::vector<int32_t>;

TEST(TokenMatch, CountsEqualPositionsAndFindsTheFirstDifference) {
  const TokenMatch match = match_tokens(Ids{1, 2, 3, 4, 5}, Ids{1, 2, 9, 4, 8});
  EXPECT_EQ(match.num_positions, 5U);
  EXPECT_EQ(match.num_equal, 3U);
  EXPECT_EQ(match.first_difference, 2U);
  EXPECT_FALSE(match.identical());
}

TEST(TokenMatch, MissingTokensAreDifferences) {
  const TokenMatch match = match_tokens(Ids{1, 2, 3, 4}, Ids{1, 2});
  EXPECT_EQ(match.num_positions, 4U);
  EXPECT_EQ(match.num_equal, 2U);
  EXPECT_EQ(match.first_difference, 2U);
  EXPECT_TRUE(match_tokens(Ids{7, 8}, Ids{7, 8}).identical());
  EXPECT_TRUE(match_tokens(Ids{}, Ids{}).identical());
}

TEST(AnswerRougeL, EqualTextsHaveOneExactlyEvenWithoutAWord) {
  EXPECT_EQ(answer_rouge_l("The capital is Paris.", "The capital is Paris."), 1.0);
  EXPECT_EQ(answer_rouge_l("", ""), 1.0);
  EXPECT_EQ(answer_rouge_l("...", "..."), 1.0);
  EXPECT_EQ(answer_rouge_l("Paris", ""), 0.0);
  // 3 of 4 words on both sides.
  EXPECT_NEAR(answer_rouge_l("the capital is Paris", "the capital is Rome"), 0.75, 1e-6);
}

TEST(CosineSimilarity, IsExactForEqualVectorsAndRightForOthers) {
  const std::vector<float> a = {0.1F, -2.7F, 3.3F, 1e-3F};
  EXPECT_EQ(cosine_similarity(a, a), 1.0);
  EXPECT_NEAR(*cosine_similarity(std::vector{3.0F, 4.0F}, std::vector{4.0F, 3.0F}), 24.0 / 25.0, 1e-15);
  EXPECT_NEAR(*cosine_similarity(std::vector{1.0F, 0.0F}, std::vector{0.0F, 5.0F}), 0.0, 1e-15);
}

TEST(CosineSimilarity, HasNoValueForWhatHasNoDirection) {
  EXPECT_EQ(cosine_similarity(std::vector{0.0F}, std::vector{1.0F}), std::nullopt);
  EXPECT_EQ(cosine_similarity(std::vector{1.0F}, std::vector{1.0F, 2.0F}), std::nullopt);
  EXPECT_EQ(cosine_similarity(std::vector{NAN}, std::vector{1.0F}), std::nullopt);
}

TEST(TruncatedDivergence, IsTheDivergenceOverTheNamedTokensAndTheRest) {
  const auto log = [](double p) { return static_cast<float>(std::log(p)); };
  const std::vector<TokenLogprob> p = {{1, log(0.5)}, {2, log(0.25)}};
  const std::vector<TokenLogprob> q = {{2, log(0.4)}, {1, log(0.4)}};
  const double expected =
      0.5 * std::log(0.5 / 0.4) + 0.25 * std::log(0.25 / 0.4) + 0.25 * std::log(0.25 / 0.2);
  EXPECT_NEAR(truncated_divergence(p, q), expected, 1e-6);
  EXPECT_EQ(truncated_divergence(p, p), 0.0);
  // Only token 1 is named by both: {1, other}.
  const std::vector<TokenLogprob> other = {{1, log(0.4)}, {3, log(0.4)}};
  EXPECT_NEAR(truncated_divergence(p, other), 0.5 * std::log(0.5 / 0.4) + 0.5 * std::log(0.5 / 0.6), 1e-6);
}

TEST(TruncatedDivergence, NeverExceedsTheDivergenceOfTheWhole) {
  const std::vector<double> p = {0.4, 0.3, 0.15, 0.1, 0.05};
  const std::vector<double> q = {0.1, 0.35, 0.3, 0.05, 0.2};
  double whole = 0.0;
  for (std::size_t i = 0; i < p.size(); ++i) whole += p[i] * std::log(p[i] / q[i]);
  for (int count = 1; count <= 4; ++count) {
    std::vector<TokenLogprob> a;
    std::vector<TokenLogprob> b;
    for (int i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(i);
      a.push_back({i, static_cast<float>(std::log(p[at]))});
      b.push_back({i, static_cast<float>(std::log(q[at]))});
    }
    EXPECT_LE(truncated_divergence(a, b), whole + 1e-6);
    EXPECT_GT(truncated_divergence(a, b), 0.0);
  }
}

// Worked out by hand: two tokens of probability 1/2 and 1/4 for the reference, 1/4 and 1/4 for the other.
TEST(DivergenceStatistics, AreThoseOfLlamaPerplexity) {
  const double log2 = std::log(2.0);
  const std::vector<PredictedToken> tokens = {
      {.expected_loss = log2, .found_loss = 2 * log2, .divergence = 0.3, .same_top = true},
      {.expected_loss = 2 * log2, .found_loss = 2 * log2, .divergence = 0.1, .same_top = false}};
  const DivergenceStatistics found = compute_divergence_statistics(tokens);
  EXPECT_EQ(found.num_tokens, 2U);
  EXPECT_NEAR(found.perplexity.value, 4.0, 1e-12);
  EXPECT_NEAR(found.perplexity.error, 0.0, 1e-7);
  EXPECT_NEAR(found.expected_perplexity.value, std::exp2(1.5), 1e-12);
  // The losses' standard error: sqrt((1 + 4) / 2 - 1.5^2) ln 2 / sqrt(2 - 1) = ln 2 / 2.
  EXPECT_NEAR(found.expected_perplexity.error, std::exp2(1.5) * log2 / 2, 1e-12);
  EXPECT_NEAR(found.log_ratio.value, log2 / 2, 1e-12);
  EXPECT_NEAR(found.log_ratio.error, log2 / 2, 1e-12);
  EXPECT_NEAR(found.ratio.value, std::sqrt(2.0), 1e-12);
  EXPECT_NEAR(found.difference.value, 4.0 - std::exp2(1.5), 1e-12);
  EXPECT_NEAR(found.divergence.value, 0.2, 1e-12);
  EXPECT_NEAR(found.divergence.error, 0.1, 1e-12);
  EXPECT_NEAR(found.probability_change.value, -0.125, 1e-12);
  EXPECT_NEAR(found.probability_change_rms.value, std::sqrt(0.0625 / 2), 1e-12);
  EXPECT_EQ(found.same_top.value, 0.5);
  EXPECT_NEAR(found.same_top.error, 0.5, 1e-12);
  EXPECT_EQ(found.divergences, (std::vector{0.1, 0.3}));
}

TEST(DivergenceStatistics, InterpolatePercentiles) {
  const std::vector<double> values = {0.0, 1.0, 2.0, 10.0};
  EXPECT_EQ(DivergenceStatistics::percentile(values, 0.0), 0.0);
  EXPECT_EQ(DivergenceStatistics::percentile(values, 0.5), 1.5);
  EXPECT_EQ(DivergenceStatistics::percentile(values, 1.0), 10.0);
  EXPECT_NEAR(DivergenceStatistics::percentile(values, 0.9), 2.0 + 0.7 * 8.0, 1e-12);
}

TEST(DivergenceStatistics, OfOneTokenHaveNoErrors) {
  const std::vector<PredictedToken> token = {{.expected_loss = 1.0, .found_loss = 1.0, .same_top = true}};
  const DivergenceStatistics found = compute_divergence_statistics(token);
  EXPECT_EQ(found.perplexity.error, 0.0);
  EXPECT_EQ(found.difference.value, 0.0);
  EXPECT_EQ(found.same_top.error, 0.0);
}

}  // namespace
}  // namespace gossamer
