// Arbitrary bytes as the body of a request: a typed request or an error with all that clients look at, never
// a crash. The first byte chooses the endpoint.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "server/openai_request.h"

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
  if (data[0] % 2 == 0) {
    check_result(parse_chat_request(body));
  } else {
    check_result(parse_completion_request(body));
  }
  return 0;
}
