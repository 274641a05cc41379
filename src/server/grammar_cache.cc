#include "server/grammar_cache.h"

#include <iterator>
#include <utility>

namespace gossamer {

void GrammarCache::warm() { vocabulary(); }

std::shared_ptr<const GrammarVocabulary> GrammarCache::vocabulary() {
  std::call_once(vocabulary_made_,
                 [this] { vocabulary_ = std::make_shared<const GrammarVocabulary>(tokenizer_); });
  return vocabulary_;
}

Result<std::shared_ptr<const GrammarMasks>> GrammarCache::find_or_make(const std::string& definition,
                                                                       const Make& make) {
  const std::shared_ptr<Entry> entry = find_or_add(definition);
  const std::lock_guard making(entry->making);
  {
    const std::lock_guard lock(mutex_);
    if (entry->error) return *entry->error;  // made, in vain, while this one waited
    if (entry->made) {
      ++counts_.found;
      trim();  // masks grow with use
      return entry->made;
    }
  }
  Result<Grammar> grammar = make();
  if (!grammar.ok()) {
    const std::lock_guard lock(mutex_);
    ++counts_.refused;
    entry->error = grammar.error();
    drop(*entry);
    return grammar.error();
  }
  auto masks = std::make_shared<const GrammarMasks>(std::move(grammar).value(), vocabulary());
  const std::lock_guard lock(mutex_);
  ++counts_.made;
  entry->made = std::move(masks);
  trim();
  return entry->made;
}

std::shared_ptr<GrammarCache::Entry> GrammarCache::find_or_add(const std::string& definition) {
  const std::lock_guard lock(mutex_);
  if (const auto found = entries_.find(definition); found != entries_.end()) {
    recent_.splice(recent_.begin(), recent_, found->second);
    return recent_.front();
  }
  auto entry = std::make_shared<Entry>();
  entry->definition = definition;
  recent_.push_front(entry);
  entries_.emplace(entry->definition, recent_.begin());
  return entry;
}

void GrammarCache::drop(const Entry& entry) {
  const auto found = entries_.find(entry.definition);
  if (found == entries_.end() || found->second->get() != &entry) return;  // dropped before
  const Recent::iterator place = found->second;
  entries_.erase(found);  // whose key is a view of the entry
  recent_.erase(place);
}

// The last used one stays, however large it is.
void GrammarCache::trim() {
  std::size_t num_grammars = 0;
  std::size_t num_bytes = 0;
  for (auto it = recent_.begin(); it != recent_.end();) {
    const std::shared_ptr<Entry> entry = *it++;
    if (!entry->made) continue;  // being made
    const std::size_t bytes = entry->definition.size() + entry->made->num_bytes();
    if (num_grammars > 0 && (num_grammars >= limits_.max_grammars || num_bytes + bytes > limits_.max_bytes)) {
      drop(*entry);
      continue;
    }
    ++num_grammars;
    num_bytes += bytes;
  }
  counts_.num_grammars = num_grammars;
  counts_.num_bytes = num_bytes;
}

GrammarCache::Counts GrammarCache::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

}  // namespace gossamer
