#include "text/stream_detokenizer.h"

#include "base/utf8.h"

namespace gossamer {

std::string StreamDetokenizer::push(int32_t id) {
  std::string text;
  if (options_.skip_special && tokenizer_.is_special(id)) return text;
  held_.append(tokenizer_.token_bytes(id));
  utf8_move_whole(held_, text);
  return text;
}

std::string StreamDetokenizer::flush() {
  std::string text;
  utf8_append_lossy(held_, text);
  held_.clear();
  return text;
}

}  // namespace gossamer
