#include "engine/prefix_tree.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/checksum.h"

namespace gossamer {

std::size_t PrefixTree::Hash::operator()(const Key& key) const {
  const uint64_t tokens = checksum(std::as_bytes(std::span(key.tokens)));
  // Nodes lie at different addresses; the multiplier (2^64 / golden ratio) spreads their few changing bits.
  return tokens ^ (reinterpret_cast<uintptr_t>(key.parent) * UINT64_C(0x9E3779B97F4A7C15));
}

PrefixTree::Key PrefixTree::key_of(const PrefixNode* parent, std::span<const int32_t> page_tokens) {
  GOSSAMER_CHECK_EQ(page_tokens.size(), std::size_t{kPageTokens});
  Key key{.parent = parent, .tokens = {}};
  std::copy(page_tokens.begin(), page_tokens.end(), key.tokens.begin());
  return key;
}

PrefixNode* PrefixTree::find_root(const std::string& salt) const {
  const auto found = roots_.find(salt);
  return found == roots_.end() ? nullptr : found->second.get();
}

PrefixNode* PrefixTree::hold_root(const std::string& salt) {
  std::unique_ptr<PrefixNode>& root = roots_[salt];
  if (root == nullptr) {
    root = std::make_unique<PrefixNode>();
    root->salt = salt;
    root->pages.assign(num_kinds_, -1);
  }
  hold(root.get());
  return root.get();
}

PrefixNode* PrefixTree::find_child(const PrefixNode* parent, std::span<const int32_t> page_tokens) const {
  const auto found = children_.find(key_of(parent, page_tokens));
  return found == children_.end() ? nullptr : found->second.get();
}

PrefixNode* PrefixTree::hold_child(PrefixNode* parent, std::span<const int32_t> page_tokens) {
  const Key key = key_of(parent, page_tokens);
  std::unique_ptr<PrefixNode>& node = children_[key];
  if (node == nullptr) {
    node = std::make_unique<PrefixNode>();
    node->parent = parent;
    node->tokens = key.tokens;
    node->pages.assign(num_kinds_, -1);
    hold(parent);
  }
  hold(node.get());
  return node.get();
}

void PrefixTree::drop(PrefixNode* node) {
  while (node != nullptr) {
    GOSSAMER_CHECK_GT(node->num_uses, 0);
    if (--node->num_uses > 0) return;
    PrefixNode* parent = node->parent;
    if (parent == nullptr) {
      roots_.erase(std::string(node->salt));
    } else {
      children_.erase(key_of(parent, node->tokens));
    }
    node = parent;
  }
}

}  // namespace gossamer
