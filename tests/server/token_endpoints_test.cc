#include "server/token_endpoints.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "server/openai_call.h"
#include "tests/server/server_testing.h"

namespace gossamer {
namespace {

using test::parse;
using testing::HasSubstr;

class TokenEndpointsTest : public testing::Test {
 protected:
  json::object tokens_of(const std::string& body) const {
    const ApiResult<json::object> result = tokenize(parse(body), model_);
    EXPECT_TRUE(result.ok()) << body << "\n" << (result.ok() ? "" : result.error().message);
    return result.ok() ? result.value() : json::object();
  }

  std::unique_ptr<Tokenizer> tokenizer_ = test::load_tokenizer("tiny_oss.json");
  ServedModel model_ = test::make_model(*tokenizer_, true);
};

TEST_F(TokenEndpointsTest, TokenizesAPromptAndBack) {
  const std::string text = "the d\xC3\xA9 \xF0\x9F\x98\x81<|endoftext|>";
  const json::object response = tokens_of(R"({"prompt": ")" + text + R"(", "add_special_tokens": true})");
  const json::array& tokens = response.at("tokens").as_array();
  EXPECT_EQ(response.at("count").to_number<std::size_t>(), tokens.size());
  EXPECT_EQ(response.at("max_model_len").as_int64(), 1000);
  EXPECT_TRUE(response.at("token_strs").is_null());
  EXPECT_EQ(tokens.back().as_int64(), model_.eos_ids[0]);
  const ApiResult<json::object> back = detokenize(json::object{{"tokens", tokens}}, model_);
  EXPECT_EQ(back.value().at("prompt").as_string(), text);
}

TEST_F(TokenEndpointsTest, WritesTokensAsTheTokenizersFileDoes) {
  const json::object response =
      tokens_of(R"({"prompt": "the d\u00e9<|endoftext|>", "return_token_strs": true})");
  EXPECT_EQ(json::serialize(response.at("token_strs")),
            "[\"the\",\"\xC4\xA0"
            "d\xC3\x83\xC2\xA9\",\"<|endoftext|>\"]");
}

TEST_F(TokenEndpointsTest, TokenizesAConversationAsAChatWouldHaveIt) {
  const std::string body = R"({"messages": [{"role": "user", "content": "hi"}],
      "tools": [{"type": "function", "function": {"name": "f"}}])";
  const json::array tokens = tokens_of(body + "}").at("tokens").as_array();
  const PreparedCall call = prepare_call(Endpoint::kChat, parse(body + "}"), model_, {.id = "0"}).value();
  ASSERT_EQ(tokens.size(), call.requests.at(0).prompt.size());
  for (std::size_t i = 0; i < tokens.size(); ++i)
    EXPECT_EQ(tokens[i].to_number<int32_t>(), call.requests[0].prompt[i]);
  const json::array without =
      tokens_of(body + R"(, "add_generation_prompt": false})").at("tokens").as_array();
  const std::vector<int32_t> prompt = test::ids_of_text(*tokenizer_, "<|start|>assistant");
  EXPECT_EQ(without.size() + prompt.size(), tokens.size());
}

TEST_F(TokenEndpointsTest, NamesWhatIsWrong) {
  const auto param = [&](const ApiResult<json::object>& result) {
    EXPECT_FALSE(result.ok());
    return result.ok() ? "" : result.error().param.value_or("");
  };
  EXPECT_EQ(param(tokenize(parse("{}"), model_)), "prompt");
  EXPECT_EQ(param(tokenize(parse(R"({"prompt": [1]})"), model_)), "prompt");
  EXPECT_EQ(param(tokenize(parse(R"({"messages": []})"), model_)), "messages");
  EXPECT_EQ(param(tokenize(parse(R"({"messages": [{"role": "user", "content": "a"}], "chat_template": "x"})"),
                           model_)),
            "chat_template");
  EXPECT_EQ(param(tokenize(parse(R"({"prompt": "a", "model": "other"})"), model_)), "model");
  EXPECT_EQ(param(detokenize(parse("{}"), model_)), "tokens");
  EXPECT_EQ(param(detokenize(parse(R"({"tokens": [1, "2"]})"), model_)), "tokens[1]");
  EXPECT_EQ(param(detokenize(parse(R"({"tokens": [99999999999]})"), model_)), "tokens[0]");
  EXPECT_EQ(param(detokenize(parse(R"({"tokens": [100000]})"), model_)), "tokens[0]");
  model_.has_chat_form = false;
  const ApiResult<json::object> plain =
      tokenize(parse(R"({"messages": [{"role": "user", "content": "a"}]})"), model_);
  EXPECT_EQ(plain.error().code, "model_without_chat_form");
}

TEST_F(TokenEndpointsTest, ListsTheModelByAllItsNames) {
  const json::object list = models_json(model_, 5);
  EXPECT_EQ(list.at("object").as_string(), "list");
  ASSERT_EQ(list.at("data").as_array().size(), 2U);
  EXPECT_EQ(json::serialize(list.at("data").at(1)),
            R"({"id":"folder/tiny","object":"model","created":5,"owned_by":"gossamer","root":"tiny",)"
            R"("parent":null,"max_model_len":1000})");
  EXPECT_EQ(model_json(model_, "folder/tiny", 5).value(), list.at("data").at(1).as_object());
  const ApiError error = model_json(model_, "other", 5).error();
  EXPECT_EQ(error.status, 404);
  EXPECT_EQ(error.code, "model_not_found");
  EXPECT_THAT(error.message, HasSubstr("folder/tiny"));
}

}  // namespace
}  // namespace gossamer
