// From a body to what the engine is asked, and from what it gives to the response.
#include "server/openai_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/server/server_testing.h"

namespace gossamer {
namespace {

using test::outputs_of;
using test::parse;
using testing::ElementsAre;
using testing::HasSubstr;

const CallIdentity kIdentity{.id = "0123", .created = 1700000000, .default_seed = 77};

class OpenAiCallTest : public testing::Test {
 protected:
  PreparedCall prepare(Endpoint endpoint, const std::string& body) const {
    ApiResult<PreparedCall> call = prepare_call(endpoint, parse(body), model_, kIdentity);
    EXPECT_TRUE(call.ok()) << body << "\n" << (call.ok() ? "" : call.error().message);
    return call.ok() ? std::move(call).value() : PreparedCall();
  }
  ApiError refusal(Endpoint endpoint, const std::string& body) const {
    const ApiResult<PreparedCall> call = prepare_call(endpoint, parse(body), model_, kIdentity);
    EXPECT_FALSE(call.ok()) << body;
    return call.ok() ? ApiError() : call.error();
  }
  // The response when the engine answers each sequence of the only prompt with the next of `texts`.
  json::object answer(Endpoint endpoint, const std::string& body, const std::vector<std::string>& texts,
                      FinishReason finish = FinishReason::kStop) const {
    const PreparedCall call = prepare(endpoint, body);
    for (std::size_t i = 0; i < texts.size(); ++i) {
      for (const Output& output : outputs_of(*tokenizer_, texts[i], finish, static_cast<int>(i)))
        call.response->add(0, output);
    }
    EXPECT_TRUE(call.response->done());
    return call.response->to_json();
  }
  int64_t count(const std::string& text) const {
    return static_cast<int64_t>(test::ids_of_text(*tokenizer_, text).size());
  }

  std::unique_ptr<Tokenizer> tokenizer_ = test::load_tokenizer("tiny_oss.json");
  ServedModel model_ = test::make_model(*tokenizer_, true);
};

const std::string kHi = R"("messages": [{"role": "user", "content": "hi"}])";

TEST_F(OpenAiCallTest, AsksTheEngineForWhatTheBodySays) {
  const PreparedCall call = prepare(Endpoint::kCompletions, R"({"prompt": ["the", [1, 2, 3]], "max_tokens": 5,
      "min_tokens": 2, "n": 2, "best_of": 3, "temperature": 0.5, "stop_token_ids": [9], "priority": 4,
      "echo": true, "logprobs": 2, "cache_salt": "s"})");
  ASSERT_EQ(call.requests.size(), 2U);
  EXPECT_EQ(call.requests[0].prompt, tokenizer_->encode("the"));
  const Request& request = call.requests[1];
  EXPECT_THAT(request.prompt, ElementsAre(1, 2, 3));
  EXPECT_EQ(request.max_new_tokens, 5);
  EXPECT_EQ(request.min_new_tokens, 2);
  EXPECT_EQ(request.num_sequences, 3);
  EXPECT_EQ(request.sampling.temperature, 0.5F);
  EXPECT_EQ(request.sampling.seed, 77U);
  EXPECT_THAT(request.stop_token_ids, ElementsAre(model_.eos_ids[0], 9));
  EXPECT_EQ(request.top_logprobs, 2);
  EXPECT_EQ(request.prompt_logprobs, 2);
  EXPECT_EQ(request.priority, 4);
  EXPECT_EQ(request.cache_salt, "s");
}

TEST_F(OpenAiCallTest, FillsWhatTheBodyLeavesOpenFromTheModel) {
  model_.sampling.temperature = 0.75F;
  const PreparedCall call = prepare(Endpoint::kChat, "{" + kHi + "}");
  const Request& request = call.requests.at(0);
  EXPECT_EQ(request.sampling.temperature, 0.75F);
  EXPECT_EQ(request.max_new_tokens, model_.max_model_len - static_cast<int64_t>(request.prompt.size()));
  EXPECT_EQ(request.num_sequences, 1);
  EXPECT_EQ(request.top_logprobs, -1);
  EXPECT_EQ(request.prompt_logprobs, -1);
  EXPECT_TRUE(
      prepare(Endpoint::kChat, "{" + kHi + R"(, "ignore_eos": true})").requests[0].stop_token_ids.empty());
}

TEST_F(OpenAiCallTest, SamplesWhereAGreedyModelIsAskedForASeed) {
  EXPECT_EQ(prepare(Endpoint::kChat, "{" + kHi + "}").requests[0].sampling.temperature, 0.0F);
  const PreparedCall call = prepare(Endpoint::kChat, "{" + kHi + R"(, "seed": 5})");
  EXPECT_EQ(call.requests[0].sampling.temperature, 1.0F);
  EXPECT_EQ(call.requests[0].sampling.seed, 5U);
}

TEST_F(OpenAiCallTest, AsksForLogprobsWhereTheBestIsToBeChosen) {
  EXPECT_EQ(prepare(Endpoint::kCompletions, R"({"prompt": "x", "best_of": 2})").requests[0].top_logprobs, 0);
}

TEST_F(OpenAiCallTest, RefusesWhatThisModelCannotDo) {
  const std::string tool = R"(, "tools": [{"type": "function", "function": {"name": "f", "strict": false}}])";
  struct Case {
    Endpoint endpoint;
    std::string body;
    int status;
    std::string param;
    std::string code;
  };
  const std::vector<Case> cases = {
      {Endpoint::kChat, "{" + kHi + R"(, "model": "other"})", 404, "model", "model_not_found"},
      {Endpoint::kChat, "{" + kHi + R"(, "temperature": -1})", 400, "temperature", ""},
      {Endpoint::kChat, "{" + kHi + R"(, "top_p": 0})", 400, "top_p", ""},
      {Endpoint::kChat, "{" + kHi + R"(, "presence_penalty": 3})", 400, "presence_penalty", ""},
      {Endpoint::kChat, "{" + kHi + R"(, "logit_bias": {"100000": 1}})", 400, "logit_bias", ""},
      {Endpoint::kChat, "{" + kHi + R"(, "stop_token_ids": [100000]})", 400, "stop_token_ids[0]", ""},
      {Endpoint::kChat, "{" + kHi + R"(, "max_tokens": 999})", 400, "max_tokens", "context_length_exceeded"},
      {Endpoint::kChat, "{" + kHi + R"(, "max_tokens": 9223372036854775807})", 400, "max_tokens",
       "context_length_exceeded"},
      {Endpoint::kChat, R"({"messages": [{"role": "user", "content": ")" + std::string(1500, '!') + R"("}]})",
       400, "messages", "context_length_exceeded"},
      {Endpoint::kChat, "{" + kHi + R"(, "min_tokens": 9, "max_tokens": 8})", 400, "min_tokens", ""},
      {Endpoint::kChat, "{" + kHi + tool + R"(, "tool_choice": "required"})", 400, "tool_choice",
       "unsupported_parameter"},
      {Endpoint::kChat,
       "{" + kHi + tool + R"(, "tool_choice": {"type": "function", "function": {"name": "f"}}})", 400,
       "tool_choice", "unsupported_parameter"},
      {Endpoint::kChat, "{" + kHi + R"(, "response_format": {"type": "json_object"}})", 400,
       "response_format", "unsupported_parameter"},
      {Endpoint::kChat,
       "{" + kHi + R"(, "tools": [{"type": "function", "function": {"name": "f", "strict": true}}]})", 400,
       "tools[0].function.strict", "unsupported_parameter"},
      {Endpoint::kCompletions, R"({"prompt": ""})", 400, "prompt", ""},
      {Endpoint::kCompletions, R"({"prompt": ["a", []]})", 400, "prompt[1]", ""},
      {Endpoint::kCompletions, R"({"prompt": [1, 100000]})", 400, "prompt[1]", ""},
      {Endpoint::kCompletions, R"({"prompt": ")" + std::string(1500, '!') + R"("})", 400, "prompt",
       "context_length_exceeded"},
  };
  for (const Case& c : cases) {
    const ApiError error = refusal(c.endpoint, c.body);
    EXPECT_EQ(error.status, c.status) << c.body;
    EXPECT_EQ(error.param, c.param) << error.message;
    EXPECT_EQ(error.code.value_or(""), c.code) << error.message;
  }
  EXPECT_THAT(refusal(Endpoint::kChat, "{" + kHi + R"(, "model": "other"})").message,
              HasSubstr("folder/tiny"));
}

TEST_F(OpenAiCallTest, TellsByHowMuchARequestIsTooLong) {
  const ApiError error = refusal(Endpoint::kCompletions, R"({"prompt": [1, 2, 3], "max_tokens": 998})");
  EXPECT_THAT(error.message, testing::AllOf(HasSubstr("3 tokens"), HasSubstr("998"),
                                            HasSubstr("at most 1000"), HasSubstr("at most 997")));
  prepare(Endpoint::kCompletions, R"({"prompt": [1, 2, 3], "max_tokens": 997})");
}

TEST_F(OpenAiCallTest, AnswersAChat) {
  const std::string text =
      "<|channel|>analysis<|message|>the<|end|><|start|>assistant<|channel|>final<|message|>It is "
      "fine.<|return|>";
  const json::object response = answer(Endpoint::kChat, "{" + kHi + R"(, "model": "folder/tiny"})", {text});
  EXPECT_EQ(response.at("id").as_string(), "chatcmpl-0123");
  EXPECT_EQ(response.at("object").as_string(), "chat.completion");
  EXPECT_EQ(response.at("created").as_int64(), 1700000000);
  EXPECT_EQ(response.at("model").as_string(), "folder/tiny");
  const json::object& choice = response.at("choices").as_array().at(0).as_object();
  EXPECT_EQ(json::serialize(choice),
            R"({"index":0,"message":{"role":"assistant","content":"It is fine.","refusal":null,)"
            R"("reasoning":"the","reasoning_content":"the"},"logprobs":null,"finish_reason":"stop"})");
  const json::object& usage = response.at("usage").as_object();
  EXPECT_EQ(usage.at("completion_tokens").to_number<int64_t>(), count(text));
  EXPECT_EQ(usage.at("total_tokens").to_number<int64_t>(),
            count(text) + usage.at("prompt_tokens").to_number<int64_t>());
  EXPECT_EQ(usage.at("completion_tokens_details").at("reasoning_tokens").as_int64(), 1);
  EXPECT_EQ(usage.at("prompt_tokens_details").at("cached_tokens").as_int64(), 0);
}

TEST_F(OpenAiCallTest, LeavesReasoningOutWhereItIsNotWanted) {
  const json::object response = answer(Endpoint::kChat, "{" + kHi + R"(, "include_reasoning": false})",
                                       {"<|channel|>analysis<|message|>the<|end|>"});
  const json::object& message = response.at("choices").at(0).at("message").as_object();
  EXPECT_FALSE(message.contains("reasoning"));
  EXPECT_TRUE(message.at("content").is_null());
}

TEST_F(OpenAiCallTest, AnswersWithToolCallsAndNoContent) {
  const json::object response = answer(
      Endpoint::kChat, "{" + kHi + R"(, "tools": [{"type": "function", "function": {"name": "f"}}]})",
      {"<|channel|>commentary<|message|>I look.<|end|><|start|>assistant to=functions.f<|channel|>commentary "
       "<|constrain|>json<|message|>{\"a\": 1}<|call|>"});
  const json::object& choice = response.at("choices").at(0).as_object();
  EXPECT_EQ(choice.at("finish_reason").as_string(), "tool_calls");
  EXPECT_EQ(json::serialize(choice.at("message")),
            R"({"role":"assistant","content":null,"refusal":null,"reasoning":"I look.",)"
            R"("reasoning_content":"I look.","tool_calls":[{"id":"call_0123_0_0","type":"function",)"
            R"("function":{"name":"f","arguments":"{\"a\": 1}"}}]})");
}

TEST_F(OpenAiCallTest, GivesLogprobsOfContentInAChat) {
  const json::object response =
      answer(Endpoint::kChat, "{" + kHi + R"(, "logprobs": true, "top_logprobs": 1})",
             {"<|channel|>final<|message|>day \xF0\x9F\x98\x81"}, FinishReason::kLength);
  const json::array& content = response.at("choices").at(0).at("logprobs").at("content").as_array();
  std::string bytes;
  for (const json::value& token : content) {
    for (const json::value& byte : token.at("bytes").as_array())
      bytes += static_cast<char>(byte.to_number<int>());
    EXPECT_LE(token.at("logprob").as_double(), 0.0);
    EXPECT_EQ(token.at("top_logprobs").as_array().size(), 1U);
  }
  EXPECT_EQ(bytes, "day \xF0\x9F\x98\x81");
  EXPECT_EQ(content.at(0).at("token").as_string(), "day");
  EXPECT_EQ(content.at(0).at("top_logprobs").at(0).at("token").as_string(), tokenizer_->token_bytes(33));
}

TEST_F(OpenAiCallTest, AnswersACompletionWithListsOverItsTokens) {
  const json::object response =
      answer(Endpoint::kCompletions, R"({"prompt": "x", "logprobs": 1})", {"the d\xC3\xA9<|endoftext|>"});
  EXPECT_EQ(response.at("id").as_string(), "cmpl-0123");
  EXPECT_EQ(response.at("object").as_string(), "text_completion");
  const json::object& choice = response.at("choices").at(0).as_object();
  EXPECT_EQ(choice.at("text").as_string(), "the d\xC3\xA9");
  EXPECT_EQ(json::serialize(choice.at("logprobs").at("tokens")),
            "[\"the\",\" d\xC3\xA9\",\"<|endoftext|>\"]");
  EXPECT_EQ(json::serialize(choice.at("logprobs").at("text_offset")), "[0,3,6]") << "characters, not bytes";
  EXPECT_EQ(choice.at("logprobs").at("token_logprobs").at(0).as_double(), -0.25);
  EXPECT_EQ(choice.at("logprobs").at("top_logprobs").at(1).at(" d\xC3\xA9").as_double(), -0.5);
}

TEST_F(OpenAiCallTest, EchoesThePromptWithItsLogprobs) {
  const PreparedCall call = prepare(Endpoint::kCompletions,
                                    R"({"prompt": "the day", "echo": true, "logprobs": 0, "max_tokens": 1})");
  const std::vector<int32_t>& prompt = call.requests[0].prompt;
  for (std::size_t i = 1; i < prompt.size(); ++i) {
    Output output{.id = 1};
    output.prompt_logprobs = {TokenLogprobs{.token = {prompt[i], -3.0F}}};
    EXPECT_FALSE(call.response->add(0, output));
  }
  for (const Output& output : outputs_of(*tokenizer_, "y", FinishReason::kLength))
    call.response->add(0, output);
  const json::object response = call.response->to_json();
  const json::value& choice = response.at("choices").at(0);
  EXPECT_EQ(choice.at("text").as_string(), "the dayy");
  const json::array& logprobs = choice.at("logprobs").at("token_logprobs").as_array();
  ASSERT_EQ(logprobs.size(), prompt.size() + 1);
  EXPECT_TRUE(logprobs[0].is_null());
  EXPECT_TRUE(choice.at("logprobs").at("top_logprobs").at(0).is_null());
  EXPECT_EQ(logprobs[1].as_double(), -3.0);
  EXPECT_EQ(logprobs.back().as_double(), -0.25);
  EXPECT_EQ(choice.at("logprobs").at("text_offset").as_array().back().as_int64(), 7);
}

TEST_F(OpenAiCallTest, NumbersTheChoicesOfSeveralPrompts) {
  const PreparedCall call = prepare(Endpoint::kCompletions, R"({"prompt": ["x", "y"], "n": 2})");
  const std::vector<std::vector<std::string>> texts = {{"a", "b"}, {"c", "d"}};
  for (const std::size_t prompt : {1U, 0U}) {
    for (const int index : {1, 0}) {
      EXPECT_FALSE(call.response->done());
      for (const Output& output : outputs_of(*tokenizer_, texts[prompt][static_cast<std::size_t>(index)],
                                             FinishReason::kLength, index))
        call.response->add(prompt, output);
    }
  }
  ASSERT_TRUE(call.response->done());
  const json::object response = call.response->to_json();
  std::string all;
  for (const json::value& choice : response.at("choices").as_array()) {
    EXPECT_EQ(choice.at("index").to_number<std::size_t>(), all.size());
    all += std::string_view(choice.at("text").as_string());
  }
  EXPECT_EQ(all, "abcd");
}

TEST_F(OpenAiCallTest, ReturnsTheLikeliestOfBestOf) {
  // Log-probabilities fall along an answer: a longer one has a lower mean.
  const json::object response = answer(Endpoint::kCompletions, R"({"prompt": "x", "n": 2, "best_of": 3})",
                                       {"a b c", "a", "a b"}, FinishReason::kLength);
  const json::array& choices = response.at("choices").as_array();
  ASSERT_EQ(choices.size(), 2U);
  EXPECT_EQ(choices[0].at("text").as_string(), "a");
  EXPECT_EQ(choices[1].at("text").as_string(), "a b");
  EXPECT_TRUE(choices[0].at("logprobs").is_null()) << "nobody asked";
  EXPECT_EQ(response.at("usage").at("completion_tokens").to_number<int64_t>(),
            count("a b c") + count("a") + count("a b"));
}

TEST_F(OpenAiCallTest, AsksForCancellationOnceAStopStringIsThere) {
  const PreparedCall call = prepare(Endpoint::kCompletions, R"({"prompt": "x", "stop": "fine"})");
  std::vector<Output> outputs = outputs_of(*tokenizer_, "it fine day day", FinishReason::kLength);
  outputs.back().finish_reason.reset();
  int times = 0;
  for (const Output& output : outputs) times += call.response->add(0, output) ? 1 : 0;
  EXPECT_EQ(times, 1);
  EXPECT_FALSE(call.response->done()) << "the engine still has the sequence";
  call.response->add(0, {.id = 1, .finish_reason = FinishReason::kCancelled});
  ASSERT_TRUE(call.response->done());
  EXPECT_FALSE(call.response->error());
  EXPECT_EQ(call.response->to_json().at("choices").at(0).at("text").as_string(), "it ");
}

TEST_F(OpenAiCallTest, FailsAsAWholeWithItsFirstError) {
  const PreparedCall call = prepare(Endpoint::kCompletions, R"({"prompt": "x", "n": 2})");
  call.response->add(0, {.id = 1, .finish_reason = FinishReason::kError, .error = "logits are not finite"});
  ASSERT_TRUE(call.response->done());
  EXPECT_EQ(call.response->error()->status, 500);
  EXPECT_EQ(call.response->error()->message, "logits are not finite");
  call.response->add(0, {.id = 1, .index = 1, .finish_reason = FinishReason::kDeadline, .error = "late"});
  EXPECT_EQ(call.response->error()->status, 500);
}

TEST_F(OpenAiCallTest, GivesTokenIdsWhereTheyAreAskedFor) {
  const json::object completion =
      answer(Endpoint::kCompletions, R"({"prompt": [5, 6], "return_token_ids": true})", {"day"});
  EXPECT_EQ(json::serialize(completion.at("choices").at(0).at("prompt_token_ids")), "[5,6]");
  EXPECT_EQ(completion.at("choices").at(0).at("token_ids").as_array().size(), 1U);
  const json::object chat = answer(Endpoint::kChat, "{" + kHi + R"(, "return_token_ids": true})", {"day"});
  EXPECT_GT(chat.at("prompt_token_ids").as_array().size(), 10U);
}

// The token ids that a stream's events tell, put together.
std::vector<int32_t> streamed_ids(const std::string& events) {
  std::vector<int32_t> ids;
  std::istringstream lines(events);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("data: {")) continue;
    const json::value chunk = test::parse(line.substr(6));
    for (const json::value& choice : chunk.at("choices").as_array()) {
      for (const json::value& id : choice.at("token_ids").as_array()) ids.push_back(id.to_number<int32_t>());
    }
  }
  return ids;
}

TEST_F(OpenAiCallTest, GivesTheTokenIdsOfAStreamOnce) {
  const std::string text = "<|channel|>final<|message|>the day<|return|>";
  const std::string fields = R"(, "return_token_ids": true, "stream": true})";
  for (const auto& [endpoint, body] : {std::pair(Endpoint::kCompletions, "{\"prompt\": \"x\"" + fields),
                                       {Endpoint::kChat, "{" + kHi + fields}}) {
    const PreparedCall call = prepare(endpoint, body);
    std::string events = call.response->take_events();
    for (const Output& output : outputs_of(*tokenizer_, text, FinishReason::kStop)) {
      call.response->add(0, output);
      events += call.response->take_events();
    }
    EXPECT_EQ(streamed_ids(events), test::ids_of_text(*tokenizer_, text)) << body;
  }
}

TEST_F(OpenAiCallTest, NamesTokensByTheirIdsWhereThatIsAskedFor) {
  const json::object response =
      answer(Endpoint::kCompletions, R"({"prompt": "x", "logprobs": 1, "return_tokens_as_token_ids": true})",
             {"day"});
  const json::value& logprobs = response.at("choices").at(0).at("logprobs");
  const std::string name = "token_id:" + std::to_string(test::ids_of_text(*tokenizer_, "day").front());
  EXPECT_EQ(logprobs.at("tokens").at(0).as_string(), name);
  EXPECT_EQ(logprobs.at("top_logprobs").at(0).at(name).as_double(), -0.25);
  EXPECT_EQ(logprobs.at("top_logprobs").at(0).at("token_id:33").as_double(), -0.125);
}

TEST_F(OpenAiCallTest, ExportsTheHiddenStateOfEachPromptsLastToken) {
  const PreparedCall call = prepare(
      Endpoint::kCompletions, R"({"prompt": [[5, 6], [7]], "max_tokens": 0, "return_hidden_states": true})");
  const std::vector<float> first = {0.1F, -1e-30F};
  const std::vector<float> last = {1.0F / 3.0F, std::numeric_limits<float>::infinity()};
  for (const std::size_t prompt : {0U, 1U}) {
    ASSERT_TRUE(call.requests[prompt].on_prompt_logits);
    if (prompt == 0) call.requests[0].on_prompt_logits(0, {}, first);
    call.requests[prompt].on_prompt_logits(prompt == 0 ? 1 : 0, {}, prompt == 0 ? last : first);
    call.response->add(prompt, {.id = 1, .finish_reason = FinishReason::kLength});
  }
  const json::object response = call.response->to_json();
  const json::value& found = response.at("choices").at(0).at("hidden_states");
  EXPECT_EQ(static_cast<float>(found.at(0).as_double()), last[0]);
  EXPECT_TRUE(found.at(1).is_null());
  const json::value& of_second = response.at("choices").at(1).at("hidden_states");
  EXPECT_EQ(static_cast<float>(of_second.at(1).as_double()), first[1]);

  const PreparedCall silent = prepare(Endpoint::kCompletions, R"({"prompt": [5]})");
  EXPECT_FALSE(silent.requests[0].on_prompt_logits);
  EXPECT_EQ(
      refusal(Endpoint::kCompletions, R"({"prompt": "x", "return_hidden_states": true, "stream": true})")
          .param,
      "return_hidden_states");
}

TEST_F(OpenAiCallTest, CountsCachedTokensOfEachPromptOnce) {
  const PreparedCall call = prepare(Endpoint::kCompletions, R"({"prompt": ["x", "y"], "n": 2})");
  for (const std::size_t prompt : {0U, 1U}) {
    for (const int index : {0, 1}) {
      std::vector<Output> outputs = outputs_of(*tokenizer_, "a", FinishReason::kLength, index);
      outputs.back().times.cached_tokens = 32;
      call.response->add(prompt, outputs.back());
    }
  }
  EXPECT_EQ(call.response->usage().cached_tokens, 64);
}

TEST(RandomId, IsNeverTheSame) {
  EXPECT_EQ(random_id().size(), 24U);
  EXPECT_NE(random_id(), random_id());
}

}  // namespace
}  // namespace gossamer
