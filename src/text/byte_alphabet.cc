#include "text/byte_alphabet.h"

#include "base/utf8.h"

namespace gossamer {

ByteAlphabet::ByteAlphabet() {
  byte_of_.fill(-1);
  std::size_t next = 0x100;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    byte_of_[printable ? byte : next++] = static_cast<int16_t>(byte);
  }
}

bool ByteAlphabet::append_bytes(std::string_view text, std::string& out) const {
  const std::size_t size_before = out.size();
  for (std::size_t i = 0; i < text.size();) {
    char32_t code_point = static_cast<unsigned char>(text[i]);
    uint32_t length = 1;
    if (code_point >= 0x80) {
      const Utf8Step step = utf8_step(text.substr(i));
      code_point = step.code_point;  // U+FFFD for what is not UTF-8, which is outside too
      length = step.length;
    }
    if (code_point >= kNumChars || byte_of_[code_point] < 0) {
      out.resize(size_before);
      return false;
    }
    out.push_back(static_cast<char>(byte_of_[code_point]));
    i += length;
  }
  return true;
}

}  // namespace gossamer
