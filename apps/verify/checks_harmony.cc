// gossamer verify, chat: conversations go in and come out whole: streams, and GPT-OSS's format both ways.
#include <algorithm>
#include <string>

#include "apps/verify/check.h"
#include "apps/verify/deployment.h"

namespace gossamer::apps {
namespace {

constexpr const char* kChat = "/v1/chat/completions";

json::object chat(const Deployment& deployment, json::array messages, int64_t max_tokens) {
  if (!deployment.has_chat()) skip("the deployment answers no conversations");
  json::object body = deployment.request();
  body["messages"] = std::move(messages);
  body["temperature"] = 0;
  body["max_tokens"] = max_tokens;
  return body;
}

// Both names that servers have for it.
std::string reasoning_of(const json::value& value, const std::string& place) {
  return text_at(value, place + "/reasoning")
      .value_or(text_at(value, place + "/reasoning_content").value_or(""));
}

json::array weather_tools() {
  const json::value tools = json::parse(R"([{"type": "function", "function": {
      "name": "get_weather", "description": "Get the current weather for a city.",
      "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}])");
  return tools.as_array();
}

CheckResult stream_is_the_answer(Deployment& deployment) {
  json::object body = chat(deployment, conversation("What is the capital of France?"), 256);
  const Reply whole = deployment.post(kChat, body);
  expect(whole.ok(), "{}: expected an answer, found {}", kChat, whole.describe());
  body["stream_options"] = json::object{{"include_usage", true}};
  const StreamReply stream = deployment.stream(kChat, body);
  expect(stream.status == 200 && stream.is_done,
         "expected a stream that ends with [DONE], found {} events, {}", stream.events.size(),
         stream.describe());
  std::string content;
  std::string reasoning;
  std::string finish;
  json::value usage;
  for (const json::value& event : stream.events) {
    content += text_at(event, "/choices/0/delta/content").value_or("");
    reasoning += reasoning_of(event, "/choices/0/delta");
    finish = text_at(event, "/choices/0/finish_reason").value_or(finish);
    if (const json::value* found = find(event, "/usage"); found != nullptr && found->is_object())
      usage = *found;
  }
  const auto expect_same = [](const char* what, const std::string& expected, const std::string& found) {
    expect(expected == found, "{}: expected the stream to be {}, found {}", what, shown(expected),
           shown(found));
  };
  const std::string expected = text_at(whole.json, "/choices/0/message/content").value_or("");
  expect_same("content", expected, content);
  expect_same("reasoning", reasoning_of(whole.json, "/choices/0/message"), reasoning);
  expect_same("finish_reason", text_at(whole.json, "/choices/0/finish_reason").value_or(""), finish);
  const auto count = integer_at(whole.json, "/usage/completion_tokens");
  const auto streamed = integer_at(usage, "/completion_tokens");
  expect(!streamed || streamed == count, "usage: expected {} tokens in the stream, found {}",
         count.value_or(0), streamed.value_or(0));
  return {.reason = fmt::format("{} + {} characters: {}", reasoning.size(), content.size(), shown(content))};
}

// A conversation with everything that the format has.
json::array long_conversation() {
  const json::value messages = json::parse(R"([
    {"role": "developer", "content": "Be brief, d\u00e9veloppeur."},
    {"role": "user", "content": "What is the weather like in Paris?"},
    {"role": "assistant", "reasoning": "They want weather.", "reasoning_content": "They want weather.",
     "content": null, "tool_calls": [{"id": "call_1", "type": "function",
       "function": {"name": "get_weather", "arguments": "{\"city\":\"Paris\"}"}}]},
    {"role": "tool", "tool_call_id": "call_1", "content": "{\"sky\": \"d\u00e9gag\u00e9\"}"}])");
  return messages.as_array();
}

// What the published format makes of it, in order.
constexpr const char* kPieces[] = {
    "<|start|>system<|message|>",
    "<|start|>developer<|message|>",
    "Be brief, d\u00e9veloppeur.",
    "namespace functions {",
    "type get_weather = (_: {",
    "<|start|>user<|message|>What is the weather like in Paris?<|end|>",
    "<|start|>assistant<|channel|>analysis<|message|>They want weather.<|end|>",
    "to=functions.get_weather",
    "<|message|>{\"city\":\"Paris\"}<|call|>",
    "<|start|>functions.get_weather to=assistant<|channel|>commentary<|message|>{\"sky\": "
    "\"d\u00e9gag\u00e9\"}<|end|>",
    "<|start|>assistant"};

CheckResult conversation_becomes_harmony(Deployment& deployment) {
  if (!deployment.is_harmony()) skip("its chat form is not Harmony, or there is no /tokenize to see it by");
  json::object body = deployment.request();
  body["messages"] = long_conversation();
  body["tools"] = weather_tools();
  const Reply reply = deployment.post("/tokenize", body);
  expect(reply.ok(), "/tokenize of a conversation: expected tokens, found {}", reply.describe());
  const std::vector<int32_t> ids = ids_at(reply.json, "/tokens");
  const std::string prompt = deployment.decode(ids);
  std::size_t place = 0;
  for (const char* piece : kPieces) {
    const std::size_t found = prompt.find(piece, place);
    expect(found != std::string::npos, "expected {} next in the prompt, found {}", piece,
           shown(prompt.substr(place)));
    place = found + std::string_view(piece).size();
  }
  expect(place == prompt.size(), "expected nothing behind <|start|>assistant, found {}",
         shown(prompt.substr(place)));
  json::object question = chat(deployment, long_conversation(), 128);
  question["tools"] = weather_tools();
  question["tool_choice"] = "none";
  const Reply answer = deployment.post(kChat, question);
  expect(answer.ok(), "{}: expected an answer to a tool's result, found {}", kChat, answer.describe());
  const std::string content = text_at(answer.json, "/choices/0/message/content").value_or("");
  expect(content.find("<|") == std::string::npos, "expected text without format tokens, found {}",
         shown(content));
  return {.reason =
              fmt::format("reasoning, call and result in {} tokens; then: {}", ids.size(), shown(content))};
}

// What a model said, given back as the API has it, stands in the next prompt: behind all that was there,
// reasoning and call to the letter. (Not token by token: the format lets a call's recipient stand in two
// places.)
CheckResult answer_goes_back_as_it_came(Deployment& deployment) {
  if (!deployment.is_harmony() || !deployment.is_ours()) skip("the endpoint tells no tokens of Harmony");
  json::array messages = conversation("What is the weather like in Paris?");
  json::object first = chat(deployment, messages, 256);
  first["tools"] = weather_tools();
  first["tool_choice"] = "required";
  first["return_token_ids"] = true;
  const Reply call = deployment.post(kChat, first);
  expect(call.ok(), "{}: expected a call, found {}", kChat, call.describe());
  const std::string finish = text_at(call.json, "/choices/0/finish_reason").value_or("");
  if (finish == "length") skip("the model wrote no whole call within 256 tokens");
  expect(finish == "tool_calls", "tool_choice required: expected finish_reason tool_calls, found {}", finish);
  const std::string id = text_at(call.json, "/choices/0/message/tool_calls/0/id").value_or("");
  messages.push_back(*find(call.json, "/choices/0/message"));
  messages.push_back(
      json::object{{"role", "tool"}, {"tool_call_id", id}, {"content", "{\"sky\": \"clear\"}"}});
  json::object second = chat(deployment, messages, 256);
  second["tools"] = weather_tools();
  second["return_token_ids"] = true;
  const Reply answer = deployment.post(kChat, second);
  expect(answer.ok(), "{}: expected an answer to the tool's result, found {}", kChat, answer.describe());
  const std::vector<int32_t> before = ids_at(call.json, "/prompt_token_ids");
  const std::vector<int32_t> prompt = ids_at(answer.json, "/prompt_token_ids");
  expect(!before.empty() && prompt.size() > before.size() &&
             std::equal(before.begin(), before.end(), prompt.begin()),
         "expected the next prompt to begin with the {} tokens of the one before, found another beginning",
         before.size());
  const std::string added =
      deployment.decode({prompt.begin() + static_cast<std::ptrdiff_t>(before.size()), prompt.end()});
  const std::string reasoning = reasoning_of(call.json, "/choices/0/message");
  const std::string arguments =
      text_at(call.json, "/choices/0/message/tool_calls/0/function/arguments").value_or("");
  for (const std::string& said : {reasoning, std::string("to=functions.get_weather"), arguments}) {
    expect(added.find(said) != std::string::npos, "expected {} in the next prompt, found {}", shown(said),
           shown(added));
  }
  return {.reason =
              fmt::format("{} tokens begin the next prompt of {}; reasoning and call are in it to the letter",
                          before.size(), prompt.size())};
}

}  // namespace

std::vector<Check> harmony_theme() {
  return {{"chat", "a stream is the answer in pieces", stream_is_the_answer, 2.0},
          {"chat", "a conversation becomes Harmony", conversation_becomes_harmony, 2.0},
          {"chat", "an answer goes back as it came", answer_goes_back_as_it_came, 3.0}};
}

}  // namespace gossamer::apps
