// The sampler finds its token mostly without sorting, and without copying the row. Here is what it finds, in
// the plainest way, and the claim that both agree on every token, whatever the row and the parameters.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "engine/sampler.h"
#include "engine/token_constraint.h"

namespace gossamer {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// The row after bias, penalties, mask and forbidden ids: in float, in the documented order.
std::vector<float> plain_row(const SamplingInput& input) {
  const SamplingParams& params = input.params;
  std::vector<float> row(input.logits.begin(), input.logits.end());
  const auto at = [&](int32_t id) -> float& { return row[static_cast<std::size_t>(id)]; };
  for (const auto& [id, bias] : params.logit_bias) at(id) += bias;
  if (params.repetition_penalty != 1.0F) {
    std::set<int32_t> seen(input.prompt.begin(), input.prompt.end());
    seen.insert(input.output.begin(), input.output.end());
    for (const int32_t id : seen) {
      const float scaled =
          at(id) > 0.0F ? at(id) / params.repetition_penalty : at(id) * params.repetition_penalty;
      at(id) = std::min(scaled, std::numeric_limits<float>::max());
    }
  }
  if (params.presence_penalty != 0.0F || params.frequency_penalty != 0.0F) {
    for (const int32_t id : std::set<int32_t>(input.output.begin(), input.output.end())) {
      const auto count = static_cast<float>(std::count(input.output.begin(), input.output.end(), id));
      at(id) -= params.presence_penalty + params.frequency_penalty * count;
    }
  }
  for (std::size_t id = 0; id < row.size() && !input.mask.empty(); ++id) {
    if (!is_allowed(input.mask, static_cast<int32_t>(id))) row[id] = -kInfinity;
  }
  for (const int32_t id : input.forbidden) at(id) = -kInfinity;
  return row;
}

struct PlainDraw {
  int32_t id = 0;
  // How far the draw was from giving a neighbour instead, as a share of the sum: the sampler's own sum is in
  // float, whose terms are wrong by some 1e-6.
  double margin = 1.0;
};

// The token, or nothing when nothing can be chosen.
std::optional<PlainDraw> plain_sample(const SamplingInput& input) {
  const SamplingParams& params = input.params;
  const std::vector<float> row = plain_row(input);
  const auto first_largest = std::max_element(row.begin(), row.end());
  const double largest = *first_largest;
  if (largest == -kInfinity) return std::nullopt;
  if (params.temperature == 0.0F) return PlainDraw{static_cast<int32_t>(first_largest - row.begin())};

  const double inverse_temperature = 1.0 / params.temperature;
  std::vector<int32_t> ids;
  for (std::size_t id = 0; id < row.size(); ++id) {
    if (row[id] > -kInfinity) ids.push_back(static_cast<int32_t>(id));
  }
  const auto logit = [&](int32_t id) { return row[static_cast<std::size_t>(id)]; };
  const auto weight = [&](int32_t id) { return std::exp((logit(id) - largest) * inverse_temperature); };
  const auto sum = [&] {
    double total = 0.0;
    for (const int32_t id : ids) total += weight(id);
    return total;
  };
  double margin = 1.0;
  if (params.top_k > 0 || params.top_p < 1.0F) {  // else: in order of the ids
    std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) { return logit(a) > logit(b); });
  }
  if (params.top_k > 0 && static_cast<std::size_t>(params.top_k) < ids.size()) {
    ids.resize(static_cast<std::size_t>(params.top_k));
  }
  if (params.top_p < 1.0F) {
    const double total = sum();
    double kept = 0.0;
    std::size_t count = 0;
    while (count < ids.size() && kept < params.top_p * total) {
      margin = std::min(margin, std::abs(kept - params.top_p * total) / total);
      kept += weight(ids[count++]);
    }
    margin = std::min(margin, std::abs(kept - params.top_p * total) / total);
    ids.resize(std::max<std::size_t>(count, 1));
  }
  std::erase_if(ids, [&](int32_t id) {
    const double ratio = weight(id) / params.min_p;
    if (params.min_p > 0.0F) margin = std::min(margin, std::abs(ratio - 1.0));
    return params.min_p > 0.0F && weight(id) < params.min_p && weight(id) < 1.0;
  });
  const auto bits = philox(input.seed, input.index);
  const uint64_t joined = (static_cast<uint64_t>(bits[0]) << 32) | bits[1];
  const double total = sum();
  double target = static_cast<double>(joined >> 11) * 0x1p-53 * total;
  for (const int32_t id : ids) {
    margin = std::min(margin, std::abs(target) / total);
    target -= weight(id);
    margin = std::min(margin, std::abs(target) / total);
    if (target < 0.0) return PlainDraw{id, margin};
  }
  return PlainDraw{ids.back(), margin};
}

// A draw so near to its neighbour says nothing.
constexpr double kClose = 2e-5;

using Generator = std::mt19937;

float between(Generator& generator, float low, float high) {
  return std::uniform_real_distribution<float>(low, high)(generator);
}
bool chance(Generator& generator, float probability) { return between(generator, 0.0F, 1.0F) < probability; }

// Rows of every kind: flat, peaked, with ties, with a few far above the others, with -infinity, huge,
// constant.
std::vector<float> random_row(std::size_t vocab_size, Generator& generator) {
  const int kind = std::uniform_int_distribution<int>(0, 6)(generator);
  const float spread = std::exp(between(generator, -2.0F, 3.0F));
  std::normal_distribution<float> normal(between(generator, -20.0F, 20.0F), spread);
  std::vector<float> row(vocab_size);
  for (float& logit : row) {
    logit = normal(generator);
    if (kind == 1) logit = std::round(logit * 4.0F) / 4.0F;
    if (kind == 2 && chance(generator, 0.3F)) logit = -kInfinity;
    if (kind == 3) logit *= 1e37F / spread;
    if (kind == 4) logit = 1.5F;
    if (kind == 5) logit = std::copysign(0.0F, logit);
  }
  if (kind == 6 || kind == 0) {  // like those of a language model
    for (int i = 0; i < 20; ++i) row[generator() % vocab_size] += between(generator, 0.0F, 6.0F * spread);
  }
  for (float& logit : row) logit = std::min(logit, std::numeric_limits<float>::max());
  return row;
}

struct Case {
  std::vector<float> logits;
  SamplingParams params;
  std::vector<int32_t> prompt;
  std::vector<int32_t> output;
  std::vector<uint64_t> mask;
  std::vector<int32_t> forbidden;
  uint64_t index = 0;

  SamplingInput input() const {
    return {.logits = logits,
            .params = params,
            .seed = params.seed,
            .index = index,
            .prompt = prompt,
            .output = output,
            .mask = mask,
            .forbidden = forbidden};
  }
};

std::vector<int32_t> random_ids(std::size_t vocab_size, int at_most, Generator& generator) {
  std::vector<int32_t> ids(generator() % static_cast<uint32_t>(at_most + 1));
  for (int32_t& id : ids) id = static_cast<int32_t>(generator() % vocab_size);
  return ids;
}

std::vector<uint64_t> random_mask(std::size_t vocab_size, Generator& generator) {
  std::vector<uint64_t> mask((vocab_size + 63) / 64 + generator() % 3);
  const float dense = between(generator, 0.0F, 1.0F);
  for (uint64_t& word : mask) {
    word = 0;
    if (chance(generator, 0.4F))
      word = chance(generator, dense) ? ~uint64_t{0} : 0;
    else
      for (int bit = 0; bit < 64; ++bit) word |= uint64_t{chance(generator, dense)} << bit;
  }
  return mask;
}

SamplingParams random_params(std::size_t vocab_size, Generator& generator) {
  SamplingParams params{.seed = generator()};
  const float kind = between(generator, 0.0F, 1.0F);
  params.temperature = kind < 0.15F  ? 0.0F
                       : kind < 0.5F ? 1.0F
                       : kind < 0.6F ? 1e-40F
                                     : std::exp(between(generator, -16.0F, 4.6F));
  if (chance(generator, 0.25F)) params.top_k = 1 + static_cast<int32_t>(generator() % 1200);
  if (chance(generator, 0.3F)) params.top_p = between(generator, 0.001F, 1.0F);
  if (chance(generator, 0.2F)) params.min_p = std::exp(between(generator, -20.0F, 0.0F));
  if (chance(generator, 0.3F)) params.repetition_penalty = between(generator, 0.5F, 2.0F);
  if (chance(generator, 0.3F)) params.presence_penalty = between(generator, -2.0F, 2.0F);
  if (chance(generator, 0.3F)) params.frequency_penalty = between(generator, -2.0F, 2.0F);
  if (chance(generator, 0.3F)) {
    for (const int32_t id : random_ids(vocab_size, 20, generator))
      params.logit_bias[id] = between(generator, -100.0F, 100.0F);
  }
  return params;
}

Case random_case(std::size_t vocab_size, Generator& generator) {
  Case result{.logits = random_row(vocab_size, generator), .params = random_params(vocab_size, generator)};
  result.prompt = random_ids(vocab_size, 100, generator);
  result.output = random_ids(vocab_size, 30, generator);
  for (const int32_t id : random_ids(result.output.size() + 1, 10, generator))  // some of them repeat
    result.output.push_back(result.output.empty() ? 0 : result.output[static_cast<std::size_t>(id) / 2]);
  if (chance(generator, 0.3F)) result.mask = random_mask(vocab_size, generator);
  if (chance(generator, 0.2F)) result.forbidden = random_ids(vocab_size, 5, generator);
  result.index = generator();
  return result;
}

TEST(SamplerDefinition, EveryTokenIsTheOneThatSortingTheVocabularyGives) {
  Generator generator(1);
  struct Size {
    std::size_t vocab_size;
    int num_cases;
  };
  for (const auto& [vocab_size, num_cases] :
       {Size{1, 50}, Size{2, 200}, Size{60, 500}, Size{255, 200}, Size{256, 200}, Size{257, 200},
        Size{5000, 300}, Size{40000, 100}, Size{201088, 40}}) {
    Sampler sampler(static_cast<int64_t>(vocab_size), static_cast<int64_t>(vocab_size));
    std::set<int32_t> different;
    for (int i = 0; i < num_cases; ++i) {
      const Case one = random_case(vocab_size, generator);
      const auto expected = plain_sample(one.input());
      const auto found = sampler.sample(one.input());
      ASSERT_EQ(found.ok(), expected.has_value()) << vocab_size << " case " << i;
      if (!expected || expected->margin < kClose) continue;
      ASSERT_EQ(found.value(), expected->id)
          << vocab_size << " case " << i << ", temperature " << one.params.temperature << ", top_k "
          << one.params.top_k << ", top_p " << one.params.top_p << ", min_p " << one.params.min_p;
      different.insert(expected->id);
    }
    if (vocab_size >= 60) {
      EXPECT_GE(different.size(), 20U) << "a test of few tokens shows little";
    }
  }
}

// Draws deep in the tail and at the edge of each filter: where the bounds decide least.
TEST(SamplerDefinition, HoldsForManyDrawsFromOneRow) {
  constexpr std::size_t kVocab = 10000;
  Generator generator(2);
  std::normal_distribution<float> normal(0.0F, 1.0F);
  for (const float spread : {0.1F, 1.0F, 2.0F, 4.0F}) {
    std::vector<float> logits(kVocab);
    for (float& logit : logits) logit = normal(generator) * spread;
    for (const SamplingParams& params :
         {SamplingParams{.seed = 3}, SamplingParams{.top_p = 0.9F, .seed = 4},
          SamplingParams{.min_p = 1e-4F, .seed = 5}, SamplingParams{.top_k = 70, .seed = 6}}) {
      Sampler sampler(kVocab, kVocab);
      int num_compared = 0;
      for (uint64_t index = 0; index < 30; ++index) {
        const SamplingInput input{.logits = logits, .params = params, .seed = params.seed, .index = index};
        const PlainDraw expected = plain_sample(input).value();
        if (expected.margin < kClose) continue;
        ++num_compared;
        ASSERT_EQ(sampler.sample(input).value(), expected.id)
            << "spread " << spread << ", seed " << params.seed << ", index " << index;
      }
    }
  }
}

TEST(SamplerDefinition, ATenthOfAPercentOfTemperatureWouldBeNoticed) {
  constexpr std::size_t kVocab = 5000;
  Generator generator(7);
  std::normal_distribution<float> normal(0.0F, 2.0F);
  std::vector<float> logits(kVocab);
  for (float& logit : logits) logit = normal(generator);
  const SamplingParams params{.temperature = 1.0F};
  const SamplingParams other{.temperature = 1.001F};
  Sampler sampler(kVocab, kVocab);
  int num_different = 0;
  for (uint64_t index = 0; index < 200; ++index) {
    const auto found = sampler.sample({.logits = logits, .params = other, .index = index});
    const auto expected = plain_sample({.logits = logits, .params = params, .index = index});
    num_different += found.value() != expected->id && expected->margin > kClose ? 1 : 0;
  }
  EXPECT_GT(num_different, 0);
}

}  // namespace
}  // namespace gossamer
