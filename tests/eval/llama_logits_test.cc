// Files of llama-perplexity: one built by hand byte by byte, a round trip, and what is refused.
#include "eval/llama_logits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "base/error.h"

namespace gossamer {
namespace {

using testing::HasSubstr;

template <typename T>
void append(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(T));
}

// One window of 4 tokens, 3 words: rows for positions 2 only, since the first half and the last are not
// judged.
std::string by_hand() {
  std::string bytes = "_logits_";
  for (const int32_t number : {4, 3, 1}) append<int32_t>(bytes, number);
  for (const int32_t id : {0, 2, 1, 2}) append<int32_t>(bytes, id);
  append<float>(bytes, 0.001F);  // scale
  append<float>(bytes, -20.0F);  // lowest
  // log p: about -20 + 19.307 = -0.693, the same, and -20 (left out); a fourth code fills the row
  for (const uint16_t code : {19307, 19307, 0, 0}) append<uint16_t>(bytes, code);
  return bytes;
}

LlamaLogits open(const std::string& bytes) { return {std::as_bytes(std::span(bytes)), "base.kld"}; }

std::string mistake(const std::string& bytes) {
  try {
    open(bytes);
  } catch (const Error& error) {
    return error.what();
  }
  return "no mistake was found";
}

std::filesystem::path temporary(const char* name) {
  return std::filesystem::temp_directory_path() / ("gossamer_" + std::to_string(::getpid()) + "_" + name);
}

TEST(LlamaLogits, ReadsAFileBuiltByHand) {
  const std::string bytes = by_hand();
  const LlamaLogits file = open(bytes);
  EXPECT_EQ(file.shape().window, 4);
  EXPECT_EQ(file.shape().vocab_size, 3);
  EXPECT_EQ(file.shape().num_windows, 1);
  EXPECT_EQ(file.shape().rows_per_window(), 1U);
  EXPECT_EQ(file.shape().first_position(), 2U);
  EXPECT_EQ(file.tokens(0), (std::vector<int32_t>{0, 2, 1, 2}));
  // The model: 1/4, 1/2, 1/4.
  const std::vector<float> logits = {1.0F, 1.0F + std::log(2.0F), 1.0F};
  const PredictedToken token = file.compare(0, 0, logits, 0);
  EXPECT_NEAR(token.expected_loss, 0.693, 1e-5);
  EXPECT_NEAR(token.found_loss, std::log(4.0), 1e-5);
  const double p = std::exp(-0.693);
  EXPECT_NEAR(token.divergence, p * (-0.693 + std::log(4.0)) + p * (-0.693 + std::log(2.0)), 1e-5);
  EXPECT_FALSE(token.same_top);  // equal codes: the first word
  EXPECT_NEAR(file.compare(0, 0, logits, 2).expected_loss, 20.0, 1e-5);
}

TEST(LlamaLogits, WritesWhatItReadsToTheByte) {
  constexpr LlamaLogitsShape kShape{.window = 7, .vocab_size = 5, .num_windows = 2};
  const std::vector<int32_t> ids = {0, 1, 2, 3, 4, 0, 1, 4, 3, 2, 1, 0, 4, 3};
  const auto path = temporary("round_trip");
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0.0F, 4.0F);
  std::vector<std::vector<float>> rows(6, std::vector<float>(5));
  {
    LlamaLogitsWriter writer(path, kShape, ids);
    for (auto& row : rows) {
      for (float& logit : row) logit = normal(random);
      writer.append(row);
    }
    EXPECT_FALSE(std::filesystem::exists(path));  // until it is whole
    writer.finish();
  }
  std::ifstream stream(path, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(stream), {});
  std::filesystem::remove(path);
  // 8 + 3 * 4 of header, 14 tokens, 6 rows of 2 floats and 6 codes: 5 and one that fills up.
  ASSERT_EQ(bytes.size(), 20U + 14 * 4 + 6 * (8 + 6 * 2));
  EXPECT_EQ(bytes.substr(0, 8), "_logits_");
  const LlamaLogits file = open(bytes);
  EXPECT_EQ(file.tokens(1), (std::vector<int32_t>{4, 3, 2, 1, 0, 4, 3}));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::vector<float>& logits = rows[i];
    double sum = 0.0;
    for (const float logit : logits) sum += std::exp(double{logit});
    for (int32_t id = 0; id < 5; ++id) {
      const PredictedToken token = file.compare(i / 3, i % 3, logits, id);
      const double loss = std::log(sum) - double{logits[static_cast<std::size_t>(id)]};
      EXPECT_NEAR(token.found_loss, loss, 1e-5);
      if (loss < 15.0) EXPECT_NEAR(token.expected_loss, loss, 16.0 / 65535);
      EXPECT_NEAR(token.divergence, 0.0, 1e-3);
      EXPECT_TRUE(token.same_top);
    }
  }
}

TEST(LlamaLogits, EqualLogitsAreARowWithoutScale) {
  constexpr LlamaLogitsShape kShape{.window = 4, .vocab_size = 2, .num_windows = 1};
  const auto path = temporary("equal");
  LlamaLogitsWriter writer(path, kShape, std::vector<int32_t>{0, 1, 0, 1});
  writer.append(std::vector{3.0F, 3.0F});
  writer.finish();
  std::ifstream stream(path, std::ios::binary);
  const std::string bytes(std::istreambuf_iterator<char>(stream), {});
  std::filesystem::remove(path);
  const PredictedToken token = open(bytes).compare(0, 0, std::vector{3.0F, 3.0F}, 1);
  EXPECT_NEAR(token.expected_loss, std::log(2.0), 1e-6);
  EXPECT_NEAR(token.divergence, 0.0, 1e-6);
}

TEST(LlamaLogits, RemovesAFileThatIsNotFinished) {
  const auto path = temporary("partial");
  {
    LlamaLogitsWriter writer(path, {.window = 4, .vocab_size = 2, .num_windows = 1}, std::vector<int32_t>(4));
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_FALSE(std::filesystem::exists(path.string() + ".partial"));
}

TEST(LlamaLogits, NamesTheFileAndTheByteOfWhatIsWrong) {
  const std::string right = by_hand();
  const auto with = [&](std::size_t offset, auto value) {
    std::string bytes = right;
    std::memcpy(bytes.data() + offset, &value, sizeof(value));
    return bytes;
  };
  EXPECT_THAT(mistake("_logit"), HasSubstr("base.kld: byte 0: expected \"_logits_\""));
  EXPECT_THAT(mistake("_logits_1234"), HasSubstr("byte 12: expected a header of 20 bytes"));
  EXPECT_THAT(mistake(with(8, int32_t{2})), HasSubstr("byte 8: expected a window (n_ctx) from 3"));
  EXPECT_THAT(mistake(with(12, int32_t{-3})), HasSubstr("byte 12: expected a vocabulary"));
  EXPECT_THAT(mistake(with(16, int32_t{0})), HasSubstr("byte 16: expected a number of windows"));
  EXPECT_THAT(mistake(with(16, int32_t{2})), HasSubstr("expected 84 bytes in all"));
  EXPECT_THAT(mistake(with(16, int32_t{1 << 24})), HasSubstr("bytes in all"));
  EXPECT_THAT(mistake(right.substr(0, right.size() - 1)), HasSubstr("byte 51: expected 52 bytes in all"));
  EXPECT_THAT(mistake(with(24, int32_t{3})), HasSubstr("byte 24: expected a token id below 3, found 3"));

  const std::vector<float> logits = {1.0F, 2.0F, 3.0F};
  for (const std::string& bytes : {with(36, -0.5F), with(36, NAN), with(40, NAN), with(40, 3.0F)}) {
    const LlamaLogits file = open(bytes);
    EXPECT_THROW(file.compare(0, 0, logits, 0), Error);
  }
}

}  // namespace
}  // namespace gossamer
