// TokenBytes: what each token of a vocabulary means to a grammar: the bytes of its text or one mark
// (token_marks.h). Tokens that no grammar can use (other special tokens, empty ones, bytes that no UTF-8 has)
// have none.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/token_marks.h"
#include "text/tokenizer.h"

namespace gossamer {

class TokenBytes {
 public:
  explicit TokenBytes(const Tokenizer& tokenizer);
  // Any vocabulary: ids from 0 and their bytes. For tests.
  explicit TokenBytes(std::span<const std::string> tokens);

  // Empty for ids that have none, whatever the id.
  std::string_view of(int32_t id) const {
    if (id < 0 || static_cast<std::size_t>(id) >= size()) return {};
    const auto i = static_cast<std::size_t>(id);
    return std::string_view(bytes_).substr(begins_[i], begins_[i + 1] - begins_[i]);
  }
  // One more than the highest id.
  std::size_t size() const { return begins_.size() - 1; }
  // The token of a mark, or -1.
  int32_t id_of(Mark mark) const;

  std::size_t num_bytes() const { return bytes_.capacity() + begins_.capacity() * sizeof(uint32_t); }

 private:
  void append(std::string_view bytes);

  std::string bytes_;
  std::vector<uint32_t> begins_ = {0};  // [size() + 1]
};

}  // namespace gossamer
