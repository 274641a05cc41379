#include "engine/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace gossamer {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Philox4x32-10 written a second time, from the paper's description and for any counter, so that the
// published known answers (Random123, kat_vectors) apply to it and it to ours.
std::array<uint32_t, 4> plain_philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t left = uint64_t{0xD2511F53} * counter[0];
    const uint64_t right = uint64_t{0xCD9E8D57} * counter[2];
    const auto high = [](uint64_t product) { return static_cast<uint32_t>(product >> 32); };
    const auto low = [](uint64_t product) { return static_cast<uint32_t>(product); };
    counter = {high(right) ^ counter[1] ^ key[0], low(right), high(left) ^ counter[3] ^ key[1], low(left)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

std::vector<float> random_logits(std::size_t count, float spread, uint32_t seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0F, spread);
  std::vector<float> logits(count);
  for (float& logit : logits) logit = normal(generator);
  return logits;
}

Result<int32_t> sample(Sampler& sampler, const std::vector<float>& logits, const SamplingParams& params,
                       const std::vector<int32_t>& prompt = {}, const std::vector<int32_t>& output = {},
                       uint64_t index = 0) {
  return sampler.sample({.logits = logits,
                         .params = params,
                         .seed = params.seed,
                         .index = index,
                         .prompt = prompt,
                         .output = output});
}

// What sampling should draw from, written down plainly in double precision and in the documented order.
std::vector<double> plain_distribution(const std::vector<float>& logits, const SamplingParams& params,
                                       const std::vector<int32_t>& prompt = {},
                                       const std::vector<int32_t>& output = {}) {
  std::vector<double> x(logits.begin(), logits.end());
  for (const auto& [id, bias] : params.logit_bias) x[static_cast<std::size_t>(id)] += bias;
  std::set<int32_t> seen(prompt.begin(), prompt.end());
  seen.insert(output.begin(), output.end());
  for (const int32_t id : seen) {
    double& logit = x[static_cast<std::size_t>(id)];
    logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
  }
  for (const int32_t id : std::set<int32_t>(output.begin(), output.end())) {
    const auto count = std::count(output.begin(), output.end(), id);
    x[static_cast<std::size_t>(id)] -= params.presence_penalty + params.frequency_penalty * double(count);
  }
  const double largest = *std::max_element(x.begin(), x.end());
  for (double& logit : x) logit = std::exp((logit - largest) / params.temperature);

  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return x[a] > x[b]; });
  if (params.top_k > 0) {
    for (std::size_t rank = static_cast<std::size_t>(params.top_k); rank < order.size(); ++rank)
      x[order[rank]] = 0;
  }
  const double total = std::accumulate(x.begin(), x.end(), 0.0);
  double before = 0;
  for (const std::size_t id : order) {  // a token stays while those before it have not reached top_p
    const double weight = x[id];
    if (before >= params.top_p * total) x[id] = 0;
    before += weight;
  }
  for (double& weight : x) {
    if (weight < params.min_p) weight = 0;  // the most likely has weight 1
  }
  const double kept = std::accumulate(x.begin(), x.end(), 0.0);
  for (double& weight : x) weight /= kept;
  return x;
}

std::vector<int> count_draws(const std::vector<float>& logits, const SamplingParams& params, int num_draws,
                             const std::vector<int32_t>& prompt = {},
                             const std::vector<int32_t>& output = {}) {
  Sampler sampler(static_cast<int64_t>(logits.size()), static_cast<int64_t>(logits.size()));
  std::vector<int> counts(logits.size(), 0);
  for (int i = 0; i < num_draws; ++i) {
    const auto id = sample(sampler, logits, params, prompt, output, static_cast<uint64_t>(i));
    EXPECT_TRUE(id.ok());
    ++counts[static_cast<std::size_t>(id.value())];
  }
  return counts;
}

// Pearson's statistic, and how far above its mean it may lie: five standard deviations of a chi-square
// distribution with that many degrees of freedom. Tokens expected less than five times are pooled.
struct ChiSquare {
  double statistic = 0;
  double limit = 0;
};
ChiSquare chi_square(const std::vector<int>& counts, const std::vector<double>& expected, int num_draws) {
  ChiSquare result;
  int cells = 0;
  double pooled_expected = 0;
  double pooled_count = 0;
  const auto add = [&](double wanted, double found) {
    result.statistic += (found - wanted) * (found - wanted) / wanted;
    ++cells;
  };
  for (std::size_t id = 0; id < counts.size(); ++id) {
    const double wanted = expected[id] * num_draws;
    if (wanted >= 5) {
      add(wanted, counts[id]);
    } else {
      pooled_expected += wanted;
      pooled_count += counts[id];
    }
  }
  if (pooled_expected > 0.5) add(pooled_expected, pooled_count);
  const double freedom = std::max(cells - 1, 1);
  result.limit = freedom + 5 * std::sqrt(2 * freedom);
  return result;
}

void expect_drawn_from(const std::vector<float>& logits, const SamplingParams& params,
                       const std::vector<int32_t>& prompt = {}, const std::vector<int32_t>& output = {}) {
  constexpr int kDraws = 20000;
  const std::vector<double> expected = plain_distribution(logits, params, prompt, output);
  const std::vector<int> counts = count_draws(logits, params, kDraws, prompt, output);
  const auto [statistic, limit] = chi_square(counts, expected, kDraws);
  EXPECT_LT(statistic, limit);
  int num_possible = 0;
  for (std::size_t id = 0; id < counts.size(); ++id) {
    num_possible += expected[id] > 0 ? 1 : 0;
    if (expected[id] == 0) {
      EXPECT_EQ(counts[id], 0) << "token " << id << " was filtered out";
    }
  }
  EXPECT_GT(num_possible, 1) << "a test of one possible token shows nothing";
}

TEST(Philox, GivesThePublishedKnownAnswers) {
  using Four = std::array<uint32_t, 4>;
  EXPECT_EQ(plain_philox({0, 0, 0, 0}, {0, 0}), (Four{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(plain_philox({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Four{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(plain_philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Four{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
  EXPECT_EQ(philox(0, 0), (Four{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
}

TEST(Philox, UsesAllBitsOfSeedAndCounter) {
  std::mt19937_64 generator(1);
  for (int i = 0; i < 1000; ++i) {
    const uint64_t seed = generator();
    const uint64_t counter = generator();
    const auto expected =
        plain_philox({static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0},
                     {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
    EXPECT_EQ(philox(seed, counter), expected);
  }
}

TEST(Sampler, GreedyTakesTheFirstOfEqualLogits) {
  Sampler sampler(6, 6);
  const std::vector<float> logits = {-1.0F, 3.0F, 2.0F, 3.0F, 3.0F, 0.0F};
  EXPECT_EQ(sample(sampler, logits, {.temperature = 0.0F}, {}, {}, 0).value(), 1);
}

TEST(Sampler, DrawsWithTheSoftmaxsFrequencies) {
  const std::vector<float> logits = random_logits(50, 1.5F, 2);
  expect_drawn_from(logits, {.seed = 3});
  expect_drawn_from(logits, {.temperature = 0.5F, .seed = 4});
  expect_drawn_from(logits, {.temperature = 2.0F, .seed = 5});
}

TEST(Sampler, ChiSquareCatchesATemperatureThatIsTenPercentOff) {
  constexpr int kDraws = 20000;
  const std::vector<float> logits = random_logits(50, 1.5F, 2);
  const auto expected = plain_distribution(logits, {.temperature = 1.0F});
  const auto counts = count_draws(logits, {.temperature = 1.1F, .seed = 3}, kDraws);
  const auto [statistic, limit] = chi_square(counts, expected, kDraws);
  EXPECT_GT(statistic, limit);
}

TEST(Sampler, EachFilterKeepsWhatAPlainComputationKeeps) {
  const std::vector<float> logits = random_logits(60, 2.0F, 6);
  expect_drawn_from(logits, {.top_k = 7, .seed = 7});
  expect_drawn_from(logits, {.top_p = 0.7F, .seed = 8});
  expect_drawn_from(logits, {.min_p = 0.05F, .seed = 9});
  expect_drawn_from(logits, {.temperature = 1.7F,
                             .top_k = 20,
                             .top_p = 0.9F,
                             .min_p = 0.04F,
                             .logit_bias = {{3, 2.0F}, {5, -100.0F}},
                             .seed = 10});
}

TEST(Sampler, TopPKeepsTheTokenThatReachesIt) {
  // Probabilities 1/2, 1/4, 1/8, 1/8: a half is reached by the first token alone, a bit more needs a second.
  const std::vector<float> logits = {std::log(4.0F), std::log(2.0F), 0.0F, 0.0F};
  const auto tokens_at = [&](float top_p) {
    const auto counts = count_draws(logits, {.top_p = top_p}, 2000);
    return std::count_if(counts.begin(), counts.end(), [](int count) { return count > 0; });
  };
  EXPECT_EQ(tokens_at(0.49F), 1);
  EXPECT_EQ(tokens_at(0.51F), 2);
  EXPECT_EQ(tokens_at(0.76F), 3);
  EXPECT_EQ(tokens_at(1e-6F), 1);
  EXPECT_EQ(tokens_at(1.0F), 4);
}

TEST(Sampler, TopKOfOneIsGreedyWithTheFirstOfEquals) {
  const std::vector<float> logits = {0.0F, 5.0F, 5.0F, 1.0F};
  EXPECT_THAT(count_draws(logits, {.top_k = 1}, 500), testing::ElementsAre(0, 500, 0, 0));
}

TEST(Sampler, PenaltiesAndBiasFollowTheirFormulas) {
  const std::vector<float> logits = random_logits(30, 1.5F, 11);
  const std::vector<int32_t> prompt = {1, 2, 3, 3, 3};
  const std::vector<int32_t> output = {4, 5, 5, 5, 2};
  expect_drawn_from(logits, {.repetition_penalty = 1.8F, .seed = 12}, prompt, output);
  expect_drawn_from(logits, {.presence_penalty = 1.5F, .seed = 13}, prompt, output);
  expect_drawn_from(logits, {.frequency_penalty = 0.8F, .seed = 14}, prompt, output);
  expect_drawn_from(logits, {.frequency_penalty = -0.8F, .seed = 14}, prompt, output);
  expect_drawn_from(logits,
                    {.repetition_penalty = 0.7F,
                     .presence_penalty = -0.5F,
                     .frequency_penalty = 0.3F,
                     .logit_bias = {{4, 1.0F}, {7, -2.0F}},
                     .seed = 15},
                    prompt, output);
}

TEST(Sampler, CountsNothingFromACallBefore) {
  const std::vector<float> logits = {1.0F, 0.9F, 0.0F};
  const SamplingParams params{.temperature = 0.0F, .repetition_penalty = 1.5F, .frequency_penalty = 0.2F};
  Sampler sampler(3, 3);
  const std::vector<int32_t> used = {0, 0};
  EXPECT_EQ(sample(sampler, logits, params, {}, used, 2).value(), 1);
  EXPECT_EQ(sample(sampler, logits, params, {}, {}, 0).value(), 0);
}

TEST(Sampler, TheSameSeedAndIndexGiveTheSameToken) {
  const std::vector<float> logits = random_logits(1000, 1.0F, 16);
  const auto draw = [&](uint64_t seed) {
    Sampler sampler(1000, 1000);
    std::vector<int32_t> ids;
    for (uint64_t i = 0; i < 50; ++i)
      ids.push_back(sample(sampler, logits, {.seed = seed}, {}, {}, i).value());
    return ids;
  };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
  EXPECT_NE(draw(1), draw(uint64_t{1} << 32 | 1));
}

TEST(Sampler, NeverGivesAnIdBeyondTheSampledOnes) {
  std::vector<float> logits(20, 0.0F);
  std::fill(logits.begin() + 15, logits.end(), 50.0F);
  logits[19] = std::numeric_limits<float>::quiet_NaN();  // nor looks at it
  Sampler sampler(20, 15);
  std::set<int32_t> drawn;
  for (uint64_t i = 0; i < 2000; ++i)
    drawn.insert(sample(sampler, logits, {.logit_bias = {{17, 100.0F}}}, {}, {}, i).value());
  EXPECT_EQ(drawn.size(), 15U);
  EXPECT_EQ(*drawn.rbegin(), 14);
  EXPECT_EQ(sample(sampler, logits, {.temperature = 0.0F}, {}, {}, 0).value(), 0);
}

TEST(Sampler, ReportsNonFiniteLogitsWithPlaceAndValue) {
  Sampler sampler(4, 4);
  const std::vector<int32_t> prompt = {1, 2, 3};
  for (const float broken : {std::numeric_limits<float>::quiet_NaN(), kInfinity}) {
    const auto result = sample(sampler, std::vector<float>{0.0F, 1.0F, broken, 2.0F}, {}, prompt, {}, 0);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().kind, RequestErrorKind::kInternal);
    EXPECT_THAT(result.error().message,
                testing::AllOf(testing::HasSubstr("token 2"), testing::HasSubstr("position 2")));
  }
}

TEST(Sampler, TakesMinusInfinityAsNeverUnlessThereIsNothingElse) {
  Sampler sampler(3, 3);
  for (uint64_t i = 0; i < 100; ++i) {
    EXPECT_NE(sample(sampler, std::vector<float>{0.0F, -kInfinity, 0.0F}, {}, {}, {}, i).value(), 1);
  }
  EXPECT_FALSE(sample(sampler, std::vector<float>(3, -kInfinity), {}, {}, {}, 0).ok());
}

// Bits of `ids`, for any vocabulary up to `vocab_size`.
std::vector<uint64_t> mask_of(const std::vector<int32_t>& ids, std::size_t vocab_size) {
  std::vector<uint64_t> mask((vocab_size + 63) / 64, 0);
  for (const int32_t id : ids) mask[static_cast<std::size_t>(id) / 64] |= uint64_t{1} << (id % 64);
  return mask;
}

TEST(Sampler, GivesTheOnlyTokenThatTheMaskAllows) {
  constexpr std::size_t kVocab = 1000;
  const std::vector<float> logits = random_logits(kVocab, 3.0F, 17);
  Sampler sampler(kVocab, kVocab);
  for (const int32_t id : {0, 63, 64, 255, 256, 700, 768, 998, 999}) {
    const std::vector<uint64_t> mask = mask_of({id}, kVocab);
    for (const float temperature : {0.0F, 1.0F, 100.0F}) {
      const SamplingParams params{.temperature = temperature, .repetition_penalty = 1.1F};
      const std::vector<int32_t> output = {id, 3};
      const auto chosen =
          sampler.sample({.logits = logits, .params = params, .prompt = {}, .output = output, .mask = mask});
      EXPECT_EQ(chosen.value(), id);
    }
  }
}

TEST(Sampler, LooksAtNoWordOfTheMaskBeyondTheSampledIds) {
  const std::vector<float> logits(200, 1.0F);
  Sampler sampler(200, 100);
  const SamplingParams params{.seed = 18};
  std::vector<uint64_t> mask = mask_of({7, 99, 100, 199}, 640);
  std::set<int32_t> drawn;
  for (uint64_t i = 0; i < 200; ++i)
    drawn.insert(sampler.sample({.logits = logits, .params = params, .index = i, .mask = mask}).value());
  EXPECT_THAT(drawn, testing::ElementsAre(7, 99));
}

TEST(Sampler, DrawsWithTheSoftmaxsFrequenciesOfWhatMaskAndForbiddenLeave) {
  constexpr std::size_t kVocab = 600;
  constexpr int kDraws = 20000;
  const std::vector<float> logits = random_logits(kVocab, 1.5F, 19);
  std::vector<int32_t> allowed;
  for (int32_t id = 100; id < 600; id += id % 7 + 1) allowed.push_back(id);
  const std::vector<uint64_t> mask = mask_of(allowed, kVocab);
  const std::vector<int32_t> forbidden = {allowed[3], allowed[17], 5, -1, 600};
  std::vector<float> left(kVocab, -kInfinity);
  for (const int32_t id : allowed) left[static_cast<std::size_t>(id)] = logits[static_cast<std::size_t>(id)];
  for (const std::size_t i : {3U, 17U}) left[static_cast<std::size_t>(allowed[i])] = -kInfinity;

  Sampler sampler(kVocab, kVocab);
  for (const SamplingParams& params :
       {SamplingParams{.seed = 20}, SamplingParams{.temperature = 0.7F, .top_p = 0.9F, .seed = 21}}) {
    std::vector<int> counts(kVocab, 0);
    for (uint64_t i = 0; i < kDraws; ++i) {
      const auto id = sampler.sample({.logits = logits,
                                      .params = params,
                                      .seed = params.seed,
                                      .index = i,
                                      .mask = mask,
                                      .forbidden = forbidden});
      ++counts[static_cast<std::size_t>(id.value())];
    }
    const std::vector<double> expected = plain_distribution(left, params);
    const auto [statistic, limit] = chi_square(counts, expected, kDraws);
    EXPECT_LT(statistic, limit);
    for (std::size_t id = 0; id < kVocab; ++id) {
      if (expected[id] == 0) {
        EXPECT_EQ(counts[id], 0) << "token " << id;
      }
    }
  }
}

TEST(Sampler, SaysWhetherTheConstraintOrTheLogitsLeaveNothing) {
  constexpr std::size_t kVocab = 300;
  std::vector<float> logits(kVocab, 0.0F);
  logits[270] = -kInfinity;
  const SamplingParams params;
  Sampler sampler(kVocab, kVocab);
  const auto message = [&](const std::vector<uint64_t>& mask, const std::vector<int32_t>& forbidden) {
    const auto result =
        sampler.sample({.logits = logits, .params = params, .mask = mask, .forbidden = forbidden});
    if (result.ok()) return std::string("a token");
    EXPECT_EQ(result.error().kind, RequestErrorKind::kInternal);
    return result.error().message;
  };
  const auto constraint = testing::HasSubstr("the constraint allows none");
  EXPECT_THAT(message(mask_of({}, kVocab), {}), constraint);
  EXPECT_THAT(message(mask_of({4, 5}, kVocab), {5, 4}), constraint);
  EXPECT_EQ(message(mask_of({4, 5}, kVocab), {5}), "a token");
  EXPECT_THAT(message(mask_of({270, 5}, kVocab), {5}),
              testing::AllOf(testing::HasSubstr("every allowed token's logit is -infinity"),
                             testing::Not(constraint)));
}

TEST(Sampler, ReportsNonFiniteLogitsOfMaskedAndForbiddenTokensToo) {
  constexpr std::size_t kVocab = 600;
  const std::vector<uint64_t> mask = mask_of({1, 2, 3}, kVocab);
  const std::vector<int32_t> forbidden = {300};
  const SamplingParams params;
  Sampler sampler(kVocab, kVocab);
  for (const float broken :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::quiet_NaN(), kInfinity}) {
    for (const std::size_t place : {0U, 255U, 256U, 300U, 599U}) {
      std::vector<float> logits(kVocab, 0.0F);
      logits[place] = broken;
      const auto result =
          sampler.sample({.logits = logits, .params = params, .mask = mask, .forbidden = forbidden});
      ASSERT_FALSE(result.ok());
      EXPECT_THAT(result.error().message, testing::HasSubstr("token " + std::to_string(place) + " "));
    }
  }
}

TEST(Sampler, SurvivesTheExtremesOfEveryParameter) {
  const float huge = std::numeric_limits<float>::max();
  const std::vector<float> logits = {huge, -huge, 1.0F, -1.0F, 0.0F};
  const std::vector<int32_t> output = {0, 1, 2, 3};
  Sampler sampler(5, 5);
  for (const float temperature : {0.0F, std::numeric_limits<float>::denorm_min(), 1.0F, 100.0F}) {
    for (const float penalty : {0.01F, 1.0F, 100.0F}) {
      for (const float top_p : {std::numeric_limits<float>::denorm_min(), 1.0F}) {
        for (const float min_p : {0.0F, 1.0F}) {
          const SamplingParams params{.temperature = temperature,
                                      .top_k = 3,
                                      .top_p = top_p,
                                      .min_p = min_p,
                                      .repetition_penalty = penalty,
                                      .presence_penalty = -2.0F,
                                      .frequency_penalty = 2.0F,
                                      .logit_bias = {{0, 100.0F}, {1, -100.0F}}};
          ASSERT_FALSE(check_sampling_params(params, 5));
          const auto id = sample(sampler, logits, params, {}, output, 4);
          ASSERT_TRUE(id.ok()) << id.error().message;
          EXPECT_EQ(id.value(), 0);
        }
      }
    }
  }
}

TEST(SamplingParams, AreCheckedWithNameRangeAndValue) {
  const auto message = [](SamplingParams params) {
    const auto error = check_sampling_params(params, 10);
    return error ? error->message : std::string();
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(message({}), "");
  EXPECT_EQ(message({.temperature = -0.5F}), "temperature: expected 0 to 100, found -0.5");
  EXPECT_THAT(message({.temperature = nan}), testing::HasSubstr("temperature"));
  EXPECT_THAT(message({.top_k = -1}), testing::HasSubstr("top_k"));
  EXPECT_THAT(message({.top_p = 0.0F}), testing::HasSubstr("top_p"));
  EXPECT_THAT(message({.top_p = 1.01F}), testing::HasSubstr("top_p"));
  EXPECT_THAT(message({.min_p = 1.5F}), testing::HasSubstr("min_p"));
  EXPECT_THAT(message({.repetition_penalty = 0.0F}), testing::HasSubstr("repetition"));
  EXPECT_THAT(message({.presence_penalty = 2.1F}), testing::HasSubstr("presence"));
  EXPECT_THAT(message({.frequency_penalty = kInfinity}), testing::HasSubstr("frequency"));
  EXPECT_THAT(message({.logit_bias = {{10, 1.0F}}}),
              testing::AllOf(testing::HasSubstr("0 to 9"), testing::HasSubstr("found 10")));
  EXPECT_THAT(message({.logit_bias = {{-1, 1.0F}}}), testing::HasSubstr("found -1"));
  EXPECT_THAT(message({.logit_bias = {{1, nan}}}), testing::HasSubstr("logit_bias"));
}

}  // namespace
}  // namespace gossamer
