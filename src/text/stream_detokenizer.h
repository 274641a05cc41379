// Ids one at a time to text, never half a character: what would be one is held back until the rest arrives.
#pragma once

#include <cstdint>
#include <string>

#include "text/tokenizer.h"

namespace gossamer {

// What all push() calls and the flush() return, put together, is Tokenizer::decode of all the ids, whatever
// they are.
class StreamDetokenizer {
 public:
  // `tokenizer` must outlive this.
  explicit StreamDetokenizer(const Tokenizer& tokenizer, const DecodeOptions& options = {})
      : tokenizer_(tokenizer), options_(options) {}

  // Adds one token; returns the text that has become certain, often empty, always whole characters.
  std::string push(int32_t id);

  // Ends the text: returns U+FFFD if it ended inside a character. The next push() begins a new text.
  std::string flush();

 private:
  const Tokenizer& tokenizer_;
  DecodeOptions options_;
  std::string held_;  // the beginning of a character, at most 3 bytes
};

}  // namespace gossamer
