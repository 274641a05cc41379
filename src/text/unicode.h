// What splitting and normalising need to know of code points: Unicode 16.0 classes as the regular expressions
// of the HF tokenizers see them, and where NFC (with the data of Unicode 9, as there) may change text. The
// table is generated, see unicode_ranges.inc: a library's table would change the splits, and so the ids, with
// every update of the system.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gossamer {

enum class CharClass : uint8_t {
  kOther = 0,     // punctuation, symbols, control characters, unassigned
  kSpace = 1,     // White_Space
  kNumber = 2,    // N
  kUpper = 3,     // Lu, Lt
  kLower = 4,     // Ll
  kCaseless = 5,  // Lm, Lo
  kMark = 6,      // M
};

inline bool is_letter(CharClass c) { return c >= CharClass::kUpper && c <= CharClass::kCaseless; }

// Immutable; a tokenizer owns one (130 KB, built in well under a millisecond).
class UnicodeTable {
 public:
  UnicodeTable();

  CharClass char_class(char32_t code_point) const { return static_cast<CharClass>(flags(code_point) & 7); }

  // The same for a code point below 0x80, which lies in the first page: one load.
  CharClass ascii_class(unsigned char c) const { return static_cast<CharClass>(pages_[c] & 7); }

  // Whether the code point matches \w: a letter, mark, decimal digit, connector or joiner.
  bool is_word(char32_t code_point) const { return (flags(code_point) & kWord) != 0; }

  // Appends the canonical composition (NFC) of `text`, which is valid UTF-8. Takes time linear in the text
  // but for sorting runs of combining marks, n log n.
  void append_nfc(std::string_view text, std::string& out) const;

  // False only if `text` (valid UTF-8) is sure to be in NFC already; a quick scan.
  bool may_change_in_nfc(std::string_view text) const;

 private:
  static constexpr uint8_t kWord = 0x08;
  static constexpr uint8_t kNfcActive = 0x10;   // decomposes, composes or has a combining class
  static constexpr uint8_t kNfcTrigger = 0x20;  // may compose with what precedes it, or changes alone
  static constexpr int kPageBits = 8;
  static constexpr int kPageSize = 1 << kPageBits;

  uint8_t flags(char32_t code_point) const {
    return pages_[page_index_[code_point >> kPageBits] * kPageSize + (code_point & (kPageSize - 1))];
  }
  void append_composed(std::string_view run, std::string& out) const;

  std::vector<uint16_t> page_index_;
  std::vector<uint8_t> pages_;  // [num_pages, kPageSize]
};

}  // namespace gossamer
