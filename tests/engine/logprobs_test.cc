#include "engine/logprobs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "engine/logit_row.h"

namespace gossamer {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> normal_row(std::size_t size, float mean, float spread, uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(mean, spread);
  std::vector<float> row(size);
  for (float& logit : row) logit = normal(generator);
  return row;
}

// Natural logarithm of the sum of exp(logit), in the widest arithmetic there is.
long double plain_log_sum(const std::vector<float>& logits) {
  const long double largest = *std::max_element(logits.begin(), logits.end());
  long double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<long double>(logit) - largest);
  return largest + std::log(sum);
}

struct Row {
  std::string name;
  std::vector<float> logits;
};

std::vector<Row> rows() {
  constexpr std::size_t kVocab = 201088;
  std::vector<Row> rows;
  for (const std::size_t size : {1U, 2U, 255U, 256U, 257U, 50257U}) {
    rows.push_back({"normal of " + std::to_string(size), normal_row(size, 3.0F, 2.0F, 1)});
  }
  rows.push_back({"flat", normal_row(kVocab, -5.0F, 0.01F, 2)});
  rows.push_back({"wide", normal_row(kVocab, 0.0F, 30.0F, 3)});
  rows.push_back({"constant", std::vector<float>(kVocab, 7.3F)});
  Row peaked{"peaked", normal_row(kVocab, 0.0F, 2.5F, 4)};
  peaked.logits[12345] = 25.0F;
  peaked.logits[200000] = 24.0F;
  rows.push_back(peaked);
  // All far below one and equal: their errors do not cancel out. About 12 below, both sides weigh the same.
  for (const float depth : {0.37F, 6.1F, 11.9F, 12.2F, 15.7F, 40.3F, 86.9F, 87.1F, 200.0F}) {
    Row row{"one above by " + std::to_string(depth), std::vector<float>(kVocab, 12.3F - depth)};
    row.logits[777] = 12.3F;
    rows.push_back(row);
  }
  Row holes{"with -infinity", normal_row(kVocab, 2.0F, 3.0F, 5)};
  for (std::size_t id = 0; id < kVocab; ++id) {
    if (id % 3 != 0 || (id > 1000 && id < 9000)) holes.logits[id] = -kInfinity;
  }
  rows.push_back(holes);
  Row huge{"huge", normal_row(kVocab, 0.0F, 1e37F, 6)};
  rows.push_back(huge);
  return rows;
}

TEST(Logprobs, AreWithinTheirErrorOfTheExactOnes) {
  long double worst = 0;
  for (const auto& [name, logits] : rows()) {
    const long double log_sum = plain_log_sum(logits);
    std::mt19937 generator(7);
    for (int i = 0; i < 8; ++i) {
      const std::size_t id =
          i == 0 ? static_cast<std::size_t>(std::max_element(logits.begin(), logits.end()) - logits.begin())
                 : generator() % logits.size();
      const float found = compute_logprobs(logits, static_cast<int32_t>(id), 0).token.logprob;
      const long double exact = static_cast<long double>(logits[id]) - log_sum;
      if (std::isinf(exact)) {
        EXPECT_EQ(found, -kInfinity) << name;
        continue;
      }
      EXPECT_LE(found, 0.0F) << name;
      const long double rounding = std::abs(exact) * 0x1p-24L;  // of the result to float
      EXPECT_LE(std::abs(found - exact), 2e-6L + rounding) << name << " token " << id;
      worst = std::max(worst, std::abs(found - exact) - rounding);
    }
  }
  RecordProperty("worst_error", std::to_string(static_cast<double>(worst) * 1e9));
}

TEST(Logprobs, RankCountsTheTokensThatAreMoreLikely) {
  const std::vector<float> logits = {1.0F, 3.0F, 3.0F, -kInfinity, 2.0F, -kInfinity};
  std::vector<int64_t> ranks;
  for (int32_t id = 0; id < 6; ++id) ranks.push_back(compute_logprobs(logits, id, 0).rank);
  EXPECT_EQ(ranks, (std::vector<int64_t>{3, 0, 0, 4, 2, 4}));
  for (const auto& [name, row] : rows()) {
    const std::size_t id = row.size() / 2;
    const auto plain = std::count_if(row.begin(), row.end(), [&](float logit) { return logit > row[id]; });
    EXPECT_EQ(compute_logprobs(row, static_cast<int32_t>(id), 0).rank, plain) << name;
  }
}

TEST(Logprobs, TopIsTheBeginningOfTheSortedVocabulary) {
  for (const auto& [name, logits] : rows()) {
    std::vector<int32_t> order(logits.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&, &row = logits](int32_t a, int32_t b) {
      return row[static_cast<std::size_t>(a)] > row[static_cast<std::size_t>(b)];
    });
    const int all = static_cast<int>(logits.size());
    for (const int num_top : {0, 1, 5, 20, 785, 786, 787, 5000, all}) {
      if (num_top > all) continue;
      const TokenLogprobs found = compute_logprobs(logits, 0, num_top);
      ASSERT_EQ(found.top.size(), static_cast<std::size_t>(num_top)) << name;
      for (std::size_t i = 0; i < found.top.size(); ++i)
        ASSERT_EQ(found.top[i].id, order[i]) << name << " place " << i << " of " << num_top;
      if (num_top == all) {
        const auto own = std::find_if(found.top.begin(), found.top.end(),
                                      [](const TokenLogprobs::Entry& entry) { return entry.id == 0; });
        EXPECT_EQ(own->logprob, found.token.logprob) << name;
      }
    }
  }
}

TEST(Logprobs, OfARowThatIsMinusInfinityEverywhereAreMinusInfinity) {
  const std::vector<float> logits(300, -kInfinity);
  const TokenLogprobs found = compute_logprobs(logits, 299, 2);
  EXPECT_EQ(found.token.logprob, -kInfinity);
  EXPECT_EQ(found.rank, 0);
  ASSERT_EQ(found.top.size(), 2U);
  EXPECT_EQ(found.top[1].id, 1);
  EXPECT_EQ(found.top[1].logprob, -kInfinity);
}

TEST(Logprobs, DependOnTheLogitsAloneNotOnWhereTheyLie) {
  const std::vector<float> logits = normal_row(5000, 0.0F, 4.0F, 8);
  const TokenLogprobs expected = compute_logprobs(logits, 17, 3);
  for (std::size_t offset = 0; offset < 33; ++offset) {
    std::vector<float> elsewhere(logits.size() + offset + 40, 1e30F);
    std::copy(logits.begin(), logits.end(), elsewhere.begin() + static_cast<std::ptrdiff_t>(offset));
    const TokenLogprobs found =
        compute_logprobs(std::span<const float>(elsewhere).subspan(offset, logits.size()), 17, 3);
    EXPECT_EQ(found.token.logprob, expected.token.logprob);
    for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(found.top[i].logprob, expected.top[i].logprob);
  }
}

// Recorded: the same bits on every processor, instruction set, compiler and optimisation level.
TEST(LogitRow, AddsExponentialsToTheSameBitsEverywhere) {
  std::vector<float> logits(3000);
  uint32_t state = 12345;
  for (float& logit : logits) {
    state = state * 1664525U + 1013904223U;
    logit = static_cast<float>(static_cast<int32_t>(state) >> 8) * 0x1p-19F;  // -16 to 16, exact
  }
  LogitRow row(3000);
  ASSERT_FALSE(row.reset(logits));
  EXPECT_EQ(row.sum_exp(std::numeric_limits<float>::lowest(), 1.0F), 0x1.61dba6d25b7ffp+6);
  EXPECT_EQ(row.sum_exp(-5.0F, 0.7F), 0x1.fe50c336875dp+6);
}

TEST(LogitRow, BoundsTheErrorOfEveryTerm) {
  std::mt19937 generator(9);
  for (int i = 0; i < 20000; ++i) {
    const float largest = std::uniform_real_distribution<float>(-30.0F, 30.0F)(generator);
    const float depth = std::uniform_real_distribution<float>(0.0F, 15.0F)(generator);
    const float scale = i % 2 == 0 ? 1.0F : std::uniform_real_distribution<float>(0.01F, 1.0F)(generator);
    const std::vector<float> logits = {largest, largest - depth};
    LogitRow row(2);
    ASSERT_FALSE(row.reset(logits));
    const double exponent = (static_cast<double>(logits[1]) - logits[0]) * scale;
    const double term = row.sum_exp(std::numeric_limits<float>::lowest(), scale) - 1.0;  // the other one's
    const double bound = 3e-7 + (scale == 1.0F ? 6e-8 : 1.8e-7) * -exponent;
    if (logits[1] < logits[0]) {
      EXPECT_NEAR(term / std::exp(exponent), 1.0, bound) << exponent;
    }
  }
}

TEST(LogitRow, ChangesLeaveTheGivenRowAlone) {
  const std::vector<float> given = normal_row(1000, 0.0F, 1.0F, 10);
  const std::vector<float> logits = given;
  LogitRow row(1000);
  ASSERT_FALSE(row.reset(logits));
  for (const int32_t id : {0, 255, 256, 999}) row.change(id) = 50.0F + static_cast<float>(id);
  std::vector<uint64_t> mask(16, ~uint64_t{0});
  mask[15] &= ~(uint64_t{1} << 39);  // 999
  row.allow_only(mask);
  row.update_maxima();
  EXPECT_EQ(row.first_largest(), 256);
  EXPECT_EQ(row.largest(), 306.0F);
  EXPECT_EQ(row[999], -kInfinity);
  EXPECT_EQ(row.count_above(49.0F), 3);
  EXPECT_EQ(logits, given);
  ASSERT_FALSE(row.reset(logits));  // and are gone with the next row
  for (int32_t id = 0; id < 1000; ++id) EXPECT_EQ(row[id], given[static_cast<std::size_t>(id)]);
  EXPECT_EQ(row.largest(), *std::max_element(given.begin(), given.end()));
}

}  // namespace
}  // namespace gossamer
