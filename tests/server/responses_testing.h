// What the tests of /v1/responses share.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "server/responses_call.h"
#include "tests/server/server_testing.h"

namespace gossamer::test {

// The events of a stream, checked for what holds for all: names agree, numbers count from 0.
inline std::vector<json::object> parse_events(std::string_view stream) {
  std::vector<json::object> events;
  while (!stream.empty()) {
    const std::size_t end = stream.find("\n\n");
    EXPECT_NE(end, std::string_view::npos) << stream;
    if (end == std::string_view::npos) break;
    std::string_view block = stream.substr(0, end);
    stream.remove_prefix(end + 2);
    const std::size_t data = block.find("\ndata: ");
    EXPECT_TRUE(block.starts_with("event: ") && data != std::string_view::npos) << block;
    json::object event = parse(block.substr(data + 7)).as_object();
    EXPECT_EQ(block.substr(7, data - 7), std::string_view(event.at("type").as_string()));
    EXPECT_EQ(event.at("sequence_number").to_number<std::size_t>(), events.size());
    events.push_back(std::move(event));
  }
  return events;
}

class ResponsesTest : public testing::Test {
 protected:
  ApiResult<PreparedCall> try_prepare(const std::string& body) {
    identity_.id = std::to_string(++num_calls_);
    return prepare_responses_call(parse(body), model_, identity_, store_);
  }
  PreparedCall prepare(const std::string& body) {
    ApiResult<PreparedCall> call = try_prepare(body);
    EXPECT_TRUE(call.ok()) << body << "\n" << (call.ok() ? "" : call.error().message);
    return call.ok() ? std::move(call).value() : PreparedCall();
  }
  ApiError refusal(const std::string& body) {
    const ApiResult<PreparedCall> call = try_prepare(body);
    EXPECT_FALSE(call.ok()) << body;
    return call.ok() ? ApiError() : call.error();
  }
  std::string prompt_of(const std::string& body) {
    return tokenizer_->decode(prepare(body).requests.at(0).prompt);
  }
  json::object answer(const std::string& body, std::string_view text,
                      FinishReason finish = FinishReason::kStop) {
    const PreparedCall call = prepare(body);
    for (const Output& output : outputs_of(*tokenizer_, text, finish)) call.response->add(0, output);
    return call.response->to_json();
  }

  std::unique_ptr<Tokenizer> tokenizer_ = load_tokenizer("tiny_oss.json");
  ServedModel model_ = make_model(*tokenizer_, true);
  ResponseStore store_;
  CallIdentity identity_{.id = "0", .created = 1700000000, .default_seed = 77};
  int num_calls_ = 0;
};

}  // namespace gossamer::test
