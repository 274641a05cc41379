#include "text/stream_detokenizer.h"

#include "base/utf8.h"

namespace gossamer {

std::string StreamDetokenizer::push(int32_t id) {
  std::string text;
  if (options_.skip_special && tokenizer_.is_special(id)) return text;
  held_.append(tokenizer_.token_bytes(id));
  // Where the last up to 3 bytes begin a character that they do not finish, they stay.
  std::string_view bytes = held_;
  std::string_view rest;
  for (std::size_t n = 1; n <= 3 && n <= bytes.size(); ++n) {
    const std::string_view tail = bytes.substr(bytes.size() - n);
    if ((static_cast<unsigned char>(tail[0]) & 0xC0) == 0x80)
      continue;  // inside a character: look further back
    const Utf8Step step = utf8_step(tail);
    if (step.status == Utf8Status::kIncomplete && step.length == tail.size()) rest = tail;
    break;
  }
  bytes.remove_suffix(rest.size());
  utf8_append_lossy(bytes, text);
  held_.erase(0, bytes.size());
  return text;
}

std::string StreamDetokenizer::flush() {
  std::string text;
  utf8_append_lossy(held_, text);
  held_.clear();
  return text;
}

}  // namespace gossamer
