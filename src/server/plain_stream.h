// PlainStream: ids one at a time to plain text, and which tokens each piece of it is of. For completions,
// where HarmonyChat is for chats.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "text/stream_detokenizer.h"
#include "text/tokenizer.h"

namespace gossamer {

// Tokens are indices into all those pushed. One without text of its own is with the text that comes next, so
// that a character in several tokens has them all.
struct PlainPiece {
  std::string text;  // may be empty: then there are no tokens either
  int64_t first_token = 0;
  int64_t num_tokens = 0;
};

class PlainStream {
 public:
  // `tokenizer` must outlive this.
  PlainStream(const Tokenizer& tokenizer, const DecodeOptions& options) : detokenizer_(tokenizer, options) {}

  PlainPiece push(int32_t id) {
    ++num_pushed_;
    return take(detokenizer_.push(id));
  }
  PlainPiece flush() { return take(detokenizer_.flush()); }

 private:
  PlainPiece take(std::string text) {
    if (text.empty()) return {};
    PlainPiece piece{
        .text = std::move(text), .first_token = num_taken_, .num_tokens = num_pushed_ - num_taken_};
    num_taken_ = num_pushed_;
    return piece;
  }

  StreamDetokenizer detokenizer_;
  int64_t num_pushed_ = 0;
  int64_t num_taken_ = 0;
};

}  // namespace gossamer
