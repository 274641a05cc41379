// Arbitrary bytes as the body of a request: a typed request or an error with all that clients look at, never
// a crash. The first byte chooses the endpoint.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "server/openai_request.h"
#include "server/response_store.h"
#include "server/responses_request.h"
#include "server/tgi_request.h"
#include "server/tgi_response.h"

namespace gossamer {
namespace {

template <typename T>
void check_result(const ApiResult<T>& result) {
  if (result.ok()) return;
  const ApiError& error = result.error();
  GOSSAMER_CHECK(!error.message.empty() && error.message.size() < 10'000);
  GOSSAMER_CHECK(utf8_is_valid(error.message));
  GOSSAMER_CHECK(error.status == 400);
  GOSSAMER_CHECK(to_json(error).at("error").as_object().size() == 4);
  GOSSAMER_CHECK(utf8_is_valid(error.param.value_or("")));
}

// A response to continue: "resp_a", with an item "msg_a_0" and a call "call_a".
std::unique_ptr<StoredResponse> known_response() {
  auto known = std::make_unique<StoredResponse>();
  known->id = "resp_a";
  known->input = parse_json(R"([{"type": "message", "id": "msg_a_i0", "role": "user",
      "content": [{"type": "input_text", "text": "hi"}]}])",
                            "input")
                     .as_array();
  known->response = parse_json(R"({"id": "resp_a", "output": [
      {"type": "message", "id": "msg_a_0", "role": "assistant", "content": [{"type": "output_text", "text": "x"}]},
      {"type": "function_call", "id": "fc_a_1", "call_id": "call_a", "name": "f", "arguments": "{}"}]})",
                               "response")
                        .as_object();
  return known;
}

// What was read can be kept, and what was kept can be continued.
void check_responses(const json::value& body) {
  ResponseStore store;
  store.put(known_response());
  const ApiResult<ResponsesRequest> result = parse_responses_request(body, store, "b");
  check_result(result);
  if (!result.ok()) return;
  GOSSAMER_CHECK(json_bytes(result.value().input) > 0);
  auto kept = std::make_unique<StoredResponse>();
  kept->id = "resp_b";
  kept->input = result.value().input;
  kept->response = {{"id", "resp_b"}, {"output", json::array()}};
  kept->previous = result.value().previous;
  store.put(std::move(kept));
  GOSSAMER_CHECK(list_input_items(store, "resp_b", {}).ok());
  const json::object next = {{"input", ""}, {"previous_response_id", "resp_b"}};
  GOSSAMER_CHECK(parse_responses_request(next, store, "c").ok());
}

}  // namespace
}  // namespace gossamer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace gossamer;
  if (size == 0) return 0;
  json::value body;
  try {
    body = parse_json({reinterpret_cast<const char*>(data) + 1, size - 1}, "input");
  } catch (const Error&) {
    return 0;
  }
  switch (data[0] % 4) {
    case 0:
      check_result(parse_chat_request(body));
      break;
    case 1:
      check_result(parse_completion_request(body));
      break;
    case 2:
      check_responses(body);
      break;
    default:
      const ApiResult<TgiRequest> result = parse_tgi_request(body);
      check_result(result);
      if (!result.ok()) GOSSAMER_CHECK(to_tgi_json(result.error()).size() == 2);
  }
  return 0;
}
