// Arbitrary bytes as a line for `gossamer harmony render`: ids or an error value, never a crash. Encoded with
// a tokenizer of single bytes, so that no file is needed.
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/error.h"
#include "base/json.h"
#include "base/utf8.h"
#include "tests/fuzz/byte_tokenizer.h"
#include "text/harmony.h"
#include "text/harmony_json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace gossamer;
  static const Tokenizer tokenizer(harmony_byte_tokenizer());
  static const HarmonyRenderer renderer(tokenizer);
  json::value value;
  try {
    value = parse_json({reinterpret_cast<const char*>(data), size}, "input");
  } catch (const Error&) {
    return 0;
  }
  const Result<HarmonyRequest> request = harmony_request_from_json(value);
  if (!request.ok()) {
    GOSSAMER_CHECK(!request.error().message.empty());
    return 0;
  }
  const Result<std::vector<int32_t>> ids = render(renderer, request.value());
  if (ids.ok()) GOSSAMER_CHECK(utf8_is_valid(tokenizer.decode(ids.value())));
  return 0;
}
