#include "text/harmony_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <climits>
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "tests/text/harmony_oracle.h"
#include "tests/text/text_fixtures.h"
#include "text/harmony.h"
#include "text/harmony_json.h"

namespace gossamer {
namespace {

class HarmonyStreamTest : public testing::Test {
 protected:
  // The ids of text that may name special tokens.
  std::vector<int32_t> ids_of_text(std::string_view text) const {
    return tokenizer_->encode(text, {.parse_special = true});
  }

  // Messages with text as "part[recipient]:text", deltas of one message joined.
  std::vector<std::string> split(const std::vector<int32_t>& ids) const {
    HarmonyStream stream(*tokenizer_);
    std::vector<HarmonyDelta> deltas;
    for (const int32_t id : ids) std::ranges::move(stream.push(id), std::back_inserter(deltas));
    std::ranges::move(stream.flush(), std::back_inserter(deltas));
    EXPECT_EQ(HarmonyOracle(*tokenizer_).find_fault(ids, deltas), "");
    std::vector<std::string> messages;
    int last = -1;
    for (const HarmonyDelta& delta : deltas) {
      if (delta.text.empty()) continue;
      if (delta.message != last) {
        last = delta.message;
        const char* const names[] = {"reasoning", "answer", "call"};
        messages.push_back(std::string(names[static_cast<int>(delta.part)]) +
                           (delta.part == HarmonyPart::kToolCall ? "[" + delta.header.recipient + "]" : "") +
                           ":");
      }
      messages.back() += delta.text;
    }
    return messages;
  }
  std::vector<std::string> split(std::string_view text) const { return split(ids_of_text(text)); }

  // All that messages have, as `gossamer harmony parse` prints it.
  std::string parse(std::string_view text, std::optional<HarmonyRole> role = HarmonyRole::kAssistant) const {
    return messages_to_json(parse_harmony(*tokenizer_, ids_of_text(text), {.role = role}).messages);
  }

  // The kinds of recovery that were counted, "missing_start missing_end".
  std::string recoveries(std::string_view text) const {
    const HarmonyRecoveryCounts counts = parse_harmony(*tokenizer_, ids_of_text(text)).recoveries;
    std::string names;
    for (std::size_t i = 0; i < kNumHarmonyRecoveries; ++i) {
      const auto recovery = static_cast<HarmonyRecovery>(i);
      for (uint64_t n = 0; n < counts.of(recovery); ++n)
        names += (names.empty() ? "" : " ") + std::string(to_string(recovery));
    }
    return names;
  }

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
        EXPECT_EQ(delta.header.channel, "analysis");
        text += delta.text;
      }
    }
    const std::vector<HarmonyDelta> rest = stream.flush();
    ASSERT_EQ(rest.size(), 1U);
    EXPECT_TRUE(rest[0].ends && rest[0].text.empty());
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

TEST_F(HarmonyStreamTest, KeepsFormatTokensInContentThatBeginNoHeader) {
  EXPECT_THAT(split("<|channel|>final<|message|>a<|channel|>b<|start|>c<|message|>d<|return|>"),
              ElementsAre("answer:a<|channel|>b<|start|>c<|message|>d"));
  EXPECT_THAT(split("<|channel|>final<|message|>a<|channel|>analyst<|return|>"),
              ElementsAre("answer:a<|channel|>analyst"));
  EXPECT_THAT(split("<|channel|>final<|message|>a<|start|>user manual<|return|>"),
              ElementsAre("answer:a", "reasoning: manual"))
      << "a role behind <|start|> is a header";
}

TEST_F(HarmonyStreamTest, ReadsWhatIsGluedTogether) {
  EXPECT_THAT(split("<|channel|>commentary to=functions.f<|constrain|>json<|message|>{}<|call|>"),
              ElementsAre("call[functions.f]:{}"));
  EXPECT_THAT(split("<|channel|>commentaryto=functions.f<|message|>{}<|call|>"),
              ElementsAre("call[functions.f]:{}"));
  EXPECT_THAT(split("<|start|>assistantfinal<|message|>a"), ElementsAre("answer:a"));
  EXPECT_THAT(split("<|channel|>analysisWe need to think<|end|>"), ElementsAre("reasoning:We need to think"));
  EXPECT_THAT(split("<|channel|>commentary to=functions.f <|constrain|>json{\"a\": 1}<|call|>"),
              ElementsAre("call[functions.f]:{\"a\": 1}"));
}

TEST_F(HarmonyStreamTest, FindsTheRecipientThatLacksTo) {
  EXPECT_THAT(split("<|channel|>commentary functions.f <|constrain|>json<|message|>{}<|call|>"),
              ElementsAre("call[functions.f]:{}"));
  EXPECT_THAT(split("<|channel|>commentary get_weather <|constrain|>json<|message|>{}<|call|>"),
              ElementsAre("call[get_weather]:{}"));
  EXPECT_THAT(split("functions.f<|channel|>commentary<|message|>{}<|call|>"),
              ElementsAre("call[functions.f]:{}"));
  EXPECT_THAT(split("functions.f is a function"), ElementsAre("answer:functions.f is a function"));
}

TEST_F(HarmonyStreamTest, SaysAllThatAHeaderSays) {
  EXPECT_EQ(parse("<|channel|>commentary to=functions.web-browsing extra json<|message|>{}<|call|>"),
            R"([{"role": "assistant", "content": "{}", "channel": "commentary", )"
            R"("recipient": "functions.web-browsing", "content_type": "extra json"}])");
  EXPECT_EQ(
      parse("<|start|>to=functions.f<|channel|>commentary<|message|>{}<|call|>", std::nullopt),
      R"([{"role": "assistant", "content": "{}", "channel": "commentary", "recipient": "functions.f"}])");
  EXPECT_EQ(parse("<|start|>python to=assistant<|channel|>commentary<|message|>4<|end|>", std::nullopt),
            R"([{"role": "tool", "name": "python", "content": "4", "channel": "commentary", )"
            R"("recipient": "assistant"}])");
  EXPECT_EQ(parse("<|start|>robot<|message|>x<|end|>", std::nullopt),
            R"([{"role": "assistant", "name": "robot", "content": "x"}])");
  EXPECT_EQ(parse("<|channel|>final<|message|><|return|>"),
            R"([{"role": "assistant", "content": "", "channel": "final"}])");
}

TEST_F(HarmonyStreamTest, NeverShowsAHeaderThatWasCut) {
  const std::string header = "<|channel|>commentary to=functions.f <|constrain|>json";
  std::vector<int32_t> ids = ids_of_text("<|channel|>analysis<|message|>a<|end|><|start|>assistant" + header);
  const std::size_t shortest = ids_of_text("<|channel|>analysis<|message|>a<|end|><|start|>").size();
  for (; ids.size() >= shortest; ids.pop_back())
    EXPECT_THAT(split(ids), ElementsAre("reasoning:a")) << tokenizer_->decode(ids);
}

TEST_F(HarmonyStreamTest, CountsWhatItPutsRight) {
  EXPECT_EQ(recoveries("<|channel|>analysis<|message|>a<|end|><|start|>assistant to=functions.f<|channel|>"
                       "commentary <|constrain|>json<|message|>{}<|call|>"),
            "");
  EXPECT_EQ(recoveries("<|channel|>final<|message|>a<|end|><|end|>"), "redundant_end");
  EXPECT_EQ(recoveries("<|channel|>analysis<|message|>a<|channel|>final<|message|>b"),
            "missing_start missing_end");
  EXPECT_EQ(recoveries("<|channel|>analysis<|message|>a<|start|>assistant<|channel|>final<|message|>b"),
            "missing_end");
  EXPECT_EQ(recoveries("<|channel|>analysis<|message|>a<|end|>assistant<|channel|>final<|message|>b"),
            "missing_start");
  EXPECT_EQ(recoveries("<|channel|>final hello there, you<|return|>"), "missing_message");
  EXPECT_EQ(recoveries("Hello"), "bare_text");
  EXPECT_EQ(recoveries("assistant<|channel|>final<|message|>b"), "repeated_role");
  EXPECT_EQ(recoveries("<|channel|>commentary to=assistant<|channel|>analysis<|message|>b"), "stray_channel");
  EXPECT_EQ(recoveries(" to=functions.a<|channel|>commentary to=functions.b<|message|>b"), "stray_recipient");
  EXPECT_EQ(recoveries("<|channel|>final<|message|>a<|constrain|>b"), "stray_token");
  EXPECT_EQ(recoveries("<|channel|>final<|message|>a<|end|><|start|>assis"), "truncated_header");
  EXPECT_EQ(recoveries("<|channel|>final<|message|>a<|end|><|start|><|channel|>final<|message|>b"),
            "missing_role");
  EXPECT_EQ(recoveries("<|channel|>final<|message|>a<|end|><|start|>robot<|message|>b"), "unknown_role");
}

TEST_F(HarmonyStreamTest, ShowsAnIdThatIsNoTokenAsAReplacement) {
  std::vector<int32_t> ids = ids_of_text("<|channel|>final<|message|>a");
  for (const int32_t id : {-1, tokenizer_->vocab_size(), INT32_MAX, INT32_MIN}) ids.push_back(id);
  EXPECT_THAT(split(ids), ElementsAre("answer:a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD"));
  EXPECT_THAT(split(std::vector<int32_t>{-1}), ElementsAre("answer:\xEF\xBF\xBD"));
}

TEST_F(HarmonyStreamTest, SaysWhichTokensAnyTextIsOf) {
  const std::vector<int32_t> ids = ids_of_text(
      "<|channel|>analysis<|message|>ab<|end|><|start|>assistant<|channel|>final<|message|>日<|end|>");
  HarmonyStream stream(*tokenizer_);
  std::vector<int32_t> shown;
  for (const HarmonyDelta& delta : stream.push(ids)) {
    for (int64_t i = 0; i < delta.num_tokens; ++i)
      shown.push_back(ids[static_cast<std::size_t>(delta.first_token + i)]);
  }
  EXPECT_EQ(tokenizer_->decode(shown), "ab日");
}

// The parse vectors are what the reference gives; it is bettered in two of them and does not give up in
// others.
TEST(HarmonyVectors, AreReadWithoutErrors) {
  GOSSAMER_SKIP_WITHOUT_SHARED_DATA();
  const auto tokenizer = Tokenizer::load(shared_path("tokenizers/gpt_oss"));
  const std::map<std::string, std::string> better = {
      {"x_stray_commentary_to_assistant_lenient",
       R"([{"role":"assistant","content":"I'm\nthinking","channel":"analysis","recipient":"assistant"},)"
       R"({"role":"assistant","content":"Hello","channel":"final"}])"},
      {"x_to_only_role_lenient",
       R"([{"role":"assistant","content":"{}","channel":"commentary","recipient":"functions.f"}])"},
  };
  int num_equal = 0;
  for (const json::value& line : read_json_lines(shared_path("vectors/harmony_vectors.jsonl"))) {
    const std::string name = string_of(line.at("name"));
    if (line.at("kind") == "render") continue;
    const Result<HarmonyParseRequest> request = harmony_parse_request_from_json(line);
    ASSERT_TRUE(request.ok()) << name << ": " << request.error().message;
    const HarmonyParse parse = parse_harmony(*tokenizer, request.value().ids, {.role = request.value().role});
    const json::value* expected = line.as_object().if_contains("messages");
    if (expected == nullptr) continue;
    const auto it = better.find(name);
    EXPECT_EQ(parse_json(messages_to_json(parse.messages), name),
              it == better.end() ? *expected : parse_json(it->second, name))
        << name;
    ++num_equal;
  }
  EXPECT_GE(num_equal, 22);
}

}  // namespace
}  // namespace gossamer
