// What /v1/responses answers, whole and as events.
#include "server/responses_response.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/server/responses_testing.h"

namespace gossamer {
namespace {

using test::outputs_of;
using test::parse_events;
using testing::ElementsAre;
using testing::IsEmpty;

const std::string kThink = "<|channel|>analysis<|message|>";
const std::string kFinal = "<|start|>assistant<|channel|>final<|message|>";
const std::string kCall =
    "<|start|>assistant to=functions.f<|channel|>commentary <|constrain|>json<|message|>";
const std::string kTools = R"("tools": [{"type": "function", "name": "f"}])";

// What a client puts together from events, as the SDK does: what was added comes first, indices count up.
json::array accumulate(const std::vector<json::object>& events) {
  json::array output;
  for (const json::object& event : events) {
    const std::string_view type(event.at("type").as_string());
    if (!event.contains("output_index")) continue;
    const auto index = event.at("output_index").to_number<std::size_t>();
    if (type == "response.output_item.added") {
      EXPECT_EQ(index, output.size());
      output.push_back(event.at("item"));
      continue;
    }
    json::object& item = output.at(index).as_object();
    if (type == "response.output_item.done") {
      // All that was told before, and the status.
      json::object done = event.at("item").as_object();
      EXPECT_EQ(done.at("id"), item.at("id"));
      item["status"] = done.at("status");
      EXPECT_EQ(item, done);
      continue;
    }
    EXPECT_EQ(event.at("item_id"), item.at("id"));
    if (type == "response.function_call_arguments.delta") {
      item["arguments"].as_string() += event.at("delta").as_string();
    } else if (type == "response.function_call_arguments.done") {
      EXPECT_EQ(event.at("arguments"), item.at("arguments"));
      EXPECT_EQ(event.at("name"), item.at("name"));
    } else if (type == "response.content_part.added") {
      EXPECT_EQ(event.at("content_index").to_number<std::size_t>(), item.at("content").as_array().size());
      item["content"].as_array().push_back(event.at("part"));
    } else {
      json::object& part =
          item.at("content").at(event.at("content_index").to_number<std::size_t>()).as_object();
      if (type.ends_with(".delta")) {
        part["text"].as_string() += event.at("delta").as_string();
        if (event.contains("logprobs")) {
          for (const json::value& token : event.at("logprobs").as_array())
            part["logprobs"].as_array().push_back(token);
        }
      } else if (type == "response.content_part.done") {
        EXPECT_EQ(event.at("part"), part);
      } else {
        EXPECT_EQ(event.at("text"), part.at("text"));
      }
    }
  }
  return output;
}

std::vector<std::string> types_of(const std::vector<json::object>& events) {
  std::vector<std::string> types;
  for (const json::object& event : events) {
    types.emplace_back(event.at("type").as_string());
    EXPECT_TRUE(types.back().starts_with("response."));
    types.back().erase(0, 9);
  }
  return types;
}

class ResponsesResponseTest : public test::ResponsesTest {
 protected:
  // The stream of an answer, taken whenever `takes` says so.
  template <typename Takes>
  std::vector<json::object> stream(const std::string& body, std::string_view text, FinishReason finish,
                                   Takes takes) {
    const PreparedCall call = prepare(body);
    std::string events = takes() ? call.response->take_events() : "";
    for (const Output& output : outputs_of(*tokenizer_, text, finish)) {
      call.response->add(0, output);
      if (takes()) events += call.response->take_events();
    }
    events += call.response->take_events();
    EXPECT_EQ(call.response->take_events(), "");
    return parse_events(events);
  }
};

TEST_F(ResponsesResponseTest, HasEveryMemberThatSdksRead) {
  const json::object response = answer(
      R"({"input": "hi", "instructions": "i", "max_output_tokens": 50, "metadata": {"a": "b"}, "user": "u",
          "parallel_tool_calls": false, "temperature": 0.7, )" +
          kTools + "}",
      kThink + "the<|end|>" + kFinal + "It is fine.<|return|>");
  EXPECT_EQ(response.at("id").as_string(), "resp_1");
  EXPECT_EQ(response.at("object").as_string(), "response");
  EXPECT_EQ(response.at("created_at").as_int64(), 1700000000);
  EXPECT_EQ(response.at("status").as_string(), "completed");
  EXPECT_TRUE(response.at("error").is_null());
  EXPECT_TRUE(response.at("incomplete_details").is_null());
  EXPECT_EQ(response.at("instructions").as_string(), "i");
  EXPECT_EQ(response.at("max_output_tokens").as_int64(), 50);
  EXPECT_EQ(response.at("model").as_string(), "tiny");
  EXPECT_EQ(response.at("parallel_tool_calls").as_bool(), false);
  EXPECT_TRUE(response.at("previous_response_id").is_null());
  EXPECT_EQ(json::serialize(response.at("reasoning")), R"({"effort":"medium","summary":null})");
  EXPECT_EQ(response.at("store").as_bool(), true);
  EXPECT_EQ(response.at("temperature").as_double(), 0.7);
  EXPECT_EQ(response.at("top_p").as_double(), 1.0);
  EXPECT_EQ(json::serialize(response.at("text")), R"({"format":{"type":"text"},"verbosity":"medium"})");
  EXPECT_EQ(response.at("tool_choice").as_string(), "auto");
  EXPECT_EQ(json::serialize(response.at("tools")),
            R"([{"type":"function","name":"f","description":null,"parameters":null,"strict":false}])");
  EXPECT_EQ(response.at("truncation").as_string(), "disabled");
  EXPECT_EQ(response.at("user").as_string(), "u");
  EXPECT_EQ(json::serialize(response.at("metadata")), R"({"a":"b"})");
  EXPECT_EQ(
      json::serialize(response.at("output")),
      R"([{"id":"rs_1_0","type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":"the"}],)"
      R"("encrypted_content":null,"status":"completed"},{"id":"msg_1_1","type":"message","role":"assistant",)"
      R"("content":[{"type":"output_text","text":"It is fine.","annotations":[],"logprobs":[]}],)"
      R"("status":"completed"}])");
  const json::object& usage = response.at("usage").as_object();
  EXPECT_EQ(usage.at("output_tokens_details").at("reasoning_tokens").as_int64(), 1);
  EXPECT_EQ(usage.at("input_tokens_details").at("cached_tokens").as_int64(), 0);
  EXPECT_EQ(usage.at("total_tokens").as_int64(),
            usage.at("input_tokens").as_int64() + usage.at("output_tokens").as_int64());
}

TEST_F(ResponsesResponseTest, TellsEventsInTheOrderThatClientsNeed) {
  const std::vector<json::object> events =
      stream(R"({"input": "hi", "stream": true, )" + kTools + "}",
             kThink + "the<|end|>" + kCall + "1<|call|>", FinishReason::kStop, [] { return true; });
  EXPECT_THAT(types_of(events),
              ElementsAre("created", "in_progress", "output_item.added", "content_part.added",
                          "reasoning_text.delta", "reasoning_text.done", "content_part.done",
                          "output_item.done", "output_item.added", "function_call_arguments.delta",
                          "function_call_arguments.done", "output_item.done", "completed"));
  EXPECT_THAT(events[0].at("response").at("output").as_array(), IsEmpty());
  EXPECT_EQ(events[0].at("response").at("status").as_string(), "in_progress");
  EXPECT_EQ(events[8].at("item").at("arguments").as_string(), "");
  EXPECT_EQ(events[8].at("item").at("name").as_string(), "f");
  EXPECT_EQ(json::serialize(events.back().at("response").at("output").at(1)),
            R"({"id":"fc_1_1","type":"function_call","call_id":"call_1_0_0","name":"f","arguments":"1",)"
            R"("status":"completed"})");
}

TEST_F(ResponsesResponseTest, StreamsWhatTheWholeResponseSaysAtEveryCut) {
  const std::vector<std::string> texts = {
      kThink + "the day<|end|>" + kFinal + "It is d\xC3\xA9 \xF0\x9F\x98\x81 fine.<|return|>",
      kThink + "the day<|end|>" + kCall + "{\"a\": 1}<|call|>",
      // Not what a model should do, but in its order all the same.
      kThink.substr(0) + "a<|end|>" + kFinal + "b<|end|><|start|>assistant" + kThink + "c<|end|>" + kCall +
          "{\"x\": 2}<|end|>" + kFinal + "d stop e<|return|>",
      "bare text",
      kThink + "only reasoning",
      kThink + "<|end|>" + kFinal + "<|return|>",
  };
  std::mt19937 random(5);
  for (const std::string& text : texts) {
    for (const FinishReason finish : {FinishReason::kStop, FinishReason::kLength}) {
      for (const std::string fields :
           {"", R"("include": ["message.output_text.logprobs"], "top_logprobs": 1,)",
            R"("stop": ["stop", "fi"],)"}) {
        const std::string body = R"({"input": "hi", )" + fields + kTools + "}";
        num_calls_ = 0;
        json::object whole;
        {
          const PreparedCall call = prepare(body);
          for (const Output& output : outputs_of(*tokenizer_, text, finish)) call.response->add(0, output);
          whole = call.response->to_json();
        }
        for (int round = 0; round < 8; ++round) {
          num_calls_ = 0;
          const std::vector<json::object> events =
              stream(body, text, finish, [&] { return round == 0 || random() % 3 == 0; });
          const std::string status(whole.at("status").as_string());
          EXPECT_EQ(types_of(events).back(), status);
          EXPECT_EQ(events.back().at("response"), whole);
          EXPECT_EQ(accumulate(events), whole.at("output").as_array()) << text;
        }
      }
    }
  }
}

TEST_F(ResponsesResponseTest, KeepsTheOrderOfPartsWithoutTheBlankLineBetweenThem) {
  const json::object response =
      answer(R"({"input": "hi"})", kThink + "a<|end|>" + kFinal + "b<|end|><|start|>assistant" + kThink +
                                       "c<|end|>" + kFinal + "d<|return|>");
  std::string texts;
  for (const json::value& item : response.at("output").as_array())
    texts += std::string_view(item.at("content").at(0).at("text").as_string());
  EXPECT_EQ(texts, "abcd");
}

TEST_F(ResponsesResponseTest, SaysThatALimitCutTheAnswer) {
  const json::object response =
      answer(R"({"input": "hi"})", kThink + "the<|end|>" + kFinal + "It is", FinishReason::kLength);
  EXPECT_EQ(response.at("status").as_string(), "incomplete");
  EXPECT_EQ(response.at("incomplete_details").at("reason").as_string(), "max_output_tokens");
  EXPECT_EQ(response.at("output").at(0).at("status").as_string(), "completed");
  EXPECT_EQ(response.at("output").at(1).at("status").as_string(), "incomplete");
}

TEST_F(ResponsesResponseTest, EndsAStreamThatFailsWithWhatThereWas) {
  const PreparedCall call = prepare(R"({"input": "hi", "stream": true})");
  std::string events;
  std::vector<Output> outputs = outputs_of(*tokenizer_, kThink + "the day", FinishReason::kLength);
  outputs.pop_back();
  for (const Output& output : outputs) {
    call.response->add(0, output);
    events += call.response->take_events();
  }
  call.response->add(0, {.id = 1, .finish_reason = FinishReason::kError, .error = "logits are not finite"});
  events += call.response->take_events();
  EXPECT_EQ(call.response->take_events(), "");
  const std::vector<json::object> parsed = parse_events(events);
  EXPECT_EQ(types_of(parsed).back(), "failed");
  const json::object& response = parsed.back().at("response").as_object();
  EXPECT_EQ(response.at("status").as_string(), "failed");
  EXPECT_EQ(json::serialize(response.at("error")),
            R"({"code":"server_error","message":"logits are not finite"})");
  EXPECT_EQ(response.at("output").at(0).at("status").as_string(), "incomplete");
  EXPECT_EQ(store_.size(), 0U) << "a failed response is not kept";
}

TEST_F(ResponsesResponseTest, GivesReasoningOnceMoreToClientsThatCarryIt) {
  const json::object response =
      answer(R"({"input": "hi", "store": false, "include": ["reasoning.encrypted_content"]})",
             kThink + "the<|end|>" + kFinal + "day<|return|>");
  EXPECT_EQ(response.at("output").at(0).at("encrypted_content").as_string(), "gossamer-plain:the");
  EXPECT_EQ(response.at("store").as_bool(), false);
}

TEST_F(ResponsesResponseTest, LeavesReasoningOutWhereItIsNotWanted) {
  const json::object response = answer(R"({"input": "hi", "include_reasoning": false})",
                                       kThink + "the<|end|>" + kFinal + "day<|return|>");
  ASSERT_EQ(response.at("output").as_array().size(), 1U);
  EXPECT_EQ(response.at("output").at(0).at("id").as_string(), "msg_1_0");
}

TEST_F(ResponsesResponseTest, IsKnownBeforeItsLastEventIsTold) {
  const PreparedCall call = prepare(R"({"input": "hi", "stream": true})");
  for (const Output& output : outputs_of(*tokenizer_, kThink + "the", FinishReason::kLength)) {
    EXPECT_EQ(store_.size(), 0U);
    call.response->add(0, output);
  }
  ASSERT_NE(store_.find("resp_1"), nullptr);
  EXPECT_EQ(store_.find("resp_1")->response, call.response->to_json());
  answer(R"({"input": "hi", "store": false})", "day");
  EXPECT_EQ(store_.size(), 1U);
}

}  // namespace
}  // namespace gossamer
