// HarmonyStream and HarmonyChat on random and damaged sequences: nothing is thrown, no text is lost, the
// pieces of a stream are the whole, and the time is linear. A million sequences:
//   GOSSAMER_HARMONY_SEQUENCES=1000000 build/release/bin/text_test --gtest_filter='HarmonyRandom.*'
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/text/harmony_oracle.h"
#include "tests/text/text_fixtures.h"
#include "text/harmony_chat.h"
#include "text/harmony_json.h"
#include "text/harmony_reference.h"
#include "text/harmony_stream.h"

namespace gossamer {
namespace {

class HarmonyRandom : public testing::Test {
 protected:
  HarmonyRandom() {
    for (const char* text : {"<|start|>",
                             "<|end|>",
                             "<|message|>",
                             "<|channel|>",
                             "<|constrain|>",
                             "<|return|>",
                             "<|call|>",
                             "<|start|>assistant",
                             "<|channel|>analysis",
                             "<|channel|>commentary",
                             "<|channel|>final",
                             " to=",
                             " to=functions.f",
                             "functions.f",
                             "assistant",
                             "tool",
                             "user",
                             "final",
                             "analysis",
                             "json",
                             " json",
                             "<|constrain|>json",
                             " ",
                             "\n",
                             "Hello",
                             " world",
                             "日本",
                             "{\"a\": 1}",
                             "to",
                             "=",
                             ".",
                             "<|endoftext|>"})
      pieces_.push_back(ids_of_text(text));
    for (const char* text :
         {"<|start|>assistant<|channel|>analysis<|message|>I think of it.<|end|>",
          "<|start|>assistant<|channel|>final<|message|>Paris, 日本 it is.<|return|>",
          "<|start|>assistant<|channel|>commentary<|message|>I will look.<|end|>",
          "<|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{\"a\": "
          "1}<|call|>",
          "<|start|>assistant to=functions.g<|channel|>commentary json<|message|>{}<|call|>",
          "<|start|>functions.f to=assistant<|channel|>commentary<|message|>4 degrees<|end|>",
          "<|start|>user<|message|>And then?<|end|>"})
      messages_.push_back(ids_of_text(text));
  }

  std::vector<int32_t> ids_of_text(std::string_view text) const {
    return tokenizer_->encode(text, {.parse_special = true});
  }

  int32_t random_id(TestRandom& random) const {
    const auto vocab_size = static_cast<std::size_t>(tokenizer_->vocab_size());
    const std::size_t id = random.below(vocab_size + 4);
    return id < vocab_size ? static_cast<int32_t>(id) : id % 2 == 0 ? INT32_MAX : -1;
  }

  // Pieces of the format and any tokens, in any order.
  std::vector<int32_t> random_ids(TestRandom& random) const {
    std::vector<int32_t> ids;
    const std::size_t length = 1 + random.below(30);
    while (ids.size() < length) {
      if (random.below(4) == 0) {
        ids.push_back(random_id(random));
      } else {
        const std::vector<int32_t>& piece = pieces_[random.below(pieces_.size())];
        ids.insert(ids.end(), piece.begin(), piece.end());
      }
    }
    return ids;
  }

  // An answer as it should be, with up to 5 tokens lost, doubled, swapped, replaced or put in.
  std::vector<int32_t> mutated_ids(TestRandom& random) const {
    std::vector<int32_t> ids;
    for (std::size_t i = 1 + random.below(4); i > 0; --i) {
      const std::vector<int32_t>& message = messages_[random.below(messages_.size())];
      ids.insert(ids.end(), message.begin(), message.end());
    }
    ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(random.below(3)));
    for (std::size_t i = random.below(6); i > 0 && !ids.empty(); --i) {
      const auto at = ids.begin() + static_cast<std::ptrdiff_t>(random.below(ids.size()));
      const std::vector<int32_t>& piece = pieces_[random.below(pieces_.size())];
      switch (random.below(6)) {
        case 0:
          ids.erase(at);
          break;
        case 1:
          ids.insert(at, *at);
          break;
        case 2:
          std::swap(*at, ids[random.below(ids.size())]);
          break;
        case 3:
          *at = random_id(random);
          break;
        case 4:
          ids.insert(at, piece.begin(), piece.end());
          break;
        default:
          ids.erase(at, ids.end());
      }
    }
    return ids;
  }

  std::vector<int32_t> make_ids(TestRandom& random) const {
    return random.below(2) == 0 ? random_ids(random) : mutated_ids(random);
  }

  std::unique_ptr<Tokenizer> tokenizer_ = Tokenizer::load(fixture_path("tiny_oss.json"));
  std::vector<std::vector<int32_t>> pieces_;
  std::vector<std::vector<int32_t>> messages_;
};

int64_t num_sequences() {
  const char* number = std::getenv("GOSSAMER_HARMONY_SEQUENCES");
  return number == nullptr ? 20'000 : std::strtoll(number, nullptr, 10);
}

// All deltas of pushing `ids` in pieces of up to `longest`.
template <typename Delta, typename Reader>
std::vector<Delta> read_in_pieces(Reader& reader, std::span<const int32_t> ids, std::size_t longest,
                                  TestRandom& random) {
  std::vector<Delta> deltas;
  while (!ids.empty()) {
    const std::size_t length = std::min(ids.size(), 1 + random.below(longest));
    std::ranges::move(reader.push(ids.first(length)), std::back_inserter(deltas));
    ids = ids.subspan(length);
  }
  std::ranges::move(reader.flush(), std::back_inserter(deltas));
  return deltas;
}

std::string to_text(const ChatParts& parts) {
  std::string text = "reasoning: " + parts.reasoning + "\ncontent: " + parts.content;
  for (const ChatParts::ToolCall& call : parts.tool_calls) text += "\n" + call.name + ": " + call.arguments;
  return text + fmt::format("\n{} reasoning tokens", parts.num_reasoning_tokens);
}

// That every message's text is in a part of the answer.
std::string find_lost_message(const std::vector<HarmonyMessage>& messages, const ChatParts& parts) {
  for (const HarmonyMessage& message : messages) {
    const std::string& text = std::get<std::string>(message.content.front());
    const bool is_argument = std::any_of(
        parts.tool_calls.begin(), parts.tool_calls.end(),
        [&](const ChatParts::ToolCall& call) { return call.arguments.find(text) != std::string::npos; });
    if (!is_argument && parts.reasoning.find(text) == std::string::npos &&
        parts.content.find(text) == std::string::npos)
      return text;
  }
  return "";
}

TEST_F(HarmonyRandom, LosesNoTextHoweverItIsCutIntoPieces) {
  const HarmonyOracle oracle(*tokenizer_);
  TestRandom random(20251121);
  int64_t num_tokens = 0;
  int64_t num_messages = 0;
  HarmonyRecoveryCounts recoveries;
  for (int64_t trial = 0; trial < num_sequences(); ++trial) {
    const std::vector<int32_t> ids = make_ids(random);
    const HarmonyStream::Options options = {
        .role = random.below(4) == 0 ? std::nullopt : std::optional(HarmonyRole::kAssistant)};
    num_tokens += static_cast<int64_t>(ids.size());
    const auto where = [&] { return fmt::format("sequence {}: {}", trial, tokenizer_->decode(ids)); };

    const HarmonyParse whole = parse_harmony(*tokenizer_, ids, options);
    HarmonyStream stream(*tokenizer_, options);
    const std::vector<HarmonyDelta> deltas =
        read_in_pieces<HarmonyDelta>(stream, ids, 1 + random.below(8), random);
    ASSERT_EQ(oracle.find_fault(ids, deltas), "") << where();
    std::vector<HarmonyMessage> streamed;
    for (const HarmonyDelta& delta : deltas) append_delta(delta, streamed);
    ASSERT_EQ(messages_to_json(streamed), messages_to_json(whole.messages)) << where();
    ASSERT_EQ(stream.recoveries(), whole.recoveries) << where();
    num_messages += static_cast<int64_t>(streamed.size());
    recoveries.add(whole.recoveries);
  }
  EXPECT_GT(num_messages, num_sequences());
  for (std::size_t i = 0; i < static_cast<std::size_t>(HarmonyRecovery::kCallWithoutPrefix); ++i) {
    const auto recovery = static_cast<HarmonyRecovery>(i);
    EXPECT_GT(recoveries.of(recovery), 0U) << "the sequences never need " << to_string(recovery);
  }
  fmt::print("{} sequences, {} tokens, {} messages, {} recoveries\n", num_sequences(), num_tokens,
             num_messages, recoveries.total());
}

TEST_F(HarmonyRandom, GivesTheSamePartsStreamedAndWhole) {
  TestRandom random(5);
  int64_t num_calls = 0;
  for (int64_t trial = 0; trial < num_sequences(); ++trial) {
    const std::vector<int32_t> ids = make_ids(random);
    const std::vector<std::string> tools =
        random.below(4) == 0 ? std::vector<std::string>() : std::vector<std::string>{"f", "get_weather"};
    const auto where = [&] { return fmt::format("sequence {}: {}", trial, tokenizer_->decode(ids)); };
    const ChatParts whole = parse_chat(*tokenizer_, ids, tools);
    HarmonyChat chat(*tokenizer_, tools);
    const std::vector<ChatDelta> deltas = read_in_pieces<ChatDelta>(chat, ids, 1 + random.below(8), random);
    ChatParts streamed;
    for (std::size_t i = 0; i < deltas.size(); ++i) {
      ASSERT_EQ(deltas[i].kind == ChatDelta::Kind::kRole, i == 0) << where();
      ASSERT_TRUE(i == 0 || !deltas[i].text.empty()) << where();
      streamed.add(deltas[i]);
    }
    streamed.num_reasoning_tokens = chat.num_reasoning_tokens();
    ASSERT_EQ(to_text(streamed), to_text(whole)) << where();
    ASSERT_TRUE(!tools.empty() || whole.tool_calls.empty()) << where();
    ASSERT_EQ(find_lost_message(parse_harmony(*tokenizer_, ids).messages, whole), "") << where();
    num_calls += static_cast<int64_t>(whole.tool_calls.size());
  }
  EXPECT_GT(num_calls, num_sequences() / 20);
}

TEST_F(HarmonyRandom, IsJudgedByTheReferenceWithoutFailing) {
  TestRandom random(3);
  int64_t num_accepted = 0;
  for (int64_t trial = 0; trial < num_sequences(); ++trial) {
    const std::vector<int32_t> ids = make_ids(random);
    const auto messages =
        parse_harmony_as_reference(*tokenizer_, ids, {.role = std::nullopt, .strict = random.below(2) == 0});
    if (messages.ok()) {
      num_accepted += 1;
    } else {
      ASSERT_FALSE(messages.error().message.empty());
    }
  }
  EXPECT_GT(num_accepted, 0);
  EXPECT_LT(num_accepted, num_sequences());
}

// Whatever is repeated without an end. Were the time quadratic, some of these would take 50 microseconds a
// token.
TEST_F(HarmonyRandom, TakesTimeThatIsLinearInTheTokens) {
  constexpr std::size_t kNumTokens = 100'000;
  std::vector<std::vector<int32_t>> patterns = pieces_;
  patterns.insert(patterns.end(), messages_.begin(), messages_.end());
  for (const char* text : {"<|start|> ", "<|channel|> to=", "<|start|>a", "<|channel|>final to=", " to=a",
                           "<|message|><|channel|>anal", "<|constrain|>a ", "assistant to=a<|constrain|>"})
    patterns.push_back(ids_of_text(text));
  double slowest = 0.0;
  std::string slowest_text;
  for (const std::vector<int32_t>& pattern : patterns) {
    for (const char* prefix : {"", "<|channel|>", "<|channel|>final<|message|>", "<|start|>"}) {
      std::vector<int32_t> ids = ids_of_text(prefix);
      while (ids.size() < kNumTokens) ids.insert(ids.end(), pattern.begin(), pattern.end());
      const std::clock_t start = std::clock();  // of the processor: the machine may be busy
      HarmonyStream stream(*tokenizer_);
      for (const int32_t id : ids) (void)stream.push(id);
      (void)stream.flush();
      const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
      const double nanoseconds = seconds * 1e9 / static_cast<double>(ids.size());
      if (nanoseconds > slowest) {
        slowest = nanoseconds;
        slowest_text = prefix + tokenizer_->decode(pattern);
      }
    }
  }
  fmt::print("slowest: {:.0f} ns a token, with {}\n", slowest, slowest_text);
  EXPECT_LT(slowest, 10'000.0) << slowest_text;  // room for sanitizers
}

TEST_F(HarmonyRandom, FindsThePlantedFault) {
  const HarmonyOracle oracle(*tokenizer_);
  const std::vector<int32_t> ids = ids_of_text("<|channel|>final<|message|>Hello world<|return|>");
  HarmonyStream stream(*tokenizer_);
  std::vector<HarmonyDelta> deltas;
  for (const int32_t id : ids) std::ranges::move(stream.push(id), std::back_inserter(deltas));
  ASSERT_EQ(oracle.find_fault(ids, deltas), "");
  std::vector<HarmonyDelta> without_token = deltas;
  without_token.erase(without_token.begin() + 1);
  EXPECT_NE(oracle.find_fault(ids, without_token), "");
  deltas[1].text = "x" + deltas[1].text;
  EXPECT_NE(oracle.find_fault(ids, deltas), "");
}

}  // namespace
}  // namespace gossamer
