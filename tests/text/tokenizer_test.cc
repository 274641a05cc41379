#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "tests/text/text_fixtures.h"
#include "text/stream_detokenizer.h"

namespace gossamer {
namespace {

using Ids = std::vector<int32_t>;

std::string repeated(std::string_view unit, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text.append(unit);
  return text;
}

TEST(Tokenizer, TakesInvalidBytesForReplacementCharacters) {
  const auto tokenizer = Tokenizer::load(fixture_path("tiny_gpt2.json"));
  const std::string fffd = "\xEF\xBF\xBD";
  EXPECT_EQ(tokenizer->encode("a\xFF"
                              "b"),
            tokenizer->encode("a" + fffd + "b"));
  EXPECT_EQ(tokenizer->encode("\xE2\x82"), tokenizer->encode(fffd));                    // one maximal subpart
  EXPECT_EQ(tokenizer->encode("\xED\xA0\x80"), tokenizer->encode(fffd + fffd + fffd));  // a surrogate
  EXPECT_NE(tokenizer->encode(fffd), tokenizer->encode(""));
}

TEST(Tokenizer, KnowsItsSpecialTokens) {
  const auto tokenizer = Tokenizer::load(fixture_path("tiny_oss.json"));
  const std::optional<int32_t> end = tokenizer->special_id("<|end|>");
  ASSERT_TRUE(end.has_value());
  EXPECT_TRUE(tokenizer->is_special(*end));
  EXPECT_FALSE(tokenizer->is_special(0));
  EXPECT_FALSE(tokenizer->is_special(-1));
  EXPECT_FALSE(tokenizer->is_special(1 << 30));
  EXPECT_FALSE(tokenizer->special_id("the").has_value());
  EXPECT_EQ(tokenizer->encode("<|end|>", {.parse_special = true}), Ids{*end});
  EXPECT_GT(tokenizer->encode("<|end|>", {.parse_special = false}).size(), 1U);
  EXPECT_EQ(tokenizer->vocab_size(), tokenizer->special_id("<|call|>").value() + 1);
}

TEST(Tokenizer, LeavesOutSpecialTokensOnRequestAndUnknownIdsAlways) {
  const auto tokenizer = Tokenizer::load(fixture_path("tiny_oss.json"));
  const Ids ids = tokenizer->encode("a<|end|>b", {.parse_special = true});
  EXPECT_EQ(tokenizer->decode(ids), "a<|end|>b");
  EXPECT_EQ(tokenizer->decode(ids, {.skip_special = true}), "ab");
  Ids with_unknown = ids;
  with_unknown.insert(with_unknown.begin() + 1, {-1, tokenizer->vocab_size(), INT32_MAX});
  EXPECT_EQ(tokenizer->decode(with_unknown), "a<|end|>b");
  EXPECT_FALSE(tokenizer->has_token(-1));
  EXPECT_FALSE(tokenizer->has_token(tokenizer->vocab_size()));
  EXPECT_EQ(tokenizer->token_bytes(INT32_MAX), "");
}

TEST(Tokenizer, GivesTheBytesOfEveryByteToken) {
  const auto tokenizer = Tokenizer::load(fixture_path("tiny_gpt2.json"));
  const Ids ids = tokenizer->encode("é");
  std::string bytes;
  for (const int32_t id : ids) bytes += tokenizer->token_bytes(id);
  EXPECT_EQ(bytes, "\xC3\xA9");
}

TEST(Tokenizer, EncodesTheSameFromManyThreads) {
  const auto tokenizer = Tokenizer::load(fixture_path("tiny_gpt2.json"));
  std::string text;
  for (const json::value& line : read_json_lines(fixture_path("tokenizer_vectors.jsonl"))) {
    text += string_of(line.as_object().at("text"));
  }
  std::vector<Ids> results(4);
  {
    std::vector<std::jthread> threads;
    for (Ids& result : results) threads.emplace_back([&] { result = tokenizer->encode(text); });
  }
  const Ids alone = tokenizer->encode(text);
  EXPECT_GT(alone.size(), 1'000U);
  for (const Ids& result : results) EXPECT_EQ(result, alone);
}

// 200,000 times one character. Quadratic work (10^10 steps) would take minutes; the limit leaves a slow, busy
// machine with sanitizers a factor of about 50.
TEST(Tokenizer, TakesTimeLinearInARunOfOneCharacter) {
  for (const std::string name : {"tiny_gpt2.json", "tiny_neox.json", "tiny_oss.json", "tiny_odd.json"}) {
    const auto tokenizer = Tokenizer::load(fixture_path(name));
    for (const std::string unit :
         {"a", " ", "e", "\U0001F600", "\n", "\u0301", "A", "1", "<", "\u0316\u0301"}) {
      const std::string text = repeated(unit, 200'000);
      const auto begin = std::chrono::steady_clock::now();
      const Ids ids = tokenizer->encode(text);
      const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
      EXPECT_GT(ids.size(), 0U) << name << " " << unit;
      EXPECT_LT(elapsed.count(), 20.0) << name << " " << unit;
      if (name == "tiny_gpt2.json") {
        EXPECT_EQ(tokenizer->decode(ids), text);
      }
    }
  }
}

TEST(Tokenizer, SkipsRealVocabularyPaddingRows) {
  GOSSAMER_SKIP_WITHOUT_SHARED_DATA();
  const auto tokenizer = Tokenizer::load(shared_path("tokenizers/gpt_oss"));
  EXPECT_EQ(tokenizer->vocab_size(), 200'019);
  EXPECT_EQ(tokenizer->decode(Ids{1428, 201'087, 1428}), tokenizer->decode(Ids{1428, 1428}));
  EXPECT_EQ(tokenizer->special_id("<|return|>"), 200'002);
}

// Any ids in any order, characters cut anywhere: the stream holds back what is not certain, and nothing else.
TEST(StreamDetokenizer, GivesTheWholeDecodingInWholeCharacters) {
  for (const std::string name : {"tiny_gpt2.json", "tiny_oss.json"}) {
    const auto tokenizer = Tokenizer::load(fixture_path(name));
    TestRandom random(7);
    int num_replacements = 0;
    int num_held = 0;
    for (int round = 0; round < 3'000; ++round) {
      const bool skip_special = random.below(2) == 0;
      StreamDetokenizer stream(*tokenizer, {.skip_special = skip_special});
      Ids ids;
      std::string text;
      const auto add = [&](int32_t id) {
        ids.push_back(id);
        const std::string part = stream.push(id);
        EXPECT_TRUE(utf8_is_valid(part));
        num_held += part.empty();
        text += part;
      };
      for (std::size_t i = random.below(12); i > 0; --i) {
        if (random.below(2) == 0) {
          add(static_cast<int32_t>(random.below(static_cast<std::size_t>(tokenizer->vocab_size()) + 3)));
        } else {  // a character in pieces, its end possibly missing
          const Ids character = tokenizer->encode(random.below(2) == 0 ? "\U0001F680" : "\u20AC");
          for (std::size_t n = random.below(character.size() + 1); n > 0; --n)
            add(character[character.size() - n]);
          for (std::size_t n = 0, keep = random.below(character.size() + 1); n < keep; ++n) add(character[n]);
        }
      }
      text += stream.flush();
      EXPECT_EQ(text, tokenizer->decode(ids, {.skip_special = skip_special}));
      EXPECT_EQ(stream.flush(), "");
      num_replacements += text.find("\xEF\xBF\xBD") != std::string::npos;
    }
    EXPECT_GT(num_replacements, 500);
    EXPECT_GT(num_held, 500);
  }
}

TEST(StreamDetokenizer, GivesACharacterWithItsLastByte) {
  const auto tokenizer = Tokenizer::load(fixture_path("tiny_odd.json"));
  const Ids ids = {7, 8};  // U+00E9 in two tokens
  StreamDetokenizer stream(*tokenizer);
  EXPECT_EQ(stream.push(ids[0]), "");
  EXPECT_EQ(stream.push(ids[1]), "é");
  EXPECT_EQ(stream.push(ids[0]), "");
  EXPECT_EQ(stream.push(2),
            "\xEF\xBF\xBD"
            "a");  // now it is certain that the character stays unfinished
}

}  // namespace
}  // namespace gossamer
