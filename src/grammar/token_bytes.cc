#include "grammar/token_bytes.h"

#include <algorithm>

#include "grammar/token_trie.h"

namespace gossamer {

TokenBytes::TokenBytes(const Tokenizer& tokenizer) {
  std::vector<std::pair<int32_t, char>> marks;
  for (const auto& [mark, text] : kMarkTokens) {
    if (const std::optional<int32_t> id = tokenizer.special_id(text))
      marks.emplace_back(*id, static_cast<char>(mark));
  }
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    const auto mark = std::find_if(marks.begin(), marks.end(), [&](const auto& m) { return m.first == id; });
    const std::string_view bytes = tokenizer.token_bytes(id);
    const bool has_mark_bytes =
        std::any_of(bytes.begin(), bytes.end(), [](char c) { return static_cast<uint8_t>(c) >= kFirstMark; });
    if (mark != marks.end()) {
      append({&mark->second, 1});
    } else if (tokenizer.is_special(id) || has_mark_bytes) {
      append({});
    } else {
      append(bytes);
    }
  }
}

TokenBytes::TokenBytes(std::span<const std::string> tokens) {
  for (const std::string& token : tokens) append(token);
}

void TokenBytes::append(std::string_view bytes) {
  if (bytes.size() <= TokenTrie::kMaxBytes) bytes_ += bytes;
  begins_.push_back(static_cast<uint32_t>(bytes_.size()));
}

int32_t TokenBytes::id_of(Mark mark) const {
  const char byte = static_cast<char>(mark);
  for (std::size_t id = 0; id < size(); ++id) {
    if (of(static_cast<int32_t>(id)) == std::string_view(&byte, 1)) return static_cast<int32_t>(id);
  }
  return -1;
}

}  // namespace gossamer
