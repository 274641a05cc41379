// GrammarVocabulary: a vocabulary prepared for token masks: its bytes, its trie and the masks of the standard
// rules. Made once for a model (o200k: 0.1 s, 14 MB), shared by all requests, immutable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "grammar/local_mask.h"
#include "grammar/token_bytes.h"
#include "grammar/token_trie.h"

namespace gossamer {

class GrammarVocabulary {
 public:
  explicit GrammarVocabulary(TokenBytes tokens);
  explicit GrammarVocabulary(const Tokenizer& tokenizer) : GrammarVocabulary(TokenBytes(tokenizer)) {}
  GrammarVocabulary(const GrammarVocabulary&) = delete;  // the trie's entries are views while it is built
  GrammarVocabulary& operator=(const GrammarVocabulary&) = delete;

  const TokenBytes& tokens() const { return tokens_; }
  const TokenTrie& trie() const { return trie_; }
  // Of a node of the standard rules (below StandardRules::num_nodes).
  const LocalMask& standard_mask(NodeId node) const { return standard_[node]; }

  // More calls than this are never opened by the bytes of one token.
  uint32_t max_calls_in_token() const { return max_calls_in_token_; }

  // Words of a mask for all ids.
  std::size_t mask_words() const { return (tokens_.size() + 63) / 64; }
  std::size_t num_bytes() const;

 private:
  TokenBytes tokens_;
  TokenTrie trie_;
  std::vector<LocalMask> standard_;  // by node
  uint32_t max_calls_in_token_ = 0;
};

}  // namespace gossamer
