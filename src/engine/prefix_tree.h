// PrefixTree: which token prefixes have pages, in integers only. A node is a prefix that ends at a page
// boundary; its children differ in the tokens of the next page. Tokens are compared themselves: no two
// prefixes share a node because of equal hashes. Used by KvPages.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "backend/forward_batch.h"

namespace gossamer {

using PageOfTokens = std::array<int32_t, kPageTokens>;

struct PrefixNode {
  PrefixNode* parent = nullptr;  // null: the empty prefix
  PageOfTokens tokens{};         // of the page that ends here
  std::string salt;              // of the empty prefix
  std::vector<int32_t> pages;    // [kind] the page that holds these tokens' keys and values; -1: none
  int64_t num_uses = 0;          // children, pages and holders; a node without is gone
};

class PrefixTree {
 public:
  explicit PrefixTree(std::size_t num_kinds) : num_kinds_(num_kinds) {}

  // The empty prefix of requests with this salt, held.
  PrefixNode* hold_root(const std::string& salt);
  // Null where there is none.
  PrefixNode* find_root(const std::string& salt) const;
  PrefixNode* find_child(const PrefixNode* parent, std::span<const int32_t> page_tokens) const;
  // The child, made where there is none, held.
  PrefixNode* hold_child(PrefixNode* parent, std::span<const int32_t> page_tokens);

  void hold(PrefixNode* node) { ++node->num_uses; }
  // Ends a use; removes the node, and the parents that only it used.
  void drop(PrefixNode* node);

 private:
  struct Key {
    const PrefixNode* parent;
    PageOfTokens tokens;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const;
  };
  static Key key_of(const PrefixNode* parent, std::span<const int32_t> page_tokens);

  std::size_t num_kinds_;
  std::map<std::string, std::unique_ptr<PrefixNode>> roots_;
  std::unordered_map<Key, std::unique_ptr<PrefixNode>, Hash> children_;
};

}  // namespace gossamer
