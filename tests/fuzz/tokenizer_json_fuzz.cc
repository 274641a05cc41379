// Arbitrary bytes as a tokenizer.json: an Error or a tokenizer that encodes and decodes, never a crash. The
// input may hold a text to encode behind a zero byte.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "base/error.h"
#include "base/utf8.h"
#include "text/stream_detokenizer.h"
#include "text/tokenizer.h"
#include "text/tokenizer_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace gossamer;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t zero = input.find('\0');
  const std::string_view file = input.substr(0, zero);
  const std::string_view text = zero == std::string_view::npos ? file : input.substr(zero + 1);
  try {
    const Tokenizer tokenizer(parse_tokenizer_json(file, "input"));
    for (const bool parse_special : {false, true}) {
      const std::vector<int32_t> ids = tokenizer.encode(text, {.parse_special = parse_special});
      StreamDetokenizer stream(tokenizer);
      std::string streamed;
      for (const int32_t id : ids) {
        GOSSAMER_CHECK(tokenizer.has_token(id));
        const std::string part = stream.push(id);
        GOSSAMER_CHECK(utf8_is_valid(part));
        streamed += part;
      }
      streamed += stream.flush();
      GOSSAMER_CHECK_EQ(streamed, tokenizer.decode(ids));
    }
  } catch (const Error&) {
  }
  return 0;
}
