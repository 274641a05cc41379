// LocalMask: which tokens may follow at a place of a grammar, as far as that can be said without knowing what
// is open around it. Most tokens stay inside (a word inside a string) and are settled once and for all; the
// few that leave (`"},` closes the string and goes on) are kept by what they say behind the exit, for whoever
// knows the stack to judge (matcher.cc). Computed by walking the vocabulary's trie together with the grammar.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "grammar/machine.h"
#include "grammar/token_bytes.h"
#include "grammar/token_trie.h"

namespace gossamer {

class LocalMask {
 public:
  // `grammar.node(node)` is regular. If `counted`, apply() may be asked for fewer characters than a token
  // has.
  static LocalMask of_regular(const Grammar& grammar, NodeId node, bool counted, const TokenTrie& trie,
                              const TokenBytes& tokens);

  // At any of `nodes`, with `depth` calls open around them.
  static LocalMask of_nested(Machine& machine, std::span<const NodeId> nodes, uint32_t depth,
                             const TokenTrie& trie, const TokenBytes& tokens);

  // Sets the bits of the tokens that stay inside or end with it, as far as the number of characters they
  // begin allows.
  void apply(std::span<uint64_t> mask, const TextLimits& limits) const;

  // What the tokens that leave say behind the exit, with the characters they begin before it. A token is here
  // once for each place where it may leave.
  const TokenTrie& leavers() const { return leavers_; }

  std::size_t num_bytes() const;

 private:
  // Up to this many characters there is a bitmap for each number; tokens that begin more are rare.
  static constexpr uint32_t kMaxLayer = 16;

  // What a walk over the trie collects.
  struct Collected {
    std::vector<CountedToken> inside;
    std::vector<CountedToken> ending;
    std::vector<TokenTrie::Entry> leaving;
  };
  LocalMask(Collected collected, bool counted, std::size_t num_words);

  using Bits = std::vector<uint64_t>;
  Bits all_;                          // empty if `tokens_` has all
  std::vector<Bits> layers_;          // [k]: those that begin at most k characters; only if counted
  std::vector<CountedToken> tokens_;  // by characters: all, or those beyond the layers
  std::vector<CountedToken> ending_;  // those whose last byte ends it: a closing quote
  TokenTrie leavers_;
};

}  // namespace gossamer
