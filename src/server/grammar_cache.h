// GrammarCache: what constrained decoding keeps for one served model: the vocabulary as grammars need it, and
// the grammars of earlier requests with their masks, by the text that defines each. Conversations come back
// with the same tools and schemas, so nearly every request finds its grammar here. Made by apps/, one for a
// ServedModel; safe to use from several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/error.h"
#include "grammar/grammar_masks.h"
#include "grammar/grammar_vocabulary.h"
#include "text/tokenizer.h"

namespace gossamer {

class GrammarCache {
 public:
  // What is kept; whoever was not asked for longest goes first. Sequences hold on to theirs.
  struct Limits {
    std::size_t max_grammars = 256;
    std::size_t max_bytes = std::size_t{512} << 20;
  };
  struct Counts {
    int64_t found = 0;  // requests whose grammar was there
    int64_t made = 0;
    int64_t refused = 0;
    std::size_t num_grammars = 0;
    std::size_t num_bytes = 0;  // without the vocabulary
  };

  // `tokenizer` outlives this.
  explicit GrammarCache(const Tokenizer& tokenizer) : GrammarCache(tokenizer, Limits{}) {}
  GrammarCache(const Tokenizer& tokenizer, const Limits& limits) : tokenizer_(tokenizer), limits_(limits) {}

  // Makes the vocabulary, which takes 0.1 s for 200,000 tokens: at start-up, or the first request waits.
  void warm();

  using Make = std::function<Result<Grammar>()>;
  // The grammar that `definition` defines, all of it, kept or made. Requests that want the same one wait for
  // each other instead of making it twice.
  Result<std::shared_ptr<const GrammarMasks>> find_or_make(const std::string& definition, const Make& make);

  Counts counts() const;

 private:
  struct Entry {
    std::string definition;
    std::mutex making;                         // held by who makes the grammar
    std::shared_ptr<const GrammarMasks> made;  // these two are guarded by GrammarCache::mutex_
    std::optional<RequestError> error;
  };
  using Recent = std::list<std::shared_ptr<Entry>>;

  std::shared_ptr<const GrammarVocabulary> vocabulary();
  std::shared_ptr<Entry> find_or_add(const std::string& definition);
  void drop(const Entry& entry);  // drop and trim: with mutex_ held
  void trim();

  const Tokenizer& tokenizer_;
  Limits limits_;
  std::once_flag vocabulary_made_;
  std::shared_ptr<const GrammarVocabulary> vocabulary_;

  mutable std::mutex mutex_;  // guards what follows
  Recent recent_;             // last used first
  std::unordered_map<std::string_view, Recent::iterator> entries_;
  Counts counts_;
};

}  // namespace gossamer
