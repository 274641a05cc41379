// What /v1/responses asks of the model, and what it refuses.
#include "server/responses_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/server/responses_testing.h"

namespace gossamer {
namespace {

using test::parse;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

class ResponsesRequestTest : public test::ResponsesTest {
 protected:
  ResponsesRequest read(const std::string& body) {
    ApiResult<ResponsesRequest> request = parse_responses_request(parse(body), store_, "9");
    EXPECT_TRUE(request.ok()) << body << "\n" << (request.ok() ? "" : request.error().message);
    return request.ok() ? std::move(request).value() : ResponsesRequest();
  }
};

TEST_F(ResponsesRequestTest, ReadsFieldsThatChatsHaveToo) {
  const ResponsesRequest request =
      read(R"({"input": "hi", "model": "tiny", "max_output_tokens": 7, "temperature": 0.5, "top_p": 0.25,
      "seed": 3, "stop": ["x"], "stream": true, "top_k": 4, "priority": 2, "include_timings": true,
      "reasoning": {"effort": "high", "summary": "auto"}, "include": ["message.output_text.logprobs"],
      "top_logprobs": 3, "stream_options": {"include_obfuscation": false}, "store": false})");
  const CommonFields& common = request.chat.common;
  EXPECT_EQ(common.model, "tiny");
  EXPECT_EQ(common.max_tokens, 7);
  EXPECT_EQ(common.sampling.temperature, 0.5F);
  EXPECT_EQ(common.sampling.top_p, 0.25F);
  EXPECT_EQ(common.sampling.top_k, 4);
  EXPECT_EQ(common.sampling.seed, 3U);
  EXPECT_THAT(common.stop, testing::ElementsAre("x"));
  EXPECT_TRUE(common.stream);
  EXPECT_EQ(common.priority, 2);
  EXPECT_TRUE(common.include_timings);
  EXPECT_EQ(common.top_logprobs, 3);
  EXPECT_EQ(request.chat.reasoning_effort, ReasoningEffort::kHigh);
  EXPECT_FALSE(request.store);
  EXPECT_THAT(request.input, SizeIs(0)) << "nothing is kept";
}

TEST_F(ResponsesRequestTest, PutsItemsTogetherToTheConversationThatAChatWouldHave) {
  const ResponsesRequest request = read(R"({"instructions": "Be brief.", "input": [
      {"role": "user", "content": "weather?"},
      {"type": "reasoning", "id": "rs_x", "summary": [], "content": [{"type": "reasoning_text", "text": "look"}]},
      {"type": "message", "role": "assistant", "id": "m", "status": "completed",
       "content": [{"type": "output_text", "text": "I look.", "annotations": []}]},
      {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
      {"type": "function_call", "call_id": "c2", "name": "g", "arguments": "{\"a\":1}"},
      {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "sun"}]},
      {"type": "function_call_output", "call_id": "c1", "output": "rain"},
      {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "and "},
                                                      {"type": "input_text", "text": "now?"}]}]})");
  const std::vector<ChatMessage>& messages = request.chat.messages;
  ASSERT_THAT(messages, SizeIs(6));
  EXPECT_EQ(messages[0].role, ChatRole::kDeveloper);
  EXPECT_EQ(messages[0].content, "Be brief.");
  EXPECT_EQ(messages[1].content, "weather?");
  EXPECT_EQ(messages[2].role, ChatRole::kAssistant);
  EXPECT_EQ(messages[2].reasoning, "look");
  EXPECT_EQ(messages[2].content, "I look.");
  ASSERT_THAT(messages[2].tool_calls, SizeIs(2));
  EXPECT_EQ(messages[2].tool_calls[1].arguments, "{\"a\":1}");
  EXPECT_EQ(messages[3].role, ChatRole::kTool);
  EXPECT_EQ(messages[3].name, "g");
  EXPECT_EQ(messages[3].content, "sun");
  EXPECT_EQ(messages[4].name, "f");
  EXPECT_EQ(messages[5].content, "and now?");
}

TEST_F(ResponsesRequestTest, BeginsAnotherAnswerWithReasoningBehindAnAnswer) {
  const std::vector<ChatMessage> messages =
      read(R"({"input": [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"},
      {"type": "reasoning", "summary": [{"type": "summary_text", "text": "s"}]},
      {"type": "reasoning", "summary": [], "encrypted_content": "gossamer-plain:t"},
      {"type": "reasoning", "summary": [], "encrypted_content": "another server's"}]})")
          .chat.messages;
  ASSERT_THAT(messages, SizeIs(3));
  EXPECT_EQ(messages[1].content, "b");
  EXPECT_EQ(messages[2].reasoning, "s\n\nt");
  EXPECT_FALSE(messages[2].content);
}

TEST_F(ResponsesRequestTest, TakesAnEmptyInput) {
  for (const char* input : {"\"\"", "[]"}) {
    const std::string body = fmt::format(R"({{"input": {}, "max_output_tokens": 1}})", input);
    EXPECT_THAT(read(body).chat.messages, SizeIs(0));
    EXPECT_EQ(prepare(body).requests.at(0).max_new_tokens, 1);
  }
}

TEST_F(ResponsesRequestTest, SkipsToolsThatAreNoFunctionsAndTellsErrorsWhereTheyStand) {
  const std::string tools =
      R"("tools": [{"type": "web_search"}, {"type": "custom", "name": "x"}, {"type": "namespace",
      "tools": []}, {"type": "function", "name": "f", "description": "d", "strict": false,
      "parameters": {"type": "object", "properties": {}}}, {"type": "image_generation"}])";
  const ResponsesRequest request = read(R"({"input": "hi", )" + tools + "}");
  ASSERT_THAT(request.chat.tools, SizeIs(1));
  EXPECT_EQ(request.chat.tools[0].function.name, "f");
  EXPECT_EQ(request.chat.tools[0].function.description, "d");
  EXPECT_THAT(request.echo.at("tools").as_array(), SizeIs(1));
  EXPECT_THAT(prompt_of(R"({"input": "hi", )" + tools + "}"), HasSubstr("type f = "));
  EXPECT_EQ(
      refusal(R"({"input": "", "tools": [{"type": "mcp"}, {"type": "function", "name": "a b"}]})").param,
      "tools[1].name");
  EXPECT_EQ(refusal(R"({"input": "", "tools": [{"type": "function", "name": "f", "parameters": 1}]})").param,
            "tools[0].parameters");
}

TEST_F(ResponsesRequestTest, ReadsToolChoiceAndFormatInTheirFlatForm) {
  const std::string tools =
      R"("input": "hi", "tools": [{"type": "function", "name": "f"}, {"type": "function", "name": "g"}])";
  const ResponsesRequest named = read("{" + tools + R"(, "tool_choice": {"type": "function", "name": "g"}})");
  EXPECT_EQ(named.chat.tool_choice.mode, ToolChoice::kNamed);
  EXPECT_EQ(named.chat.tool_choice.function, "g");
  const ResponsesRequest allowed =
      read("{" + tools + R"(, "tool_choice": {"type": "allowed_tools", "mode": "required",
           "tools": [{"type": "function", "name": "f"}]}})");
  EXPECT_EQ(allowed.chat.tool_choice.mode, ToolChoice::kRequired);
  EXPECT_THAT(*allowed.chat.tool_choice.allowed, testing::ElementsAre("f"));
  const ResponsesRequest format =
      read(R"({"input": "hi", "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n",
           "description": "d", "strict": true, "schema": {"type": "object"}}}})");
  EXPECT_EQ(format.chat.response_format.type, ResponseFormat::kJsonSchema);
  EXPECT_EQ(format.chat.response_format.name, "n");
  EXPECT_TRUE(format.chat.response_format.strict);
  EXPECT_EQ(json::serialize(format.chat.response_format.schema), R"({"type":"object"})");
}

TEST_F(ResponsesRequestTest, ContinuesTheWholeConversationBehindAnEarlierResponse) {
  const std::string think =
      "<|channel|>analysis<|message|>the<|end|><|start|>assistant<|channel|>final<|message|>";
  const json::object first = answer(R"({"input": "one", "instructions": "SECRET"})", think + "day<|return|>");
  const std::string first_id(first.at("id").as_string());
  const json::object second =
      answer(R"({"input": "two", "previous_response_id": ")" + first_id + R"("})", think + "fine<|return|>");
  const std::string second_id(second.at("id").as_string());
  EXPECT_EQ(second.at("previous_response_id").as_string(), first_id);
  const ResponsesRequest third =
      read(R"({"input": "three", "previous_response_id": ")" + second_id + R"("})");
  ASSERT_THAT(third.chat.messages, SizeIs(5)) << "instructions are not carried over";
  EXPECT_EQ(third.chat.messages[0].content, "one");
  EXPECT_EQ(third.chat.messages[1].content, "day");
  EXPECT_EQ(third.chat.messages[1].reasoning, "the");
  EXPECT_EQ(third.chat.messages[3].content, "fine");
  EXPECT_EQ(third.chat.messages[4].content, "three");
}

TEST_F(ResponsesRequestTest, AnswersACallOfAnEarlierResponse) {
  const json::object first =
      answer(R"({"input": "go", "tools": [{"type": "function", "name": "f"}]})",
             "<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}<|call|>");
  const std::string call_id(first.at("output").at(0).at("call_id").as_string());
  const std::string prompt = prompt_of(R"({"input": [{"type": "function_call_output", "call_id": ")" +
                                       call_id + R"(", "output": "rain"}], "previous_response_id": ")" +
                                       std::string(first.at("id").as_string()) + R"("})");
  EXPECT_THAT(prompt, HasSubstr("<|start|>functions.f to=assistant<|channel|>commentary<|message|>rain"));
}

TEST_F(ResponsesRequestTest, ResolvesReferencesToItems) {
  const json::object first = answer(R"({"input": "one"})", "<|channel|>final<|message|>day<|return|>");
  const std::string item(first.at("output").at(0).at("id").as_string());
  for (const std::string type : {"", R"("type": "item_reference", )"}) {
    const ResponsesRequest request = read(R"({"input": [{)" + type + R"("id": ")" + item + R"("}]})");
    ASSERT_THAT(request.chat.messages, SizeIs(1));
    EXPECT_EQ(request.chat.messages[0].content, "day");
    EXPECT_THAT(request.input, SizeIs(1)) << "the item itself is kept";
  }
  EXPECT_EQ(refusal(R"({"input": [{"type": "item_reference", "id": "msg_77_0"}]})").param, "input[0].id");
  const std::string twice = R"({"id": ")" + item + R"("}, {"id": ")" + item + R"("})";
  EXPECT_EQ(refusal(R"({"input": [)" + twice + "]}").param, "input[1].id") << "grows without bound";
}

TEST_F(ResponsesRequestTest, NamesWhatItCannotDo) {
  struct Case {
    std::string fields;
    std::string param;
  };
  const std::vector<Case> cases = {
      {R"("input": 5)", "input"},
      {R"("model": "tiny")", "input"},
      {R"("input": [5])", "input[0]"},
      {R"("input": [{"type": "sound"}])", "input[0].type"},
      {R"("input": [{"role": "critic", "content": ""}])", "input[0].role"},
      {R"("input": [{"role": "user"}])", "input[0].content"},
      {R"("input": [{"role": "user", "content": [{"type": "input_image"}]}])", "input[0].content[0].type"},
      {R"("input": [{"type": "function_call", "call_id": "c", "name": "a b", "arguments": ""}])",
       "input[0].name"},
      {R"("input": [{"type": "function_call_output", "call_id": "c", "output": ""}])", "input[0].call_id"},
      {R"("input": [{"type": "reasoning", "content": [{"type": "x"}]}])", "input[0].content[0].type"},
      {R"("input": "", "previous_response_id": "resp_1")", "previous_response_id"},
      {R"("input": "", "previous_response_id": 1)", "previous_response_id"},
      {R"("input": "", "truncation": "auto")", "truncation"},
      {R"("input": "", "background": true)", "background"},
      {R"("input": "", "conversation": "c")", "conversation"},
      {R"("input": "", "prompt": {"id": "p"})", "prompt"},
      {R"("input": "", "include": ["all"])", "include[0]"},
      {R"("input": "", "messages": [])", "messages"},
      {R"("input": "", "n": 2)", "n"},
      {R"("input": "", "max_tokens": 2)", "max_tokens"},
      {R"("input": "", "max_output_tokens": 0)", "max_output_tokens"},
      {R"("input": "", "max_output_tokens": 99999)", "max_output_tokens"},
      {R"("input": ")" + std::string(1500, '!') + "\"", "input"},
      {R"("input": "", "reasoning": {"effort": "huge"})", "reasoning.effort"},
      {R"("input": "", "reasoning": {"summary": "huge"})", "reasoning.summary"},
      {R"("input": "", "text": {"format": {"type": "sound"}})", "text.format.type"},
      {R"("input": "", "text": {"format": {"type": "json_schema"}})", "text.format.name"},
      {R"("input": "", "text": {"format": {"type": "json_schema", "name": "n", "schema": 1}})",
       "text.format.schema"},
      {R"("input": "", "text": {"verbosity": 1})", "text.verbosity"},
      {R"("input": "", "tools": [{"name": "f"}])", "tools[0].type"},
      {R"("input": "", "tool_choice": "required")", "tool_choice"},
      {R"("input": "", "tool_choice": {"type": "function", "name": "f"})", "tool_choice.name"},
      {R"("input": "", "tool_choice": {"type": "allowed_tools", "tools": [{"type": "function", "name": "f"}]})",
       "tool_choice.tools[0].name"},
      {R"("input": "", "tool_choice": {"type": "web_search"})", "tool_choice.type"},
      {R"("input": "", "metadata": {"a": 1})", "metadata"},
      {R"("input": "", "temperature": "hot")", "temperature"},
      {R"("input": "", "stop": 1)", "stop"},
      {R"("input": "", "top_logprobs": 21)", "top_logprobs"},
  };
  for (const Case& c : cases) {
    const ApiError error = refusal("{" + c.fields + "}");
    EXPECT_EQ(error.status, 400) << c.fields;
    EXPECT_EQ(error.param, c.param) << error.message;
    EXPECT_THAT(error.message, testing::StartsWith(c.param)) << c.fields;
  }
  EXPECT_EQ(refusal(R"({"input": "", "model": "other"})").status, 404);
}

TEST_F(ResponsesRequestTest, SaysThatAModelHasNoChatForm) {
  model_.has_chat_form = false;
  EXPECT_EQ(refusal(R"({"input": "hi"})").code, "model_without_chat_form");
}

}  // namespace
}  // namespace gossamer
