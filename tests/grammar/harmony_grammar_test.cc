// Answers sampled under the Harmony grammar parse by the reference's strict rules and keep to what was asked
// for.
#include "grammar/harmony_grammar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "grammar/machine.h"
#include "grammar/schema_validator.h"
#include "tests/grammar/grammar_testing.h"

namespace gossamer {
namespace {

using ::testing::HasSubstr;

struct Message {
  std::string channel;
  std::string recipient;
  std::string content_type;
  std::string content;
  Mark end = Mark::kEnd;
};

// The strict parser of openai/harmony (StreamableParser, strict = true), on bytes with marks. Returns what is
// wrong, or nothing.
std::string parse_strictly(std::string_view text, std::vector<Message>& messages) {
  const auto is = [&](std::size_t i, Mark wanted) {
    return static_cast<uint8_t>(text[i]) == static_cast<uint8_t>(wanted);
  };
  std::size_t at = 0;
  for (bool first = true; at < text.size(); first = false) {
    std::string header = first ? "assistant" : "";
    if (!first) {
      if (!is(at, Mark::kStart)) return "text between messages";
      ++at;
    }
    while (at < text.size() && !is(at, Mark::kMessage)) {
      const auto byte = static_cast<uint8_t>(text[at]);
      if (byte >= kFirstMark && !is(at, Mark::kChannel) && !is(at, Mark::kConstrain))
        return "mark in a header";
      header += is(at, Mark::kConstrain) ? " <|constrain|>" : std::string(1, text[at]);
      ++at;
    }
    if (at == text.size()) return "no message";
    ++at;
    Message message;
    if (const std::size_t channel = header.find(static_cast<char>(Mark::kChannel));
        channel != std::string::npos) {
      const std::size_t end = std::min(header.find_first_of(" <", channel), header.size());
      message.channel = header.substr(channel + 1, end - channel - 1);
      if (message.channel.empty()) return "empty channel";
      header = header.substr(0, channel) + header.substr(end);
    }
    std::vector<std::string> words;
    for (std::size_t i = 0; i < header.size();) {
      const std::size_t end = std::min(header.find(' ', i), header.size());
      if (end > i) words.push_back(header.substr(i, end - i));
      i = end + 1;
    }
    if (words.empty() || words[0] != "assistant") return "role";
    words.erase(words.begin());
    if (words.size() > 2) return "unexpected tokens remaining in message header";
    for (const std::string& word : words) {
      if (word.starts_with("to=")) {
        message.recipient = word.substr(3);
      } else if (words.size() == 1) {
        return "a content type that would be taken for a recipient";
      } else {
        message.content_type = word;
      }
    }
    while (at < text.size() && static_cast<uint8_t>(text[at]) < kFirstMark) message.content += text[at++];
    if (at == text.size()) return "no end";
    message.end = static_cast<Mark>(text[at++]);
    if (message.end != Mark::kEnd && message.end != Mark::kReturn && message.end != Mark::kCall)
      return "a mark in content";
    messages.push_back(std::move(message));
  }
  return messages.empty() ? "nothing" : "";
}

const char* const kWeather = R"({"type":"object","properties":{"location":{"type":"string","maxLength":8},
    "days":{"type":"integer","minimum":1,"maximum":9}},"required":["location"],"additionalProperties":false})";

HarmonyGrammarOptions with_tools() {
  HarmonyGrammarOptions options;
  options.tools.push_back({.recipient = "functions.get_weather", .parameters = parse_schema(kWeather)});
  options.tools.push_back({.recipient = "functions.web-search.v2"});
  return options;
}

// `text` with <|...|> for marks.
bool allows_answer(const HarmonyGrammarOptions& options, std::string text) {
  const Result<Grammar> grammar = harmony_grammar(options);
  if (!grammar.ok()) {
    ADD_FAILURE() << grammar.error().message;
    return false;
  }
  for (const auto& [token, name] : kMarkTokens) {
    for (std::size_t at = text.find(name); at != std::string::npos; at = text.find(name))
      text.replace(at, name.size(), mark(token));
  }
  return matches(grammar.value(), text);
}

constexpr const char* kThought = "<|channel|>analysis<|message|>hm <html> {<|end|><|start|>assistant";
constexpr const char* kCall =
    "<|channel|>commentary to=functions.get_weather "
    "<|constrain|>json<|message|>{\"location\":\"Rome\"}<|call|>";
constexpr const char* kFinal = "<|channel|>final<|message|>Hello\nthere<|return|>";

TEST(HarmonyGrammar, AllowsThoughtsThenAnAnswerOrACall) {
  const HarmonyGrammarOptions options = with_tools();
  const std::string thought = kThought;
  for (const std::string& text : {
           thought + kFinal,
           std::string(kFinal),
           thought + thought + kCall,
           std::string("<|channel|>commentary<|message|>Let me look.<|end|><|start|>assistant") + kCall,
           std::string(" to=functions.get_weather<|channel|>commentary<|constrain|>json<|message|>{"
                       "\"location\":\"a\"}<|call|>"),
           std::string("<|channel|>commentary to=functions.web-search.v2 json<|message|>{\"q\":[1]}<|call|>"),
           std::string("<|channel|>commentary to=functions.web-search.v2<|message|>{}<|call|>"),
       }) {
    EXPECT_TRUE(allows_answer(options, text)) << text;
  }
  for (const std::string& text : {
           thought,
           std::string("Hello<|return|>"),
           std::string("<|channel|>other<|message|>x<|return|>"),
           std::string("<|channel|>final<|message|>x<|end|>"),
           std::string("<|channel|>final<|message|>x<|call|>"),
           std::string("<|channel|>final to=functions.get_weather<|message|>{}<|return|>"),
           std::string("<|channel|>final <|constrain|>json<|message|>{}<|return|>"),
           std::string("<|channel|>commentary to=functions.other<|message|>{}<|call|>"),
           std::string("<|channel|>commentary to=functions.get_weather<|message|>{}<|call|>"),
           std::string("<|channel|>analysis to=functions.web-search.v2<|message|>{}<|call|>"),
           std::string("<|channel|>commentary to=functions.web-search.v2<|message|>text<|call|>"),
           std::string("<|channel|>commentary to=functions.web-search.v2<|message|>{}<|end|>"),
           std::string("<|channel|>analysis<|message|>a<|channel|>b<|end|><|start|>assistant") + kFinal,
           std::string("<|channel|>analysis<|message|>a<|end|><|start|>user") + kFinal,
           thought + kFinal + kFinal,
       }) {
    EXPECT_FALSE(allows_answer(options, text)) << text;
  }
}

TEST(HarmonyGrammar, HoldsToTheChoiceOfTools) {
  HarmonyGrammarOptions options = with_tools();
  options.tool_choice = HarmonyToolChoice::kNone;
  EXPECT_TRUE(allows_answer(options, kFinal));
  EXPECT_FALSE(allows_answer(options, kCall));
  options.tool_choice = HarmonyToolChoice::kRequired;
  EXPECT_FALSE(allows_answer(options, std::string(kThought) + kFinal));
  EXPECT_TRUE(allows_answer(options, std::string(kThought) + kCall));

  const std::string first =
      "<|channel|>commentary to=functions.web-search.v2<|message|>{}<|end|><|start|>assistant";
  EXPECT_FALSE(allows_answer(options, first + kCall));
  options.parallel_tool_calls = true;
  EXPECT_TRUE(allows_answer(options, first + kCall));
  EXPECT_TRUE(allows_answer(options, first + first + kCall));
  EXPECT_FALSE(allows_answer(options, first + kThought + kCall));
  EXPECT_FALSE(allows_answer(options, first + kFinal));

  options.reasoning = false;
  EXPECT_FALSE(allows_answer(options, std::string(kThought) + kCall));
  EXPECT_TRUE(allows_answer(options, kCall));
}

TEST(HarmonyGrammar, HoldsTheFinalAnswerAloneToItsFormat) {
  HarmonyGrammarOptions options;
  options.answer_format = HarmonyAnswerFormat::kJsonSchema;
  options.answer_schema = parse_schema(kWeather);
  const std::string json = "<|channel|>final<|message|>{\"location\": \"Rome\"}<|return|>";
  EXPECT_TRUE(allows_answer(options, kThought + json));
  EXPECT_FALSE(allows_answer(options, kFinal));
  EXPECT_FALSE(allows_answer(options, "<|channel|>final<|message|>{}<|return|>"));
  options.answer_format = HarmonyAnswerFormat::kJsonObject;
  EXPECT_TRUE(allows_answer(options, "<|channel|>final<|message|>{}<|return|>"));
  EXPECT_FALSE(allows_answer(options, "<|channel|>final<|message|>[]<|return|>"));
}

TEST(HarmonyGrammar, NamesTheToolThatIsRefused) {
  HarmonyGrammarOptions options = with_tools();
  options.tools[0].parameters = parse_schema(R"({"type":"object","properties":{"x":{"not":{}}}})");
  EXPECT_THAT(harmony_grammar(options).error().message,
              HasSubstr("tool \"functions.get_weather\": schema at #/properties/x/not"));
  options.tools[0] = {.recipient = "functions.two words"};
  EXPECT_THAT(harmony_grammar(options).error().message, HasSubstr("two words"));
  options.tools.clear();
  options.tool_choice = HarmonyToolChoice::kRequired;
  EXPECT_THAT(harmony_grammar(options).error().message, HasSubstr("no tool"));
  options = {};
  options.answer_format = HarmonyAnswerFormat::kJsonSchema;
  options.answer_schema = false;
  EXPECT_THAT(harmony_grammar(options).error().message, HasSubstr("response_format: schema at #"));
}

void sample_answers(const std::shared_ptr<const GrammarVocabulary>& vocabulary, int per_choice) {
  TestRandom random(17);
  int num_calls = 0;
  int num_finals = 0;
  double seconds = 0;
  std::size_t num_tokens = 0;
  for (int setting = 0; setting < 6; ++setting) {
    HarmonyGrammarOptions options = with_tools();
    options.tool_choice = std::array{HarmonyToolChoice::kAuto, HarmonyToolChoice::kRequired,
                                     HarmonyToolChoice::kNone}[static_cast<std::size_t>(setting) % 3];
    options.parallel_tool_calls = setting >= 3;
    if (setting >= 3) {
      options.answer_format = HarmonyAnswerFormat::kJsonSchema;
      options.answer_schema = parse_schema(kWeather);
    }
    Result<Grammar> grammar = harmony_grammar(options);
    ASSERT_TRUE(grammar.ok()) << grammar.error().message;
    const auto masks = std::make_shared<const GrammarMasks>(std::move(grammar).value(), vocabulary);
    for (int i = 0; i < per_choice; ++i) {
      const Walk sampled = walk(masks, random, 20 + random.below(60));
      ASSERT_TRUE(sampled.finished) << sampled.error;
      seconds += sampled.seconds;
      num_tokens += sampled.tokens.size();
      std::vector<Message> messages;
      ASSERT_EQ(parse_strictly(sampled.bytes, messages), "") << sampled.bytes;
      for (const Message& message : messages) {
        ASSERT_TRUE(utf8_is_valid(message.content));
        const bool by_schema =
            message.recipient == "functions.get_weather" || (message.channel == "final" && setting >= 3);
        if (by_schema || !message.recipient.empty()) {
          const json::value schema = parse_schema(by_schema ? kWeather : R"({"type":"object"})");
          ASSERT_EQ(violation(parse_json(message.content, "sampled"), schema, schema), "") << message.content;
        }
        if (!message.recipient.empty()) ++num_calls;
        if (message.channel == "final") ++num_finals;
      }
      const Message& last = messages.back();
      if (options.tool_choice == HarmonyToolChoice::kRequired) {
        ASSERT_EQ(last.end, Mark::kCall);
      }
      if (options.tool_choice == HarmonyToolChoice::kNone) {
        ASSERT_EQ(last.end, Mark::kReturn);
      }
      ASSERT_EQ(last.end == Mark::kCall, !last.recipient.empty());
    }
  }
  EXPECT_GT(num_calls, 0);
  EXPECT_GT(num_finals, 0);
  std::cout << fmt::format("{} calls, {} final answers, {} tokens, {:.1f} us for a mask on average\n",
                           num_calls, num_finals, num_tokens,
                           seconds / static_cast<double>(num_tokens) * 1e6);
}

TEST(HarmonyGrammar, SampledAnswersParseStrictly) { sample_answers(small_vocabulary(), 60); }

TEST(HarmonyGrammar, SampledAnswersParseStrictlyWithTheRealVocabulary) {
  GOSSAMER_SKIP_WITHOUT_SHARED_DATA();
  sample_answers(real_vocabulary(), 30);
}

}  // namespace
}  // namespace gossamer
