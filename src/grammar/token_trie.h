// TokenTrie: tokens by their bytes, laid out for walking along with an automaton: nodes in preorder in one
// array, each knowing where its subtree ends, so that a refused byte skips all tokens that begin so. Built
// once for a vocabulary (o200k: 421,661 nodes, 6.7 MB) and, much smaller, for ends of tokens (local_mask.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace gossamer {

// A token and the number of characters of a string that its bytes begin (TextLimits).
struct CountedToken {
  int32_t id = 0;
  uint8_t chars = 0;
};

class TokenTrie {
 public:
  static constexpr std::size_t kMaxBytes = 255;  // of one entry

  struct Entry {
    std::string_view bytes;  // not empty, at most kMaxBytes
    CountedToken token;
  };
  struct Node {
    uint32_t end = 0;          // one behind the last node of the subtree
    uint32_t first_token = 0;  // of the subtree, in the order of nodes
    uint8_t byte = 0;
    uint8_t depth = 0;  // bytes from the root, which has none
  };

  TokenTrie() = default;
  // Several tokens may have the same bytes.
  explicit TokenTrie(std::vector<Entry> entries);

  bool empty() const { return tokens_.empty(); }
  uint32_t num_nodes() const { return nodes_.empty() ? 0 : static_cast<uint32_t>(nodes_.size()) - 1; }
  const Node& node(uint32_t i) const { return nodes_[i]; }
  bool is_leaf(uint32_t i) const { return nodes_[i].end == i + 1; }
  // The tokens that end at node `i`, and those that go on behind it.
  std::span<const CountedToken> tokens_at(uint32_t i) const {
    return range(nodes_[i].first_token, nodes_[i + 1].first_token);
  }
  std::span<const CountedToken> tokens_below(uint32_t i) const {
    return range(nodes_[i + 1].first_token, nodes_[nodes_[i].end].first_token);
  }

  // Calls `enter(i)` for the nodes in preorder, the root excepted; where it returns false, nothing below.
  template <typename Enter>
  void walk(const Enter& enter) const {
    for (uint32_t i = 1; i < num_nodes();) i = enter(i) ? i + 1 : nodes_[i].end;
  }

  std::size_t num_bytes() const {
    return nodes_.capacity() * sizeof(Node) + tokens_.capacity() * sizeof(CountedToken);
  }

 private:
  std::span<const CountedToken> range(uint32_t begin, uint32_t end) const {
    return std::span(tokens_).subspan(begin, end - begin);
  }

  std::vector<Node> nodes_;  // the root first, and one more at the end that ends the last tokens
  std::vector<CountedToken> tokens_;
};

}  // namespace gossamer
