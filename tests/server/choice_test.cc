#include "server/choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "tests/server/server_testing.h"

namespace gossamer {
namespace {

using testing::ElementsAre;

// Begins an answer in Harmony, whose role is in the prompt.
const std::string kThink = "<|channel|>analysis<|message|>";
const std::string kFinal = "<|start|>assistant<|channel|>final<|message|>";

class ChoiceTest : public testing::Test {
 protected:
  Choice read(std::string_view text, ChoiceOptions options, FinishReason finish = FinishReason::kStop) const {
    options.logprobs = true;
    options.call_id_prefix = "call_";
    Choice choice(*tokenizer_, options);
    for (const Output& output : test::outputs_of(*tokenizer_, text, finish)) choice.add(output);
    return choice;
  }
  std::string content_tokens(const Choice& choice) const {
    std::string text;
    for (const ContentToken& token : choice.content_tokens())
      text += tokenizer_->token_bytes(token.logprobs.token.id);
    return text;
  }

  std::unique_ptr<Tokenizer> tokenizer_ = test::load_tokenizer("tiny_oss.json");
};

TEST_F(ChoiceTest, SeparatesReasoningFromContent) {
  const Choice choice = read(kThink + "the day<|end|>" + kFinal + "It is fine.<|return|>", {.harmony = true});
  EXPECT_EQ(choice.reasoning(), "the day");
  EXPECT_EQ(choice.content(), "It is fine.");
  EXPECT_EQ(choice.finish_reason(), "stop");
  EXPECT_EQ(choice.num_reasoning_tokens(), static_cast<int64_t>(tokenizer_->encode("the day").size()));
  EXPECT_EQ(content_tokens(choice), "It is fine.") << "tokens of content only";
}

TEST_F(ChoiceTest, EndsPlainTextBeforeItsEndToken) {
  const Choice choice = read("the day<|endoftext|>", {});
  EXPECT_EQ(choice.content(), "the day");
  EXPECT_EQ(choice.finish_reason(), "stop");
  EXPECT_EQ(choice.token_ids().size(), tokenizer_->encode("the day").size() + 1);
  EXPECT_EQ(content_tokens(choice), "the day<|endoftext|>");
  EXPECT_EQ(choice.content_tokens().back().begin, choice.content().size());
}

TEST_F(ChoiceTest, CutsAtAStopStringWhereverTokensCutIt) {
  const Choice choice = read("the they're caf\xC3\xA9 then", {.stops = {"'re caf"}}, FinishReason::kLength);
  EXPECT_EQ(choice.content(), "the they");
  EXPECT_EQ(choice.finish_reason(), "stop");
  const std::string tokens = content_tokens(choice);
  EXPECT_TRUE(tokens.starts_with("the they")) << tokens;
  EXPECT_LT(tokens.size(), std::string("the they're caf").size());
}

TEST_F(ChoiceTest, IgnoresWhatComesBehindAStopString) {
  Choice choice(*tokenizer_, {.logprobs = true, .stops = {"fine"}});
  for (const Output& output : test::outputs_of(*tokenizer_, "it fine", FinishReason::kLength))
    choice.add(output);
  const std::size_t num_tokens = choice.token_ids().size();
  for (const Output& output : test::outputs_of(*tokenizer_, "more", FinishReason::kStop)) choice.add(output);
  EXPECT_EQ(choice.content(), "it ");
  EXPECT_EQ(choice.token_ids().size(), num_tokens);
}

TEST_F(ChoiceTest, DoesNotLookForStopStringsInReasoning) {
  const Choice choice = read(kThink + "the day<|end|>" + kFinal + "one day more",
                             {.harmony = true, .stops = {"day"}}, FinishReason::kLength);
  EXPECT_EQ(choice.reasoning(), "the day");
  EXPECT_EQ(choice.content(), "one ");
}

TEST_F(ChoiceTest, ReadsCallsOfDeclaredFunctions) {
  const Choice choice = read(kThink +
                                 "Hm<|end|><|start|>assistant<|channel|>commentary to=functions.f "
                                 "<|constrain|>json<|message|>{\"a\": 1}<|call|>",
                             {.harmony = true, .functions = {"f"}});
  ASSERT_EQ(choice.tool_calls().size(), 1U);
  EXPECT_EQ(choice.tool_calls()[0].id, "call_0");
  EXPECT_EQ(choice.tool_calls()[0].function, "f");
  EXPECT_EQ(choice.tool_calls()[0].arguments, "{\"a\": 1}");
  EXPECT_EQ(choice.content(), "");
  EXPECT_EQ(choice.finish_reason(), "tool_calls");
}

TEST_F(ChoiceTest, AcceptsACallWithoutTheNamespace) {
  const Choice choice =
      read("<|channel|>commentary to=f<|message|>{}<|call|>", {.harmony = true, .functions = {"f"}});
  ASSERT_EQ(choice.tool_calls().size(), 1U);
  EXPECT_EQ(choice.tool_calls()[0].function, "f");
}

TEST_F(ChoiceTest, ShowsCallsOfWhatNobodyDeclaredAsContent) {
  const Choice choice = read("<|channel|>commentary to=functions.f<|message|>{}<|call|>", {.harmony = true});
  EXPECT_TRUE(choice.tool_calls().empty());
  EXPECT_EQ(choice.content(), "{}");
  EXPECT_EQ(choice.finish_reason(), "stop");
}

TEST_F(ChoiceTest, SaysLengthForACallThatWasCut) {
  const Choice choice = read("<|channel|>commentary to=functions.f<|message|>{\"a",
                             {.harmony = true, .functions = {"f"}}, FinishReason::kLength);
  EXPECT_EQ(choice.finish_reason(), "length");
  EXPECT_EQ(choice.tool_calls().at(0).arguments, "{\"a");
}

TEST_F(ChoiceTest, CountsTheTokensOfACharacterThatIsInParts) {
  // The bytes of an emoji that is no token of its own.
  const std::string text = "a \xF0\x9F\x98\x80\xF0\x9F\x98\x81 b";
  const Choice choice = read(text, {}, FinishReason::kLength);
  EXPECT_EQ(choice.content(), text);
  EXPECT_EQ(content_tokens(choice), text);
  EXPECT_EQ(choice.content_tokens().size(), choice.token_ids().size());
  std::size_t last = 0;
  for (const ContentToken& token : choice.content_tokens()) {
    EXPECT_GE(token.begin, last);
    EXPECT_TRUE(utf8_is_valid(text.substr(token.begin)));
    last = token.begin;
  }
}

TEST_F(ChoiceTest, LeavesOutSpecialTokensUnlessTheyAreAskedFor) {
  EXPECT_EQ(read("a<|start|>b", {}, FinishReason::kLength).content(), "ab");
  EXPECT_EQ(read("a<|start|>b", {.skip_special = false}, FinishReason::kLength).content(), "a<|start|>b");
}

// A stream made of the differences says what the whole says, wherever it looks.
TEST_F(ChoiceTest, AddsUpFromItsDeltas) {
  const std::string text =
      kThink + "the they're<|end|><|start|>assistant<|channel|>commentary<|message|>I'd caf\xC3\xA9<|end|>" +
      "<|start|>assistant<|channel|>commentary to=functions.f<|message|>{\"a\": [1]}<|call|>" +
      "<|start|>assistant to=functions.g<|channel|>commentary<|message|>{}<|call|>" + kFinal +
      "Nu \xF0\x9F\x98\x81 then";
  const std::vector<Output> outputs = test::outputs_of(*tokenizer_, text, FinishReason::kLength);
  for (std::size_t stride = 1; stride <= 5; ++stride) {
    Choice choice(*tokenizer_, {.harmony = true, .logprobs = true, .functions = {"f", "g"}});
    ChoiceCursor cursor;
    std::string content;
    std::string reasoning;
    std::vector<std::string> calls;
    std::size_t tokens = 0;
    int finishes = 0;
    const auto take = [&] {
      const ChoiceDelta delta = choice.delta_since(cursor);
      EXPECT_TRUE(utf8_is_valid(delta.content));
      content += delta.content;
      reasoning += delta.reasoning;
      EXPECT_EQ(delta.first_token, tokens);
      tokens = choice.content_tokens().size();
      for (const ChoiceDelta::Call& call : delta.calls) {
        if (call.is_new) calls.emplace_back();
        ASSERT_EQ(call.index + 1, calls.size());
        calls.back() += call.arguments;
      }
      finishes += delta.finished ? 1 : 0;
    };
    for (std::size_t i = 0; i < outputs.size(); ++i) {
      choice.add(outputs[i]);
      if (i % stride == 0) take();
    }
    take();
    EXPECT_TRUE(choice.delta_since(cursor).empty());
    EXPECT_EQ(content, choice.content());
    EXPECT_EQ(content, "Nu \xF0\x9F\x98\x81 then");
    EXPECT_EQ(reasoning, choice.reasoning());
    EXPECT_EQ(reasoning, "the they're\n\nI'd caf\xC3\xA9") << "what leads to a call is reasoning";
    EXPECT_THAT(calls, ElementsAre("{\"a\": [1]}", "{}"));
    EXPECT_EQ(finishes, 1);
  }
}

TEST_F(ChoiceTest, TellsItsPartsInTheirOrder) {
  const std::string call =
      "<|start|>assistant to=functions.f<|channel|>commentary <|constrain|>json<|message|>";
  const Choice choice = read(kThink + "a<|end|>" + kFinal + "b<|end|><|start|>assistant" + kThink +
                                 "c<|end|>" + call + "{}<|call|>" + call + "[]<|call|>",
                             {.harmony = true, .functions = {"f"}});
  using Kind = ChoicePart::Kind;
  const std::vector<std::pair<Kind, std::size_t>> expected = {{Kind::kReasoning, 0},
                                                              {Kind::kContent, 0},
                                                              {Kind::kReasoning, 1},
                                                              {Kind::kToolCall, 0},
                                                              {Kind::kToolCall, 1}};
  std::vector<std::pair<Kind, std::size_t>> parts;
  for (const ChoicePart& part : choice.parts()) parts.emplace_back(part.kind, part.begin);
  EXPECT_EQ(parts, expected);
  EXPECT_EQ(choice.reasoning(), "a\n\nc");
  EXPECT_EQ(choice.token_logprobs().size(), choice.token_ids().size());
}

}  // namespace
}  // namespace gossamer
