// Added tokens: strings that are cut out of the text before it is split and merged (specials such as
// <|endoftext|>, the runs of spaces of GPT-NeoX). Semantics of the HF tokenizers' AddedVocabulary.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/unicode.h"

namespace gossamer {

struct AddedToken {
  int32_t id = 0;
  std::string content = {};
  bool special = false;
  bool normalized = true;    // sought in the normalised text
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // swallows the white space before it
  bool rstrip = false;       // swallows the white space behind it
};

// A part of a text: an added token, or text between added tokens (id -1).
struct TextSegment {
  int32_t id = -1;
  std::string_view text;
};

// Finds the tokens of one set in a text: leftmost first, the longest of those that begin together.
class AddedTokenMatcher {
 public:
  // The contents must differ and not be empty.
  explicit AddedTokenMatcher(std::vector<AddedToken> tokens);

  // Appends the parts of `text` (valid UTF-8), in order; no part is empty but those of rstrip tokens that
  // overlap. Without `parse_special`, special tokens are text.
  void split(std::string_view text, bool parse_special, const UnicodeTable& unicode,
             std::vector<TextSegment>& out) const;

 private:
  const AddedToken* longest_at(std::string_view text) const;

  std::vector<AddedToken> tokens_;                          // sorted by content
  std::array<std::pair<uint32_t, uint32_t>, 256> by_byte_;  // first byte of the content -> range in tokens_
  int only_first_byte_ = -1;  // where all begin with the same byte: found by memchr
  bool all_special_ = true;
};

}  // namespace gossamer
