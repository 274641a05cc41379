// UTF-8: one decoder for the whole program. Bytes from outside may be anything; what is not UTF-8 becomes
// U+FFFD, one for each maximal subpart (the practice of the Unicode standard, chapter 3.9, and of Rust's
// from_utf8_lossy).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gossamer {

enum class Utf8Status : uint8_t {
  kValid,
  kInvalid,     // `length` bytes can never become a character
  kIncomplete,  // all `length` bytes left are the beginning of a character
};

struct Utf8Step {
  char32_t code_point = 0xFFFD;  // U+FFFD unless valid
  uint32_t length = 0;           // bytes to step over, 1 to 4
  Utf8Status status = Utf8Status::kInvalid;
};

// Decodes the character at the beginning of `text`, which is not empty.
Utf8Step utf8_step(std::string_view text);

// Decodes the character at `p` of text known to be valid and advances `p` behind it.
inline char32_t utf8_decode_valid(const char*& p) {
  const auto byte = [&](int i) { return static_cast<char32_t>(static_cast<unsigned char>(p[i])); };
  const char32_t lead = byte(0);
  if (lead < 0x80) {
    p += 1;
    return lead;
  }
  if (lead < 0xE0) {
    const char32_t code_point = (lead & 0x1F) << 6 | (byte(1) & 0x3F);
    p += 2;
    return code_point;
  }
  if (lead < 0xF0) {
    const char32_t code_point = (lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    p += 3;
    return code_point;
  }
  const char32_t code_point =
      (lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
  p += 4;
  return code_point;
}

// Appends one code point, which is no surrogate and at most U+10FFFF.
void utf8_append(char32_t code_point, std::string& out);

// The number of bytes at the beginning of `text` that are whole, valid characters.
std::size_t utf8_valid_prefix(std::string_view text);

inline bool utf8_is_valid(std::string_view text) { return utf8_valid_prefix(text) == text.size(); }

// Appends `text` with every maximal subpart that is not UTF-8 replaced by U+FFFD, an incomplete end included.
void utf8_append_lossy(std::string_view text, std::string& out);

// The same for text that comes in pieces: moves `held` to `out` except the beginning of a character at its
// end, which the next piece may finish.
void utf8_move_whole(std::string& held, std::string& out);

}  // namespace gossamer
