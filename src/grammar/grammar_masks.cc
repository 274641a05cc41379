#include "grammar/grammar_masks.h"

#include <utility>

namespace gossamer {

template <typename Make>
std::shared_ptr<const LocalMask> GrammarMasks::find_or_make(const Key& key, const Make& make) const {
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = masks_.find(key); it != masks_.end()) return it->second;
  }
  // Outside of the lock: other sequences go on, at worst two of them make the same.
  auto made = std::make_shared<const LocalMask>(make());
  const std::lock_guard lock(mutex_);
  const auto [it, added] = masks_.try_emplace(key, made);
  if (!added) return it->second;
  num_bytes_ += made->num_bytes();
  if (num_bytes_ > kMaxBytes) {
    masks_.clear();
    num_bytes_ = 0;
  }
  return made;
}

std::shared_ptr<const LocalMask> GrammarMasks::regular(NodeId node, bool counted) const {
  if (node < standard_rules().num_nodes) {  // lives as long as the vocabulary
    return {vocabulary_, &vocabulary_->standard_mask(node)};
  }
  return find_or_make({counted ? 1U : 0U, node}, [&] {
    return LocalMask::of_regular(grammar_, node, counted, vocabulary_->trie(), vocabulary_->tokens());
  });
}

std::shared_ptr<const LocalMask> GrammarMasks::nested(Machine& machine, const std::vector<NodeId>& nodes,
                                                      uint32_t depth) const {
  // Only where the allowed depth could end within a token does it matter how deep this is.
  const uint32_t reach = vocabulary_->max_calls_in_token() + grammar_.max_height();
  if (depth + reach <= grammar_.max_depth()) depth = 0;
  Key key = {2 + depth};
  key.insert(key.end(), nodes.begin(), nodes.end());
  return find_or_make(key, [&] {
    return LocalMask::of_nested(machine, nodes, depth, vocabulary_->trie(), vocabulary_->tokens());
  });
}

std::size_t GrammarMasks::num_bytes() const {
  const std::lock_guard lock(mutex_);
  return grammar_.num_bytes() + num_bytes_;
}

}  // namespace gossamer
