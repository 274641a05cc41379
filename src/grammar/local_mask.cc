#include "grammar/local_mask.h"

#include <algorithm>
#include <array>
#include <limits>
#include <unordered_map>

namespace gossamer {
namespace {

// Below this many tokens a list is smaller and faster than a bitmap (25 KB with 200,000 tokens).
constexpr std::size_t kMaxListed = 4096;

void set_bit(std::span<uint64_t> mask, int32_t id) {
  const auto i = static_cast<std::size_t>(id);
  if (i / 64 < mask.size()) mask[i / 64] |= uint64_t{1} << (i % 64);
}

void set_bits(std::span<uint64_t> mask, const std::vector<uint64_t>& bits) {
  const std::size_t n = std::min(mask.size(), bits.size());
  for (std::size_t i = 0; i < n; ++i) mask[i] |= bits[i];
}

// The part of a grammar behind a regular node as a table of bytes, made as it is needed: the walk over all
// tokens takes a look-up for each node of the trie.
class RegularTable {
 public:
  static constexpr uint32_t kDead = std::numeric_limits<uint32_t>::max();
  struct Step {
    uint32_t state = kDead;
    bool starts_char = false;
  };

  RegularTable(const Grammar& grammar, NodeId start) : grammar_(grammar) { state_of(start); }

  Step step(uint32_t state, uint8_t byte) {
    if (rows_[state].empty()) fill_row(state);
    return rows_[state][byte];
  }
  const Grammar::Node& node(uint32_t state) const { return grammar_.node(nodes_[state]); }

 private:
  uint32_t state_of(NodeId node) {
    const auto [it, added] = states_.try_emplace(node, static_cast<uint32_t>(nodes_.size()));
    if (added) {
      nodes_.push_back(node);
      rows_.emplace_back();
    }
    return it->second;
  }
  void fill_row(uint32_t state) {
    std::vector<Step> row(256);
    for (const ByteEdge& edge : grammar_.node(nodes_[state]).edges) {
      const Step step{state_of(edge.target), edge.starts_char};
      std::fill(row.begin() + edge.low, row.begin() + edge.high + 1, step);
    }
    rows_[state] = std::move(row);
  }

  const Grammar& grammar_;
  std::unordered_map<NodeId, uint32_t> states_;
  std::vector<NodeId> nodes_;
  std::vector<std::vector<Step>> rows_;
};

// The tokens that go on behind node `i` of the trie, where what they began may end.
void add_leaving(const TokenTrie& trie, uint32_t i, uint8_t chars, const TokenBytes& tokens,
                 std::vector<TokenTrie::Entry>& leaving) {
  for (const CountedToken& token : trie.tokens_below(i))
    leaving.push_back({tokens.of(token.id).substr(trie.node(i).depth), {token.id, chars}});
}

std::size_t num_words(const TokenBytes& tokens) { return (tokens.size() + 63) / 64; }

}  // namespace

LocalMask::LocalMask(Collected collected, bool counted, std::size_t num_words)
    : ending_(std::move(collected.ending)), leavers_(std::move(collected.leaving)) {
  const auto by_chars = [](const CountedToken& a, const CountedToken& b) {
    return a.chars != b.chars ? a.chars < b.chars : a.id < b.id;
  };
  const std::vector<CountedToken>& inside = collected.inside;
  if (inside.size() <= kMaxListed) {
    tokens_ = inside;
    std::sort(tokens_.begin(), tokens_.end(), by_chars);
    return;
  }
  all_.resize(num_words);
  for (const CountedToken& token : inside) set_bit(all_, token.id);
  if (!counted) return;
  layers_.assign(kMaxLayer + 1, Bits(num_words));
  for (const CountedToken& token : inside) {
    if (token.chars <= kMaxLayer) {
      set_bit(layers_[token.chars], token.id);
    } else {
      tokens_.push_back(token);
    }
  }
  for (std::size_t layer = 1; layer < layers_.size(); ++layer) set_bits(layers_[layer], layers_[layer - 1]);
  std::sort(tokens_.begin(), tokens_.end(), by_chars);
}

void LocalMask::apply(std::span<uint64_t> mask, const TextLimits& limits) const {
  for (const CountedToken& token : ending_) {
    if (token.chars >= limits.needed && token.chars <= limits.left) set_bit(mask, token.id);
  }
  const bool limited = limits.left <= TokenTrie::kMaxBytes;
  if (!limited && !all_.empty()) return set_bits(mask, all_);
  if (!layers_.empty()) set_bits(mask, layers_[std::min(limits.left, kMaxLayer)]);
  for (const CountedToken& token : tokens_) {
    if (token.chars > limits.left) break;
    set_bit(mask, token.id);
  }
}

LocalMask LocalMask::of_regular(const Grammar& grammar, NodeId node, bool counted, const TokenTrie& trie,
                                const TokenBytes& tokens) {
  RegularTable table(grammar, node);
  Collected collected;
  std::array<uint32_t, TokenTrie::kMaxBytes + 1> states{};  // by depth
  std::array<uint8_t, TokenTrie::kMaxBytes + 1> chars{};
  trie.walk([&](uint32_t i) {
    const TokenTrie::Node& at = trie.node(i);
    const RegularTable::Step step = table.step(states[at.depth - 1U], at.byte);
    if (step.state == RegularTable::kDead) return false;
    states[at.depth] = step.state;
    chars[at.depth] = static_cast<uint8_t>(chars[at.depth - 1U] + (step.starts_char ? 1 : 0));
    const Grammar::Node& reached = table.node(step.state);
    auto& found = reached.edges.empty() ? collected.ending : collected.inside;
    for (const CountedToken& token : trie.tokens_at(i)) found.push_back({token.id, chars[at.depth]});
    if (reached.accepts) add_leaving(trie, i, chars[at.depth], tokens, collected.leaving);
    return true;
  });
  return {std::move(collected), counted, num_words(tokens)};
}

LocalMask LocalMask::of_nested(Machine& machine, std::span<const NodeId> nodes, uint32_t depth,
                               const TokenTrie& trie, const TokenBytes& tokens) {
  std::vector<Frontier> frontiers(TokenTrie::kMaxBytes + 1);  // by depth in the trie
  for (const NodeId node : nodes) machine.add({.node = node, .stack = machine.bottom(depth)}, frontiers[0]);
  Machine::settle(frontiers[0]);
  Collected collected;
  trie.walk([&](uint32_t i) {
    const TokenTrie::Node& at = trie.node(i);
    Frontier& here = frontiers[at.depth];
    machine.step(frontiers[at.depth - 1U], at.byte, here);
    if (here.dead()) return false;
    for (const CountedToken& token : trie.tokens_at(i)) collected.inside.push_back({token.id, 0});
    if (here.may_exit) add_leaving(trie, i, 0, tokens, collected.leaving);
    return !here.configs.empty();
  });
  return {std::move(collected), /*counted=*/false, num_words(tokens)};
}

std::size_t LocalMask::num_bytes() const {
  return (all_.capacity() + layers_.size() * all_.size()) * sizeof(uint64_t) +
         (tokens_.capacity() + ending_.capacity()) * sizeof(CountedToken) + leavers_.num_bytes();
}

}  // namespace gossamer
