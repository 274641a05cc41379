#include "server/openai_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "tests/server/server_testing.h"

namespace gossamer {
namespace {

using test::parse;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

ChatRequest chat(const std::string& text) {
  const ApiResult<ChatRequest> request = parse_chat_request(parse(text));
  EXPECT_TRUE(request.ok()) << text << "\n" << (request.ok() ? "" : request.error().message);
  return request.ok() ? request.value() : ChatRequest();
}

CompletionRequest completion(const std::string& text) {
  const ApiResult<CompletionRequest> request = parse_completion_request(parse(text));
  EXPECT_TRUE(request.ok()) << text << "\n" << (request.ok() ? "" : request.error().message);
  return request.ok() ? request.value() : CompletionRequest();
}

// A body with one more field than it needs.
std::string chat_with(const std::string& field) {
  return R"({"messages": [{"role": "user", "content": "hi"}], )" + field + "}";
}
std::string completion_with(const std::string& field) { return R"({"prompt": "hi", )" + field + "}"; }

ApiError chat_error(const std::string& text) {
  const ApiResult<ChatRequest> request = parse_chat_request(parse(text));
  EXPECT_FALSE(request.ok()) << text;
  return request.ok() ? ApiError() : request.error();
}
ApiError completion_error(const std::string& text) {
  const ApiResult<CompletionRequest> request = parse_completion_request(parse(text));
  EXPECT_FALSE(request.ok()) << text;
  return request.ok() ? ApiError() : request.error();
}

TEST(OpenAiRequest, ReadsEveryFieldThatBothEndpointsHave) {
  const std::string fields =
      R"("model": "m", "max_tokens": 7, "min_tokens": 2, "n": 2, "best_of": 3, "seed": -5,
      "temperature": 0.5, "top_p": 0.75, "top_k": 40, "min_p": 0.25, "repetition_penalty": 1.5,
      "presence_penalty": 1, "frequency_penalty": -1, "logit_bias": {"3": -100, "4": 2.5}, "stop": ["a", "b"],
      "stop_token_ids": [1, 2], "ignore_eos": true, "skip_special_tokens": false, "priority": -3,
      "cache_salt": "s", "return_token_ids": true, "stream": false, "user": "u", "metadata": {"a": "b"},
      "store": true, "a_field_that_nobody_knows": [1, {}])";
  for (const CommonFields& common :
       {chat(chat_with(fields)).common, completion(completion_with(fields)).common}) {
    EXPECT_EQ(common.model, "m");
    EXPECT_EQ(common.max_tokens, 7);
    EXPECT_EQ(common.min_tokens, 2);
    EXPECT_EQ(common.num_choices, 2);
    EXPECT_EQ(common.best_of, 3);
    EXPECT_EQ(common.sampling.seed, static_cast<uint64_t>(int64_t{-5}));
    EXPECT_EQ(common.sampling.temperature, 0.5F);
    EXPECT_EQ(common.sampling.top_p, 0.75F);
    EXPECT_EQ(common.sampling.top_k, 40);
    EXPECT_EQ(common.sampling.min_p, 0.25F);
    EXPECT_EQ(common.sampling.repetition_penalty, 1.5F);
    EXPECT_EQ(common.sampling.presence_penalty, 1.0F);
    EXPECT_EQ(common.sampling.frequency_penalty, -1.0F);
    EXPECT_EQ(common.sampling.logit_bias, (std::map<int32_t, float>{{3, -100.0F}, {4, 2.5F}}));
    EXPECT_THAT(common.stop, ElementsAre("a", "b"));
    EXPECT_THAT(common.stop_token_ids, ElementsAre(1, 2));
    EXPECT_TRUE(common.ignore_eos);
    EXPECT_FALSE(common.skip_special_tokens);
    EXPECT_EQ(common.priority, -3);
    EXPECT_EQ(common.cache_salt, "s");
    EXPECT_TRUE(common.return_token_ids);
  }
}

TEST(OpenAiRequest, TakesNullForAbsent) {
  const CommonFields common =
      chat(chat_with(R"("temperature": null, "stop": null, "n": null, "tools": null, "tool_choice": null,
                        "response_format": null, "stream_options": null, "logit_bias": null, "seed": null)"))
          .common;
  EXPECT_FALSE(common.sampling.temperature);
  EXPECT_EQ(common.num_choices, 1);
  EXPECT_EQ(common.best_of, 1);
}

TEST(OpenAiRequest, ReadsWholeNumbersWithAFractionOfZero) {
  EXPECT_EQ(chat(chat_with(R"("max_tokens": 16.0)")).common.max_tokens, 16);
  EXPECT_EQ(chat(chat_with(R"("seed": 18446744073709551615)")).common.sampling.seed, ~uint64_t{0});
  EXPECT_EQ(chat(chat_with(R"("top_k": -1)")).common.sampling.top_k, 0);
}

TEST(OpenAiRequest, PrefersMaxCompletionTokens) {
  EXPECT_EQ(chat(chat_with(R"("max_tokens": 5, "max_completion_tokens": 9)")).common.max_tokens, 9);
  EXPECT_FALSE(chat(chat_with(R"("n": 1)")).common.max_tokens);
}

TEST(OpenAiRequest, ReadsLogprobsAsEachEndpointHasThem) {
  EXPECT_EQ(chat(chat_with(R"("logprobs": true)")).common.top_logprobs, 0);
  EXPECT_EQ(chat(chat_with(R"("logprobs": true, "top_logprobs": 5)")).common.top_logprobs, 5);
  EXPECT_EQ(chat(chat_with(R"("logprobs": false)")).common.top_logprobs, -1);
  EXPECT_EQ(completion(completion_with(R"("logprobs": 3)")).common.top_logprobs, 3);
  EXPECT_EQ(completion(completion_with(R"("logprobs": null)")).common.top_logprobs, -1);
}

TEST(OpenAiRequest, ReadsEveryFormOfPrompt) {
  using Ids = std::vector<int32_t>;
  const auto prompts = [](const std::string& prompt) {
    return completion("{\"prompt\": " + prompt + "}").prompts;
  };
  EXPECT_EQ(std::get<std::string>(prompts(R"("one")").at(0)), "one");
  EXPECT_EQ(std::get<std::string>(prompts(R"(["one", "two"])").at(1)), "two");
  EXPECT_EQ(prompts("[1, 2, 3]").size(), 1U);
  EXPECT_EQ(std::get<Ids>(prompts("[1, 2, 3]").at(0)), (Ids{1, 2, 3}));
  EXPECT_EQ(std::get<Ids>(prompts("[[1, 2], [3]]").at(1)), (Ids{3}));
  EXPECT_EQ(completion(R"({"prompt": "x"})").common.max_tokens, 16);
  EXPECT_EQ(completion(R"({"prompt": "x", "echo": true, "max_tokens": 0})").common.max_tokens, 0);
}

TEST(OpenAiRequest, ReadsMessagesOfEveryRole) {
  const ChatRequest request = chat(R"({"messages": [
      {"role": "system", "content": "s"},
      {"role": "developer", "content": [{"type": "text", "text": "d1"}, {"type": "text", "text": "d2"}]},
      {"role": "user", "content": "u", "name": "ann-1"},
      {"role": "assistant", "content": null, "reasoning": "r",
       "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}},
                      {"id": "c2", "type": "function", "function": {"name": "g", "arguments": {"b": 2}}}]},
      {"role": "tool", "tool_call_id": "c2", "content": "result"},
      {"role": "assistant", "reasoning_content": "r2", "content": "answer"},
      {"role": "assistant", "thinking": "r3", "function_call": {"name": "h", "arguments": "{}"}},
      {"role": "function", "name": "h", "content": "old"}]})");
  ASSERT_EQ(request.messages.size(), 8U);
  EXPECT_EQ(request.messages[1].content, "d1d2");
  EXPECT_EQ(request.messages[2].name, "ann-1");
  EXPECT_FALSE(request.messages[3].content);
  EXPECT_EQ(request.messages[3].reasoning, "r");
  ASSERT_EQ(request.messages[3].tool_calls.size(), 2U);
  EXPECT_EQ(request.messages[3].tool_calls[0].arguments, "{\"a\": 1}");
  EXPECT_EQ(request.messages[3].tool_calls[1].arguments, "{\"b\":2}");
  EXPECT_EQ(request.messages[4].role, ChatRole::kTool);
  EXPECT_EQ(request.messages[4].name, "g") << "the function is that of the call";
  EXPECT_EQ(request.messages[5].reasoning, "r2");
  EXPECT_EQ(request.messages[6].reasoning, "r3");
  EXPECT_EQ(request.messages[7].role, ChatRole::kTool);
  EXPECT_EQ(request.messages[7].name, "h");
}

TEST(OpenAiRequest, ReadsToolsAndWhatIsToBeDoneWithThem) {
  const std::string tools = R"("tools": [
      {"type": "function", "function": {"name": "f", "description": "d", "strict": true,
       "parameters": {"type": "object", "properties": {"z": {"type": "string"}, "a": {"type": "number"}}}}},
      {"type": "function", "function": {"name": "g"}}])";
  const ChatRequest request = chat(chat_with(tools));
  ASSERT_EQ(request.tools.size(), 2U);
  EXPECT_EQ(request.tools[0].function.name, "f");
  EXPECT_TRUE(request.tools[0].strict);
  EXPECT_EQ(json::serialize(*request.tools[0].function.parameters),
            R"({"type":"object","properties":{"z":{"type":"string"},"a":{"type":"number"}}})");
  EXPECT_FALSE(request.tools[1].function.parameters);
  const auto choice = [&](const std::string& text) {
    return chat(chat_with(tools + R"(, "tool_choice": )" + text)).tool_choice;
  };
  EXPECT_EQ(request.tool_choice.mode, ToolChoice::kAuto);
  EXPECT_EQ(choice(R"("none")").mode, ToolChoice::kNone);
  EXPECT_EQ(choice(R"("required")").mode, ToolChoice::kRequired);
  EXPECT_EQ(choice(R"({"type": "function", "function": {"name": "g"}})").function, "g");
  const ToolChoice allowed = choice(R"({"type": "allowed_tools", "allowed_tools": {"mode": "required",
      "tools": [{"type": "function", "function": {"name": "g"}}]}})");
  EXPECT_EQ(allowed.mode, ToolChoice::kRequired);
  EXPECT_THAT(*allowed.allowed, ElementsAre("g"));
}

TEST(OpenAiRequest, ReadsTheResponseFormat) {
  const auto format = [](const std::string& text) {
    return chat(chat_with(R"("response_format": )" + text)).response_format;
  };
  EXPECT_EQ(format(R"({"type": "text"})").type, ResponseFormat::kText);
  EXPECT_EQ(format(R"({"type": "json_object"})").type, ResponseFormat::kJsonObject);
  const ResponseFormat schema = format(
      R"({"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": {"type": "object"}}})");
  EXPECT_EQ(schema.type, ResponseFormat::kJsonSchema);
  EXPECT_EQ(schema.name, "n");
  EXPECT_TRUE(schema.strict);
  EXPECT_EQ(json::serialize(schema.schema), R"({"type":"object"})");
}

TEST(OpenAiRequest, MapsEveryEffortToOneThatTheModelKnows) {
  const auto effort = [](const std::string& name) {
    return chat(chat_with("\"reasoning_effort\": \"" + name + "\"")).reasoning_effort;
  };
  for (const char* name : {"none", "minimal", "low"}) EXPECT_EQ(effort(name), ReasoningEffort::kLow);
  EXPECT_EQ(effort("medium"), ReasoningEffort::kMedium);
  for (const char* name : {"high", "xhigh", "max"}) EXPECT_EQ(effort(name), ReasoningEffort::kHigh);
  EXPECT_EQ(chat(chat_with(R"("chat_template_kwargs": {"reasoning_effort": "high"})")).reasoning_effort,
            ReasoningEffort::kHigh);
}

// Every error names the field's path, says what was expected and found, and has all that clients look at.
struct BadField {
  std::string body;
  std::string param;
  std::string found;  // a part of the message
};

void expect_refusal(const ApiError& error, const BadField& bad) {
  EXPECT_EQ(error.status, 400) << bad.body;
  EXPECT_EQ(error.type, "invalid_request_error");
  EXPECT_EQ(error.param, bad.param) << error.message;
  EXPECT_THAT(error.message, AllOf(StartsWith(bad.param), HasSubstr(bad.found))) << bad.body;
  const json::object body = to_json(error).at("error").as_object();
  for (const char* key : {"message", "type", "param", "code"}) EXPECT_TRUE(body.contains(key)) << key;
}

TEST(OpenAiRequest, RefusesWrongValuesOfCommonFieldsByName) {
  const std::vector<BadField> cases = {
      {R"("model": 5)", "model", "expected a string, found 5"},
      {R"("temperature": "hot")", "temperature", "expected a number, found \"hot\""},
      {R"("temperature": 1e39)", "temperature", "found 1E39"},
      {R"("top_p": true)", "top_p", "found true"},
      {R"("top_k": 1.5)", "top_k", "expected a whole number"},
      {R"("top_k": -2)", "top_k", "found -2"},
      {R"("n": 0)", "n", "1 to 128, found 0"},
      {R"("n": 129)", "n", "found 129"},
      {R"("n": 3, "best_of": 2)", "best_of", "from 3 to 128, found 2"},
      {R"("seed": 1.5)", "seed", "found 1.5"},
      {R"("seed": 1e300)", "seed", "whole number"},
      {R"("max_tokens": 0)", "max_tokens", "found 0"},
      {R"("min_tokens": -1)", "min_tokens", "found -1"},
      {R"("stop": 5)", "stop", "found 5"},
      {R"("stop": ["a", 5])", "stop[1]", "expected a string, found 5"},
      {R"("stop": ["1", "2", "3", "4", "5"])", "stop", "up to 4"},
      {R"("stop": "")", "stop", "none of them empty"},
      {R"("stop_token_ids": [1, "x"])", "stop_token_ids[1]", "found \"x\""},
      {R"("stop_token_ids": [-1])", "stop_token_ids[0]", "found -1"},
      {R"("logit_bias": [])", "logit_bias", "expected an object"},
      {R"("logit_bias": {"x": 1})", "logit_bias", "token ids as keys, found \"x\""},
      {R"("logit_bias": {"5": "x"})", "logit_bias.5", "found \"x\""},
      {R"("logit_bias": {"5": null})", "logit_bias.5", "found nothing"},
      {R"("stream": "yes")", "stream", "expected true or false"},
      {R"("stream_options": {})", "stream_options", "stream is not true"},
      {R"("stream": true, "best_of": 2)", "best_of", "stream"},
      {R"("ignore_eos": 1)", "ignore_eos", "found 1"},
      {R"("priority": 1e9)", "priority", "whole number"},
      {R"("use_beam_search": true)", "use_beam_search", "does not support"},
      {R"("guided_grammar": "x")", "guided_grammar", "a JSON schema"},
      {R"("prompt_logprobs": 1)", "prompt_logprobs", "echo"},
  };
  for (const BadField& bad : cases) {
    expect_refusal(chat_error(chat_with(bad.body)), bad);
    expect_refusal(completion_error(completion_with(bad.body)), bad);
  }
}

TEST(OpenAiRequest, AcceptsRefusedFieldsWithTheValueThatAsksForNothing) {
  chat(chat_with(R"("use_beam_search": false, "length_penalty": 1.0, "modalities": ["text"], "functions": [],
                    "add_generation_prompt": true, "echo": false, "suffix": null, "documents": [])"));
  completion(completion_with(R"("suffix": "", "length_penalty": 1, "bad_words": [])"));
}

TEST(OpenAiRequest, RefusesWrongValuesOfChatFieldsByName) {
  const std::vector<BadField> cases = {
      {R"("logprobs": 5)", "logprobs", "true or false"},
      {R"("logprobs": true, "top_logprobs": 21)", "top_logprobs", "0 to 20, found 21"},
      {R"("top_logprobs": 2)", "top_logprobs", "logprobs is not true"},
      {R"("guided_json": {})", "guided_json", "response_format"},
      {R"("structured_outputs": {"json": {}})", "structured_outputs", "response_format"},
      {R"("thinking_token_budget": -1)", "thinking_token_budget", "0 to"},
      {R"("parallel_tool_calls": 1)", "parallel_tool_calls", "true or false"},
      {R"("reasoning_effort": "huge")", "reasoning_effort", "\"low\""},
      {R"("chat_template_kwargs": {"reasoning_effort": 3})", "chat_template_kwargs.reasoning_effort",
       "found 3"},
      {R"("functions": [{"name": "f"}])", "functions", "use tools"},
      {R"("audio": {"voice": "x"})", "audio", "does not support"},
      {R"("modalities": ["text", "audio"])", "modalities", "writes text"},
      {R"("tools": {})", "tools", "expected a list"},
      {R"("tools": [{"function": {"name": "f"}}])", "tools[0].type", "\"function\""},
      {R"("tools": [{"type": "web_search"}])", "tools[0].type", "found \"web_search\""},
      {R"("tools": [{"type": "function"}])", "tools[0].function", "expected an object, found nothing"},
      {R"("tools": [{"type": "function", "function": {"name": "a b"}}])", "tools[0].function.name",
       "letters"},
      {R"("tools": [{"type": "function", "function": {"name": "f", "parameters": 3}}])",
       "tools[0].function.parameters", "JSON schema"},
      {R"("tools": [{"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "f"}}])",
       "tools[1].function.name", "no other tool has"},
      {R"("tool_choice": "any")", "tool_choice", "\"auto\", \"none\" or \"required\""},
      {R"("tool_choice": "required")", "tool_choice", "tools to choose from"},
      {R"("tool_choice": {"type": "function", "function": {"name": "f"}})", "tool_choice.function.name",
       "one of the tools"},
      {R"("response_format": "json")", "response_format", "expected an object"},
      {R"("response_format": {"type": "sound"})", "response_format.type", "found \"sound\""},
      {R"("response_format": {"type": "json_schema"})", "response_format.json_schema", "expected an object"},
      {R"("response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": 123}})",
       "response_format.json_schema.schema", "found 123"},
  };
  for (const BadField& bad : cases) expect_refusal(chat_error(chat_with(bad.body)), bad);
}

TEST(OpenAiRequest, RefusesWrongMessagesByTheirPath) {
  const std::vector<BadField> cases = {
      {"null", "messages", "expected a list, found nothing"},
      {R"("string")", "messages", "found \"string\""},
      {"[]", "messages", "at least one"},
      {"[123]", "messages[0]", "expected an object, found 123"},
      {"[{}]", "messages[0].role", "found nothing"},
      {R"([{"role": 123}])", "messages[0].role", "found 123"},
      {R"([{"role": "wizard", "content": ""}])", "messages[0].role", "\"wizard\""},
      {R"([{"role": "user"}])", "messages[0].content", "found nothing"},
      {R"([{"role": "system", "content": 123}])", "messages[0].content", "found 123"},
      {R"([{"role": "user", "content": "x"}, {}])", "messages[1].role", "found nothing"},
      {R"([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}])",
       "messages[0].content[0].type", "no images"},
      {R"([{"role": "user", "content": [{"type": "text"}]}])", "messages[0].content[0].text", "a string"},
      {R"([{"role": "user", "content": "x", "name": "a to=b"}])", "messages[0].name", "letters"},
      {R"([{"role": "assistant"}])", "messages[0].content", "tool_calls"},
      {R"([{"role": "assistant", "content": "x", "reasoning": 5}])", "messages[0].reasoning", "found 5"},
      {R"([{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f"}}]}])",
       "messages[0].tool_calls[0].function.arguments", "a string"},
      {R"([{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}])",
       "messages[0].tool_calls[0].id", "a string"},
      {R"([{"role": "tool", "content": "x"}])", "messages[0].tool_call_id", "a string"},
      {R"([{"role": "tool", "content": "x", "tool_call_id": "c"}])", "messages[0].tool_call_id",
       "found \"c\""},
      {R"([{"role": "function", "content": "x"}])", "messages[0].name", "a string"},
  };
  for (const BadField& bad : cases) expect_refusal(chat_error("{\"messages\": " + bad.body + "}"), bad);
}

TEST(OpenAiRequest, RefusesWrongValuesOfCompletionFieldsByName) {
  const std::vector<BadField> cases = {
      {R"({})", "prompt", "found nothing"},
      {R"({"prompt": 5})", "prompt", "found 5"},
      {R"({"prompt": []})", "prompt", "found []"},
      {R"({"prompt": ["a", {}]})", "prompt[1]", "found {}"},
      {R"({"prompt": [1, "a"]})", "prompt[1]", "a token id, found \"a\""},
      {R"({"prompt": [[1], [2, -3]]})", "prompt[1][1]", "found -3"},
      {R"({"prompt": "x", "logprobs": true})", "logprobs", "whole number"},
      {R"({"prompt": "x", "logprobs": 21})", "logprobs", "0 to 20"},
      {R"({"prompt": "x", "suffix": "y"})", "suffix", "cannot fill in"},
      {R"({"prompt": "x", "echo": "y"})", "echo", "true or false"},
      {R"({"prompt": "x", "response_format": {"type": "json"}})", "response_format.type", "json_object"},
      {R"({"prompt": "x", "thinking_token_budget": 5})", "thinking_token_budget", "no reasoning"},
  };
  for (const BadField& bad : cases) expect_refusal(completion_error(bad.body), bad);
  EXPECT_THAT(completion_error("[1, 2]").message, HasSubstr("the request: expected an object, found [1,2]"));
  EXPECT_FALSE(completion_error("null").param);
}

TEST(OpenAiRequest, QuotesOnlyTheBeginningOfALongValue) {
  const std::string text(100'000, 'x');
  EXPECT_LT(chat_error(chat_with("\"temperature\": \"" + text + "\"")).message.size(), 200U);
  std::string wide;
  for (int i = 0; i < 1000; ++i) wide += "\xE2\x82\xAC";
  EXPECT_TRUE(utf8_is_valid(chat_error(chat_with("\"temperature\": \"" + wide + "\"")).message));
}

}  // namespace
}  // namespace gossamer
