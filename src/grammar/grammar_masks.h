// GrammarMasks: a grammar for one vocabulary, with the local masks found so far. Shared by all sequences that
// are held to the same schema (the server keeps it by the schema's text); safe to use from several threads.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "grammar/grammar.h"
#include "grammar/grammar_vocabulary.h"
#include "grammar/local_mask.h"
#include "grammar/machine.h"

namespace gossamer {

class GrammarMasks {
 public:
  GrammarMasks(Grammar grammar, std::shared_ptr<const GrammarVocabulary> vocabulary)
      : grammar_(std::move(grammar)), vocabulary_(std::move(vocabulary)) {}

  const Grammar& grammar() const { return grammar_; }
  const GrammarVocabulary& vocabulary() const { return *vocabulary_; }

  // The mask at a regular node; at one of several other nodes (ascending) with `depth` calls open around
  // them.
  std::shared_ptr<const LocalMask> regular(NodeId node, bool counted) const;
  std::shared_ptr<const LocalMask> nested(Machine& machine, const std::vector<NodeId>& nodes,
                                          uint32_t depth) const;

  // Of the grammar and the masks found so far.
  std::size_t num_bytes() const;

 private:
  // Masks of 200,000 tokens take up to 450 KB each. A grammar with more of them begins anew.
  static constexpr std::size_t kMaxBytes = std::size_t{64} << 20;

  using Key = std::vector<uint32_t>;
  template <typename Make>
  std::shared_ptr<const LocalMask> find_or_make(const Key& key, const Make& make) const;

  Grammar grammar_;
  std::shared_ptr<const GrammarVocabulary> vocabulary_;
  mutable std::mutex mutex_;
  mutable std::map<Key, std::shared_ptr<const LocalMask>> masks_;
  mutable std::size_t num_bytes_ = 0;
};

}  // namespace gossamer
