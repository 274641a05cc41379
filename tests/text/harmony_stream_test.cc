#include "text/harmony_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/utf8.h"
#include "tests/text/text_fixtures.h"
#include "text/harmony.h"

namespace gossamer {
namespace {

class HarmonyStreamTest : public testing::Test {
 protected:
  // The ids of text that may name special tokens.
  std::vector<int32_t> ids_of_text(std::string_view text) const {
    return tokenizer_->encode(text, {.parse_special = true});
  }

  // Messages as "part[recipient]:text", deltas of one message joined.
  std::vector<std::string> split(const std::vector<int32_t>& ids) const {
    HarmonyStream stream(*tokenizer_);
    std::vector<std::string> messages;
    int last = -1;
    const auto add = [&](const std::vector<HarmonyDelta>& deltas) {
      for (const HarmonyDelta& delta : deltas) {
        EXPECT_FALSE(delta.text.empty());
        EXPECT_TRUE(utf8_is_valid(delta.text));
        EXPECT_GE(delta.message, last);
        if (delta.message != last) {
          last = delta.message;
          const char* const names[] = {"reasoning", "answer", "call"};
          messages.push_back(std::string(names[static_cast<int>(delta.part)]) +
                             (delta.recipient.empty() ? "" : "[" + delta.recipient + "]") + ":");
        }
        messages.back() += delta.text;
      }
    };
    for (const int32_t id : ids) add(stream.push(id));
    add(stream.flush());
    return messages;
  }
  std::vector<std::string> split(std::string_view text) const { return split(ids_of_text(text)); }

  std::unique_ptr<Tokenizer> tokenizer_ = Tokenizer::load(fixture_path("tiny_oss.json"));
};

using testing::ElementsAre;

TEST_F(HarmonyStreamTest, SplitsReasoningFromTheAnswer) {
  EXPECT_THAT(split("<|channel|>analysis<|message|>Think.<|end|><|start|>assistant<|channel|>final<|message|>"
                    "Paris is it.<|return|>"),
              ElementsAre("reasoning:Think.", "answer:Paris is it."));
}

TEST_F(HarmonyStreamTest, ReadsTheRecipientOnEitherSideOfTheChannel) {
  EXPECT_THAT(split("<|channel|>commentary to=functions.f <|constrain|>json<|message|>{\"a\": 1}<|call|>"),
              ElementsAre("call[functions.f]:{\"a\": 1}"));
  EXPECT_THAT(split(" to=functions.f<|channel|>commentary <|constrain|>json<|message|>{}<|call|>"),
              ElementsAre("call[functions.f]:{}"));
  EXPECT_THAT(split("<|channel|>commentary to=functions.f json<|message|>{}<|call|>"),
              ElementsAre("call[functions.f]:{}"));
  EXPECT_THAT(split("<|channel|>commentary to=functions.f<|channel|>analysis<|message|>{}<|call|>"),
              ElementsAre("call[functions.f]:{}"));
}

TEST_F(HarmonyStreamTest, TakesAPreambleForPartOfTheAnswer) {
  EXPECT_THAT(split("<|channel|>commentary<|message|>I will look.<|end|><|start|>assistant<|channel|>final"
                    "<|message|>Done.<|return|>"),
              ElementsAre("answer:I will look.", "answer:Done."));
}

TEST_F(HarmonyStreamTest, TakesConstrainForAContentTypeNotARecipient) {
  EXPECT_THAT(split("<|channel|>final <|constrain|>json<|message|>{}<|return|>"), ElementsAre("answer:{}"));
}

TEST_F(HarmonyStreamTest, ShowsTextThatHasNoHeaderAtOnce) {
  HarmonyStream stream(*tokenizer_);
  std::string text;
  for (const int32_t id : ids_of_text("Hello there")) {
    for (const HarmonyDelta& delta : stream.push(id)) text += delta.text;
  }
  EXPECT_EQ(text, "Hello there") << "before any flush";
}

TEST_F(HarmonyStreamTest, AcceptsMissingStartsEndsAndRoles) {
  EXPECT_THAT(split("<|channel|>analysis<|message|>a<|channel|>final<|message|>b"),
              ElementsAre("reasoning:a", "answer:b"));
  EXPECT_THAT(split("<|channel|>analysis<|message|>a<|start|>assistant<|channel|>final<|message|>b"),
              ElementsAre("reasoning:a", "answer:b"));
  EXPECT_THAT(split("<|channel|>analysis<|message|>a<|end|>assistant<|channel|>final<|message|>b"),
              ElementsAre("reasoning:a", "answer:b"));
  EXPECT_THAT(
      split("<|channel|>analysis<|message|>a<|end|><|start|>assistantassistant<|channel|>final<|message|>b"),
      ElementsAre("reasoning:a", "answer:b"));
  EXPECT_THAT(split("<|channel|>analysis<|message|>a<|end|><|end|><|channel|>final<|message|>b<|return|>"),
              ElementsAre("reasoning:a", "answer:b"));
  EXPECT_THAT(split("<|message|>b"), ElementsAre("answer:b"));
}

TEST_F(HarmonyStreamTest, TurnsTheRestOfABrokenHeaderIntoContent) {
  EXPECT_THAT(split("<|channel|>analysis I think so<|end|>"), ElementsAre("reasoning: I think so"));
  EXPECT_THAT(split("<|channel|>final json<|return|>"), ElementsAre("answer: json"));
  EXPECT_THAT(split("Hello<|channel|>final<|message|>Hi"), ElementsAre("answer:Hello", "answer:Hi"));
  EXPECT_THAT(split("<|start|>assistant<|channel|>final<|message|>a<|end|><|start|>Hello there world"),
              ElementsAre("answer:a", "answer:Hello there world"));
  EXPECT_THAT(split("<|channel|>final<|end|>"), ElementsAre()) << "an empty message is none";
}

TEST_F(HarmonyStreamTest, KeepsOtherSpecialTokensInContentAsText) {
  EXPECT_THAT(split("<|channel|>final<|message|>a<|message|>b<|constrain|>c<|return|>"),
              ElementsAre("answer:a<|message|>b<|constrain|>c"));
}

TEST_F(HarmonyStreamTest, GivesWholeCharactersWhateverTheTokens) {
  const std::string text = "naïve 日本語 🙂 end";
  std::vector<int32_t> ids = ids_of_text("<|channel|>final<|message|>");
  for (const char byte : text) {  // one token a byte
    int32_t id = 0;
    while (tokenizer_->token_bytes(id) != std::string_view(&byte, 1))
      ASSERT_LT(++id, tokenizer_->vocab_size());
    ids.push_back(id);
  }
  EXPECT_THAT(split(ids), ElementsAre("answer:" + text));
  ids.resize(ids.size() - 6);  // within the emoji
  EXPECT_THAT(split(ids), ElementsAre("answer:naïve 日本語 \xEF\xBF\xBD"));
}

TEST_F(HarmonyStreamTest, BeginsAnewAfterFlush) {
  HarmonyStream stream(*tokenizer_);
  for (int round = 0; round < 2; ++round) {
    std::string text;
    for (const int32_t id : ids_of_text("<|channel|>analysis<|message|>x")) {
      for (const HarmonyDelta& delta : stream.push(id)) {
        EXPECT_EQ(delta.message, 0);
        EXPECT_EQ(delta.part, HarmonyPart::kReasoning);
        EXPECT_EQ(delta.channel, "analysis");
        text += delta.text;
      }
    }
    EXPECT_TRUE(stream.flush().empty());
    EXPECT_EQ(text, "x");
  }
}

TEST_F(HarmonyStreamTest, NeedsTheTokensOfTheFormat) {
  const auto gpt2 = Tokenizer::load(fixture_path("tiny_gpt2.json"));
  EXPECT_THROW(HarmonyStream{*gpt2}, Error);
}

// What the renderer writes for an answer is what the stream reads.
TEST_F(HarmonyStreamTest, ReadsWhatTheRendererWrites) {
  const std::vector<HarmonyMessage> answer = {
      {.role = HarmonyRole::kAssistant, .channel = "analysis", .content = {"Thinking <|end|> hard"}},
      {.role = HarmonyRole::kAssistant, .channel = "final", .content = {"The answer.\n\nReally."}}};
  std::vector<int32_t> ids =
      HarmonyRenderer(*tokenizer_).render_conversation(answer, {.auto_drop_analysis = false}).value();
  const std::size_t head = ids_of_text("<|start|>assistant").size();
  ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(head));
  EXPECT_THAT(split(ids), ElementsAre("reasoning:Thinking <|end|> hard", "answer:The answer.\n\nReally."));
}

// Random tokens, mostly of the format: never a crash, and everything between <|message|> and the next token
// of the format is there, in order.
TEST_F(HarmonyStreamTest, LosesNoContentOfAnyTokens) {
  const std::vector<std::string> pieces = {
      "<|start|>", "<|end|>",   "<|message|>", "<|channel|>", "<|constrain|>", "<|return|>",
      "<|call|>",  "assistant", "analysis",    "final",       " to=",          "functions.f",
      "json",      " ",         "Hello",       " world",      "日本",          "\n"};
  const auto special = [&](const char* text) { return *tokenizer_->special_id(text); };
  TestRandom random(7);
  int num_contents = 0;
  for (int trial = 0; trial < 4000; ++trial) {
    std::vector<int32_t> ids;
    while (ids.size() < 30) {
      if (random.below(4) == 0) {
        ids.push_back(static_cast<int32_t>(random.below(static_cast<std::size_t>(tokenizer_->vocab_size()))));
      } else {
        const std::vector<int32_t> piece = ids_of_text(pieces[random.below(pieces.size())]);
        ids.insert(ids.end(), piece.begin(), piece.end());
      }
    }
    std::string all;
    for (const std::string& message : split(ids)) all += message.substr(message.find(':') + 1);
    std::size_t from = 0;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (ids[i] != special("<|message|>")) continue;
      std::vector<int32_t> content;
      for (++i; i < ids.size(); ++i) {
        const bool ends = ids[i] == special("<|start|>") || ids[i] == special("<|end|>") ||
                          ids[i] == special("<|return|>") || ids[i] == special("<|call|>") ||
                          ids[i] == special("<|channel|>") || ids[i] == special("<|endoftext|>");
        if (ends) break;
        content.push_back(ids[i]);
      }
      const std::string text = tokenizer_->decode(content);
      const std::size_t at = all.find(text, from);
      ASSERT_NE(at, std::string::npos) << tokenizer_->decode(ids) << "\nlost: " << text << "\nfound: " << all;
      from = at + text.size();
      num_contents += text.empty() ? 0 : 1;
    }
  }
  EXPECT_GT(num_contents, 1000);
}

}  // namespace
}  // namespace gossamer
