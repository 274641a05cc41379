#include "grammar/token_trie.h"

#include <algorithm>

#include "base/check.h"

namespace gossamer {

TokenTrie::TokenTrie(std::vector<Entry> entries) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.bytes != b.bytes ? a.bytes < b.bytes : a.token.id < b.token.id;
  });
  nodes_.emplace_back();
  std::vector<uint32_t> path = {0};  // the nodes of the entry before, the root first
  std::string_view before;
  const auto leave = [&](std::size_t depth) {  // ends the nodes of the path that are deeper
    while (path.size() > depth + 1) {
      nodes_[path.back()].end = static_cast<uint32_t>(nodes_.size());
      path.pop_back();
    }
  };
  for (const Entry& entry : entries) {
    GOSSAMER_CHECK(!entry.bytes.empty() && entry.bytes.size() <= kMaxBytes);
    const auto differs = std::mismatch(before.begin(), before.end(), entry.bytes.begin(), entry.bytes.end());
    leave(static_cast<std::size_t>(differs.first - before.begin()));
    for (std::size_t depth = path.size() - 1; depth < entry.bytes.size(); ++depth) {
      path.push_back(static_cast<uint32_t>(nodes_.size()));
      nodes_.push_back({.first_token = static_cast<uint32_t>(tokens_.size()),
                        .byte = static_cast<uint8_t>(entry.bytes[depth]),
                        .depth = static_cast<uint8_t>(depth + 1)});
    }
    tokens_.push_back(entry.token);
    before = entry.bytes;
  }
  leave(0);
  nodes_[0].end = static_cast<uint32_t>(nodes_.size());
  nodes_.push_back({.end = 0, .first_token = static_cast<uint32_t>(tokens_.size())});
  nodes_.shrink_to_fit();
  tokens_.shrink_to_fit();
}

}  // namespace gossamer
