// The byte-level alphabet of GPT-2: every byte has a printable character, so that a vocabulary can be written
// in JSON. 188 bytes that are printable in Latin-1 stand for themselves, the others for U+0100 + n in order.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace gossamer {

class ByteAlphabet {
 public:
  ByteAlphabet();

  // Appends the bytes that `text` (any bytes) spells in the alphabet to `out`. Returns false, with `out` as
  // it was, if some character of `text` is outside the alphabet; the HF tokenizers then take the text for
  // itself.
  bool append_bytes(std::string_view text, std::string& out) const;

 private:
  static constexpr std::size_t kNumChars = 0x144;  // one past the last character of the alphabet
  std::array<int16_t, kNumChars> byte_of_;         // by code point; -1: not in the alphabet
};

}  // namespace gossamer
