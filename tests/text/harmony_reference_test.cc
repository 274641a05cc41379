#include "text/harmony_reference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/text/text_fixtures.h"
#include "text/harmony_json.h"

namespace gossamer {
namespace {

using testing::HasSubstr;

HarmonyReference::Options options_of(const HarmonyParseRequest& request) {
  return {.role = request.role, .strict = request.strict};
}

TEST(HarmonyReference, JudgesTheVectors) {
  GOSSAMER_SKIP_WITHOUT_SHARED_DATA();
  const auto tokenizer = Tokenizer::load(shared_path("tokenizers/gpt_oss"));
  int num_messages = 0;
  int num_errors = 0;
  for (const json::value& line : read_json_lines(shared_path("vectors/harmony_vectors.jsonl"))) {
    if (line.at("kind") == "render") continue;
    const std::string name = string_of(line.at("name"));
    const HarmonyParseRequest request = harmony_parse_request_from_json(line).value();
    const auto messages = parse_harmony_as_reference(*tokenizer, request.ids, options_of(request));
    if (const json::value* error = line.as_object().if_contains("error_contains")) {
      ASSERT_FALSE(messages.ok()) << name;
      EXPECT_THAT(messages.error().message, HasSubstr(string_of(*error))) << name;
      ++num_errors;
    } else {
      ASSERT_TRUE(messages.ok()) << name << ": " << messages.error().message;
      EXPECT_EQ(parse_json(messages_to_json(messages.value()), name), line.at("messages")) << name;
      ++num_messages;
    }
  }
  EXPECT_GE(num_messages, 22);
  EXPECT_GE(num_errors, 8);
}

// Each step: a token, and then the state, the channel, the recipient and the new text.
TEST(HarmonyReference, StreamsTheVectors) {
  GOSSAMER_SKIP_WITHOUT_SHARED_DATA();
  const auto tokenizer = Tokenizer::load(shared_path("tokenizers/gpt_oss"));
  const auto text_or_null = [](const std::optional<std::string>& text) {
    return text ? json::value(*text) : json::value(nullptr);
  };
  int num_streams = 0;
  for (const json::value& line : read_json_lines(shared_path("vectors/harmony_vectors.jsonl"))) {
    if (line.at("kind") != "stream") continue;
    ++num_streams;
    const HarmonyParseRequest request = harmony_parse_request_from_json(line).value();
    HarmonyReference reference(*tokenizer, options_of(request));
    for (std::size_t i = 0; i < request.ids.size(); ++i) {
      ASSERT_EQ(reference.push(request.ids[i]), std::nullopt);
      const json::array found = {
          line.at("steps").at(i).at(0), std::string(1, "SHC"[static_cast<int>(reference.state())]),
          text_or_null(reference.current_channel()), text_or_null(reference.current_recipient()),
          text_or_null(reference.last_delta())};
      EXPECT_EQ(json::value(found), line.at("steps").at(i)) << line.at("name") << ", step " << i;
    }
    EXPECT_EQ(reference.current_content(), string_of(line.at("current_content")));
    EXPECT_EQ(parse_json(messages_to_json(reference.messages()), "messages"), line.at("messages"));
  }
  EXPECT_GE(num_streams, 2);
}

class HarmonyReferenceTest : public testing::Test {
 protected:
  std::string judge(std::string_view text, const HarmonyReference::Options& options) const {
    const std::vector<int32_t> ids = tokenizer_->encode(text, {.parse_special = true});
    const auto messages = parse_harmony_as_reference(*tokenizer_, ids, options);
    return messages.ok() ? messages_to_json(messages.value()) : messages.error().message;
  }
  std::string judge(std::string_view text) const { return judge(text, {.role = HarmonyRole::kAssistant}); }

  std::unique_ptr<Tokenizer> tokenizer_ = Tokenizer::load(fixture_path("tiny_oss.json"));
};

TEST_F(HarmonyReferenceTest, TakesALoneWordForTheRecipient) {
  EXPECT_EQ(
      judge("<|channel|>final <|constrain|>json<|message|>{}"),
      R"([{"role": "assistant", "content": "{}", "channel": "final", "recipient": "<|constrain|>json"}])");
  EXPECT_EQ(judge("<|channel|>commentary f json<|message|>{}"),
            R"([{"role": "assistant", "content": "{}", "channel": "commentary", "recipient": "f", )"
            R"("content_type": "json"}])");
}

TEST_F(HarmonyReferenceTest, SaysWhyItRefuses) {
  EXPECT_EQ(
      judge("<|channel|> final<|message|>a"),
      R"(channel marker present but no channel value found in header, at byte 0 of "<|channel|> final")");
  EXPECT_EQ(judge("<|start|><|channel|>final<|message|>a", {}), "message header did not contain a role");
  EXPECT_EQ(judge("<|start|>robot<|message|>a", {}), "Unknown role: robot");
  EXPECT_EQ(judge("a b c d<|message|>e"), R"(unexpected tokens remaining in message header: ["a","b"])");
  EXPECT_EQ(judge("<|channel|>final"), "Unexpected EOS while waiting for message header to complete");
}

TEST_F(HarmonyReferenceTest, LenientlyTakesHeaderWordsForContent) {
  const HarmonyReference::Options lenient = {.role = HarmonyRole::kAssistant, .strict = false};
  EXPECT_EQ(judge("<|channel|>analysis I  think<|end|>", lenient),
            R"([{"role": "assistant", "content": "I think", "channel": "analysis"}])");
  EXPECT_THAT(judge("<|channel|>analysis<|message|>a<|end|><|end|>", lenient), HasSubstr("expecting start"));
}

}  // namespace
}  // namespace gossamer
