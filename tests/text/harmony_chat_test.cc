#include "text/harmony_chat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/text/text_fixtures.h"

namespace gossamer {
namespace {

using testing::ElementsAre;

class HarmonyChatTest : public testing::Test {
 protected:
  std::vector<int32_t> ids_of_text(std::string_view text) const {
    return tokenizer_->encode(text, {.parse_special = true});
  }

  // "r:reasoning", "c:content", "f:arguments", what is empty left out.
  std::vector<std::string> parts(std::string_view text, std::vector<std::string> tools = {"f"}) const {
    const ChatParts parts = parse_chat(*tokenizer_, ids_of_text(text), std::move(tools));
    std::vector<std::string> out;
    if (!parts.reasoning.empty()) out.push_back("r:" + parts.reasoning);
    if (!parts.content.empty()) out.push_back("c:" + parts.content);
    for (const ChatParts::ToolCall& call : parts.tool_calls) out.push_back(call.name + ":" + call.arguments);
    return out;
  }

  // One letter a delta: Role, Reasoning (T), Content, call (N: its name), Arguments.
  std::string kinds(std::string_view text, std::vector<std::string> tools = {"f"}) const {
    HarmonyChat chat(*tokenizer_, std::move(tools));
    std::string letters;
    const auto add = [&](const std::vector<ChatDelta>& deltas) {
      for (const ChatDelta& delta : deltas) {
        const char letter = "RTCNA"[static_cast<int>(delta.kind)];
        if (letters.empty() || letters.back() != letter) letters += letter;
      }
    };
    for (const int32_t id : ids_of_text(text)) add(chat.push(id));
    add(chat.flush());
    return letters;
  }

  std::unique_ptr<Tokenizer> tokenizer_ = Tokenizer::load(fixture_path("tiny_oss.json"));
};

TEST_F(HarmonyChatTest, GivesReasoningAndContent) {
  const std::string text =
      "<|channel|>analysis<|message|>Think.<|end|><|start|>assistant<|channel|>final<|message|>Hi.<|return|>";
  EXPECT_THAT(parts(text), ElementsAre("r:Think.", "c:Hi."));
  EXPECT_EQ(kinds(text), "RTC");
}

TEST_F(HarmonyChatTest, GivesCallsByTheirNames) {
  EXPECT_THAT(parts("<|channel|>commentary to=functions.f <|constrain|>json<|message|>{\"a\": 1}<|call|>"),
              ElementsAre("f:{\"a\": 1}"));
  EXPECT_THAT(parts("<|channel|>analysis to=f<|message|>{}<|end|>"), ElementsAre("f:{}"));
  EXPECT_THAT(parts("<|channel|>commentary to=functions.f<|message|>{}<|call|><|start|>assistant<|channel|>"
                    "commentary to=functions.g<|message|>[]<|call|>",
                    {"f", "g"}),
              ElementsAre("f:{}", "g:[]"));
  EXPECT_EQ(kinds("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary "
                  "to=functions.f<|message|>{}<|call|>"),
            "RTNA");
}

TEST_F(HarmonyChatTest, ShowsCallsThatNoToolTakes) {
  const char* const call = "<|channel|>commentary to=functions.f<|message|>{}<|call|>";
  EXPECT_THAT(parts(call, {}), ElementsAre("c:{}"));
  EXPECT_THAT(parts(call, {"g"}), ElementsAre("c:{}"));
  EXPECT_THAT(parts("<|channel|>analysis to=python code<|message|>1+1<|call|>"), ElementsAre("r:1+1"));
}

TEST_F(HarmonyChatTest, GivesACallWithoutArgumentsAnEmptyObject) {
  EXPECT_THAT(parts("<|channel|>commentary to=functions.f<|message|><|call|>"), ElementsAre("f:{}"));
  EXPECT_THAT(parts("<|channel|>commentary to=functions.f<|message|>"), ElementsAre("f:")) << "cut";
}

TEST_F(HarmonyChatTest, TakesAPreambleForContentOnlyIfNoCallFollows) {
  const std::string preamble = "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant";
  const std::string final = preamble + "<|channel|>final<|message|>Done.<|return|>";
  const std::string call = preamble + "<|channel|>commentary to=functions.f<|message|>{}<|call|>";
  EXPECT_THAT(parts(preamble), ElementsAre("c:I look."));
  EXPECT_THAT(parts(final), ElementsAre("c:I look.\n\nDone."));
  EXPECT_THAT(parts(call), ElementsAre("r:I look.", "f:{}"));
  EXPECT_THAT(parts(call, {}), ElementsAre("c:I look.\n\n{}"));
}

TEST_F(HarmonyChatTest, ShowsAPreambleAtOnceWhereNoCallCanFollow) {
  HarmonyChat chat(*tokenizer_, {});
  std::string content;
  for (const ChatDelta& delta : chat.push(ids_of_text("<|channel|>commentary<|message|>I look."))) {
    if (delta.kind == ChatDelta::Kind::kContent) content += delta.text;
  }
  EXPECT_EQ(content, "I look.");
}

TEST_F(HarmonyChatTest, CountsTheTokensOfReasoning) {
  const std::string reasoning = "Think of it.";
  const ChatParts parts = parse_chat(*tokenizer_,
                                     ids_of_text("<|channel|>analysis<|message|>" + reasoning +
                                                 "<|end|><|start|>assistant<|channel|>final"
                                                 "<|message|>Hi<|return|>"),
                                     {});
  EXPECT_EQ(parts.num_reasoning_tokens, static_cast<int64_t>(ids_of_text(reasoning).size()));
}

TEST_F(HarmonyChatTest, CountsOddCalls) {
  const auto count = [&](std::string_view text, HarmonyRecovery recovery) {
    return parse_chat(*tokenizer_, ids_of_text(text), {"f"}).recoveries.of(recovery);
  };
  EXPECT_EQ(count("<|channel|>commentary to=f<|message|>{}<|call|>", HarmonyRecovery::kCallWithoutPrefix),
            1U);
  EXPECT_EQ(
      count("<|channel|>analysis to=functions.f<|message|>{}<|call|>", HarmonyRecovery::kCallOnAnalysis), 1U);
  EXPECT_EQ(
      count("<|channel|>commentary to=functions.g<|message|>{}<|call|>", HarmonyRecovery::kCallOfUnknownTool),
      1U);
}

TEST(HarmonyChat, FindsToolsByNameAndNeverGuesses) {
  const std::vector<std::string> tools = {"web", "web-browsing", "get.time", "functions.odd"};
  EXPECT_EQ(find_tool("functions.web-browsing", tools), "web-browsing");
  EXPECT_EQ(find_tool("web", tools), "web");
  EXPECT_EQ(find_tool("functions.get.time", tools), "get.time");
  EXPECT_EQ(find_tool("functions.odd", tools), "functions.odd");
  EXPECT_EQ(find_tool("x.functions.web", tools), "web");
  EXPECT_EQ(find_tool("functions.web<|constrain|>json", tools), "web");
  EXPECT_EQ(find_tool("functions.website", tools), std::nullopt);
  EXPECT_EQ(find_tool("functions.web_search", tools), std::nullopt);
  EXPECT_EQ(find_tool("functions.", tools), std::nullopt);
  EXPECT_EQ(find_tool("python", tools), std::nullopt);
}

TEST(HarmonyChat, SaysWhyAnAnswerEnded) {
  EXPECT_EQ(chat_finish_reason(false, 0), "stop");
  EXPECT_EQ(chat_finish_reason(false, 2), "tool_calls");
  EXPECT_EQ(chat_finish_reason(true, 2), "length");
}

}  // namespace
}  // namespace gossamer
