// text-generation-inference's endpoints: what is asked of the engine, and what is answered.
#include "server/tgi_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "server/tgi_response.h"
#include "tests/server/server_testing.h"

namespace gossamer {
namespace {

using test::outputs_of;
using test::parse;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

const CallIdentity kIdentity{.id = "0", .created = 1700000000, .default_seed = 77};

class TgiCallTest : public testing::Test {
 protected:
  static std::string body_with(const std::string& parameters) {
    return R"({"inputs": "the day", "parameters": {)" + parameters + "}}";
  }
  PreparedCall prepare(const std::string& body, TgiEndpoint endpoint = TgiEndpoint::kGenerate) const {
    ApiResult<PreparedCall> call = prepare_tgi_call(endpoint, parse(body), model_, kIdentity);
    EXPECT_TRUE(call.ok()) << body << "\n" << (call.ok() ? "" : call.error().message);
    return call.ok() ? std::move(call).value() : PreparedCall();
  }
  ApiError refusal(const std::string& body, TgiEndpoint endpoint = TgiEndpoint::kGenerate) const {
    const ApiResult<PreparedCall> call = prepare_tgi_call(endpoint, parse(body), model_, kIdentity);
    EXPECT_FALSE(call.ok()) << body;
    return call.ok() ? ApiError() : call.error();
  }
  void run(const PreparedCall& call, const std::string& text, FinishReason finish, int index = 0) const {
    for (const Output& output : outputs_of(*tokenizer_, text, finish, index)) call.response->add(0, output);
  }
  static std::vector<json::object> events_of(std::string_view stream) {
    std::vector<json::object> events;
    for (std::size_t end = stream.find("\n\n"); end != std::string_view::npos; end = stream.find("\n\n")) {
      EXPECT_TRUE(stream.starts_with("data:"));
      events.push_back(parse(stream.substr(5, end - 5)).as_object());
      stream.remove_prefix(end + 2);
    }
    return events;
  }

  std::unique_ptr<Tokenizer> tokenizer_ = test::load_tokenizer("tiny_oss.json");
  ServedModel model_ = test::make_model(*tokenizer_, false);
};

TEST_F(TgiCallTest, AsksTheEngineForWhatTheParametersSay) {
  const PreparedCall call = prepare(body_with(
      R"("max_new_tokens": 5, "temperature": 0.5, "top_k": 4, "top_p": 0.75, "repetition_penalty": 1.5,
         "frequency_penalty": 0.5, "seed": 9, "stop": ["x"], "truncate": 1, "typical_p": null)"));
  const Request& request = call.requests.at(0);
  EXPECT_THAT(request.prompt, ElementsAre(tokenizer_->encode("the day").back())) << "the end is kept";
  EXPECT_EQ(request.max_new_tokens, 5);
  EXPECT_EQ(request.sampling.temperature, 0.5F);
  EXPECT_EQ(request.sampling.top_k, 4);
  EXPECT_EQ(request.sampling.top_p, 0.75F);
  EXPECT_EQ(request.sampling.repetition_penalty, 1.5F);
  EXPECT_EQ(request.sampling.frequency_penalty, 0.5F);
  EXPECT_EQ(request.sampling.seed, 9U);
  EXPECT_EQ(request.stop_token_ids, model_.eos_ids);
  EXPECT_FALSE(call.stream);
}

TEST_F(TgiCallTest, IsGreedyUnlessItIsAskedToSample) {
  model_.sampling.temperature = 0.75F;
  const auto temperature = [&](const std::string& parameters) {
    return prepare(body_with(parameters)).requests.at(0).sampling.temperature;
  };
  EXPECT_EQ(temperature(""), 0.0F);
  EXPECT_EQ(temperature(R"("seed": 3)"), 0.0F);
  EXPECT_EQ(temperature(R"("temperature": 1)"), 0.0F) << "as TGI has it";
  EXPECT_EQ(temperature(R"("do_sample": true)"), 1.0F);
  EXPECT_EQ(temperature(R"("top_k": 3)"), 1.0F);
  EXPECT_EQ(temperature(R"("temperature": 0.5)"), 0.5F);
}

TEST_F(TgiCallTest, DefaultsToAHundredTokensWhereThereIsRoom) {
  EXPECT_EQ(prepare(R"({"inputs": "the"})").requests.at(0).max_new_tokens, 100);
  model_.max_model_len = 10;
  EXPECT_EQ(prepare(R"({"inputs": "the"})").requests.at(0).max_new_tokens, 9);
}

TEST_F(TgiCallTest, NamesWhatItCannotDo) {
  struct Case {
    std::string body;
    std::string param;
  };
  const std::vector<Case> cases = {
      {"[]", ""},
      {"{}", "inputs"},
      {R"({"inputs": ["a"]})", "inputs"},
      {R"({"inputs": ""})", "inputs"},
      {R"({"inputs": ")" + std::string(1500, '!') + "\"}", "inputs"},
      {R"({"inputs": "a", "parameters": 1})", "parameters"},
      {body_with(R"("typical_p": 0.5)"), "parameters.typical_p"},
      {body_with(R"("watermark": true)"), "parameters.watermark"},
      {body_with(R"("grammar": {"type": "json", "value": {}})"), "parameters.grammar"},
      {body_with(R"("adapter_id": "a")"), "parameters.adapter_id"},
      {body_with(R"("max_new_tokens": 0)"), "parameters.max_new_tokens"},
      {body_with(R"("max_new_tokens": 1000)"), "parameters.max_new_tokens"},
      {body_with(R"("temperature": -1)"), "parameters.temperature"},
      {body_with(R"("temperature": 1e300)"), "parameters.temperature"},
      {body_with(R"("top_p": 0)"), "parameters.top_p"},
      {body_with(R"("top_k": 0)"), "parameters.top_k"},
      {body_with(R"("repetition_penalty": 0)"), "parameters.repetition_penalty"},
      {body_with(R"("seed": -1)"), "parameters.seed"},
      {body_with(R"("truncate": 0)"), "parameters.truncate"},
      {body_with(R"("stop": "x")"), "parameters.stop"},
      {body_with(R"("stop": [""])"), "parameters.stop"},
      {body_with(R"("best_of": 2)"), "parameters.best_of"},
      {body_with(R"("best_of": 2, "do_sample": true, "seed": 1)"), "parameters.best_of"},
      {body_with(R"("top_n_tokens": 21)"), "parameters.top_n_tokens"},
  };
  for (const Case& c : cases) {
    const ApiError error = refusal(c.body);
    EXPECT_EQ(error.status, 400) << c.body;
    EXPECT_EQ(error.param.value_or(""), c.param) << error.message;
    EXPECT_THAT(error.message, StartsWith(c.param));
    EXPECT_EQ(to_tgi_json(error).at("error_type").as_string(), "validation");
    EXPECT_EQ(to_tgi_json(error).at("error").as_string(), error.message);
  }
  EXPECT_EQ(refusal(body_with(R"("best_of": 2, "do_sample": true)"), TgiEndpoint::kGenerateStream).param,
            "parameters.best_of");
  EXPECT_EQ(refusal(body_with(R"("decoder_input_details": true)"), TgiEndpoint::kGenerateStream).param,
            "parameters.decoder_input_details");
}

TEST_F(TgiCallTest, TellsTheStreamByTheEndpointAndAtTheRootByTheBody) {
  EXPECT_TRUE(prepare(R"({"inputs": "a"})", TgiEndpoint::kGenerateStream).stream);
  EXPECT_FALSE(prepare(R"({"inputs": "a", "stream": true})", TgiEndpoint::kGenerate).stream);
  EXPECT_TRUE(prepare(R"({"inputs": "a", "stream": true})", TgiEndpoint::kRoot).stream);
  EXPECT_FALSE(prepare(R"({"inputs": "a"})", TgiEndpoint::kRoot).stream);
}

TEST_F(TgiCallTest, AnswersWithTheTextAlone) {
  const PreparedCall call = prepare(body_with(R"("return_full_text": true)"));
  run(call, " fine<|endoftext|>", FinishReason::kStop);
  EXPECT_EQ(json::serialize(call.response->to_json()), R"({"generated_text":"the day fine"})");
}

TEST_F(TgiCallTest, AnswersWithDetails) {
  const PreparedCall call =
      prepare(body_with(R"("decoder_input_details": true, "top_n_tokens": 1, "do_sample": true)"));
  EXPECT_EQ(call.requests.at(0).prompt_logprobs, 0);
  for (std::size_t i = 1; i < call.requests[0].prompt.size(); ++i) {
    Output output{.id = 1};
    output.prompt_logprobs = {TokenLogprobs{.token = {call.requests[0].prompt[i], -3.0F}}};
    call.response->add(0, output);
  }
  run(call, "the<|endoftext|>", FinishReason::kStop);
  const json::object response = call.response->to_json();
  EXPECT_EQ(response.at("generated_text").as_string(), "the");
  const json::object& details = response.at("details").as_object();
  EXPECT_EQ(details.at("finish_reason").as_string(), "eos_token");
  EXPECT_EQ(details.at("generated_tokens").to_number<int>(), 2);
  EXPECT_EQ(details.at("seed").to_number<int>(), 77);
  EXPECT_TRUE(details.at("prefill").at(0).at("logprob").is_null());
  EXPECT_EQ(details.at("prefill").at(1).at("logprob").as_double(), -3.0);
  EXPECT_EQ(details.at("prefill").at(0).at("text").as_string(), "the");
  EXPECT_EQ(json::serialize(details.at("tokens").at(0).at("text")), "\"the\"");
  EXPECT_EQ(details.at("tokens").at(0).at("special").as_bool(), false);
  EXPECT_EQ(details.at("tokens").at(1).at("text").as_string(), "<|endoftext|>");
  EXPECT_EQ(details.at("tokens").at(1).at("special").as_bool(), true);
  EXPECT_EQ(details.at("top_tokens").at(1).at(0).at("id").to_number<int>(), 33);
}

TEST_F(TgiCallTest, ReturnsTheLikeliestOfBestOfAndTheOthers) {
  const PreparedCall call = prepare(body_with(R"("best_of": 2, "do_sample": true, "details": true)"));
  run(call, "a b c", FinishReason::kLength, 0);
  run(call, "a", FinishReason::kLength, 1);
  const json::object response = call.response->to_json();
  EXPECT_EQ(response.at("generated_text").as_string(), "a");
  EXPECT_EQ(response.at("details").at("seed").to_number<int>(), 78);
  const json::array& others = response.at("details").at("best_of_sequences").as_array();
  ASSERT_EQ(others.size(), 1U);
  EXPECT_EQ(others[0].at("generated_text").as_string(), "a b c");
  EXPECT_EQ(others[0].at("finish_reason").as_string(), "length");
}

TEST_F(TgiCallTest, StreamsWhatTheWholeTextSaysAtEveryCut) {
  std::mt19937 random(3);
  for (const std::string text :
       {" d\xC3\xA9 \xF0\x9F\x98\x81 fine<|endoftext|>", "a day", "fine stop then"}) {
    for (int round = 0; round < 6; ++round) {
      const bool stops = text.ends_with("then");
      const std::string body =
          body_with(stops ? R"("stop": ["stop"], "details": true)" : R"("details": true)");
      const PreparedCall call = prepare(body, TgiEndpoint::kGenerateStream);
      std::string stream;
      for (const Output& output : outputs_of(*tokenizer_, text, FinishReason::kLength)) {
        const bool cancelled = call.response->add(0, output);
        if (cancelled) call.response->add(0, {.id = 1, .finish_reason = FinishReason::kCancelled});
        if (cancelled || call.response->done()) break;
        if (round == 0 || random() % 2 == 0) stream += call.response->take_events();
      }
      stream += call.response->take_events();
      EXPECT_EQ(call.response->take_events(), "");
      const std::vector<json::object> events = events_of(stream);
      std::string concatenated;
      for (std::size_t i = 0; i < events.size(); ++i) {
        EXPECT_EQ(events[i].at("index").to_number<std::size_t>(), i + 1);
        EXPECT_EQ(events[i].at("generated_text").is_null(), i + 1 < events.size());
        EXPECT_EQ(events[i].at("details").is_null(), i + 1 < events.size());
        const json::object& token = events[i].at("token").as_object();
        if (!token.at("special").as_bool()) concatenated += std::string_view(token.at("text").as_string());
      }
      const json::object whole = call.response->to_json();
      EXPECT_EQ(concatenated, std::string_view(whole.at("generated_text").as_string()));
      EXPECT_EQ(events.back().at("generated_text"), whole.at("generated_text"));
      if (stops) {
        EXPECT_THAT(concatenated, testing::EndsWith("stop")) << "which TGI's clients expect";
      }
      const json::object& details = events.back().at("details").as_object();
      EXPECT_EQ(details.at("finish_reason").as_string(),
                stops ? "stop_sequence" : whole.at("details").at("finish_reason").as_string());
      EXPECT_EQ(details.at("generated_tokens").to_number<std::size_t>(), events.size());
      EXPECT_TRUE(details.at("seed").is_null()) << "greedy";
    }
  }
}

TEST_F(TgiCallTest, EndsAStreamWithTheErrorInItsOwnForm) {
  const PreparedCall call = prepare(R"({"inputs": "a"})", TgiEndpoint::kGenerateStream);
  call.response->add(0, outputs_of(*tokenizer_, "the day", FinishReason::kLength).front());
  call.response->add(0, {.id = 1, .finish_reason = FinishReason::kError, .error = "broken"});
  const std::vector<json::object> events = events_of(call.response->take_events());
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(json::serialize(events[1]), R"({"error":"broken","error_type":"generation"})");
  EXPECT_EQ(to_tgi_json({.status = 429, .message = "full"}).at("error_type").as_string(), "overloaded");
}

TEST_F(TgiCallTest, TellsItsLimits) {
  const json::object info = tgi_info_json(model_, "1.2", 64);
  EXPECT_EQ(info.at("model_id").as_string(), "tiny");
  EXPECT_EQ(info.at("max_total_tokens").as_int64(), 1000);
  EXPECT_EQ(info.at("max_concurrent_requests").as_int64(), 64);
}

}  // namespace
}  // namespace gossamer
