#include "text/answer_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/text/text_fixtures.h"

namespace gossamer {
namespace {

class AnswerReaderTest : public testing::Test {
 protected:
  struct Read {
    std::string parts[3];  // text by HarmonyPart
    std::vector<TokenPlace> places;
  };
  Read read(const std::vector<int32_t>& ids, const AnswerReader::Options& options) const {
    AnswerReader reader(tokenizer_.get(), options);
    Read result;
    const auto take = [&](const std::vector<HarmonyDelta>& deltas) {
      for (const HarmonyDelta& delta : deltas) result.parts[static_cast<int>(delta.part)] += delta.text;
      for (const TokenPlace& place : reader.take_places()) result.places.push_back(place);
    };
    for (const int32_t id : ids) take(reader.push(id));
    take(reader.flush());
    return result;
  }
  std::vector<int32_t> ids_of_text(const std::string& text) const {
    return tokenizer_->encode(text, {.parse_special = true});
  }

  std::unique_ptr<Tokenizer> tokenizer_ = Tokenizer::load(fixture_path("tiny_oss.json"));
};

TEST_F(AnswerReaderTest, PlacesTokensOfContentAndNoneOfHeaders) {
  const std::vector<int32_t> ids = ids_of_text(
      "<|channel|>analysis<|message|>the day<|end|><|start|>assistant<|channel|>final<|message|>It's "
      "fine<|return|>");
  const Read result = read(ids, {.harmony = true});
  std::string parts[3];
  for (const TokenPlace& place : result.places) {
    std::string& part = parts[static_cast<int>(place.part)];
    EXPECT_EQ(place.begin, part.size());
    part += tokenizer_->token_bytes(ids[static_cast<std::size_t>(place.token)]);
  }
  EXPECT_EQ(parts[0], "the day");
  EXPECT_EQ(parts[1], "It's fine");
}

TEST_F(AnswerReaderTest, PlacesThePartsOfACharacterWhereItBegins) {
  const std::vector<int32_t> ids = ids_of_text("a\xF0\x9F\x98\x81z");
  const Read result = read(ids, {});
  ASSERT_EQ(result.places.size(), ids.size());
  for (std::size_t i = 1; i + 1 < ids.size(); ++i) EXPECT_EQ(result.places[i].begin, 1U);
  EXPECT_EQ(result.places.back().begin, 5U);
}

// Whatever comes: places ascend, in plain text every token has one, and text is where they say it begins.
TEST_F(AnswerReaderTest, PlacesTokensOfAnySequenceInOrder) {
  TestRandom random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<int32_t> ids(1 + random.below(40));
    for (int32_t& id : ids) {
      // Structure and broken characters often.
      id = static_cast<int32_t>(random.below(3) == 0 ? 380 + random.below(9) : random.below(380));
    }
    const Read harmony = read(ids, {.harmony = true});
    const Read plain = read(ids, {});
    EXPECT_EQ(plain.places.size(), ids.size());
    for (const Read& result : {harmony, plain}) {
      int64_t last = -1;
      for (const TokenPlace& place : result.places) {
        EXPECT_GT(place.token, last);
        last = place.token;
        EXPECT_LE(place.begin, result.parts[static_cast<int>(place.part)].size());
      }
    }
    for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(plain.places[i].token, static_cast<int64_t>(i));
  }
}

TEST_F(AnswerReaderTest, GivesNoTextOfTheTokenThatEndsIt) {
  AnswerReader plain(tokenizer_.get(), {});
  const int32_t word = ids_of_text("day").at(0);
  EXPECT_EQ(plain.push(word).size(), 1U);
  EXPECT_TRUE(plain.push(word, /*is_end=*/true).empty());
  AnswerReader harmony(tokenizer_.get(), {.harmony = true});
  for (const int32_t id : ids_of_text("<|channel|>final<|message|>")) harmony.push(id);
  EXPECT_TRUE(harmony.push(word, /*is_end=*/true).empty());
}

}  // namespace
}  // namespace gossamer
