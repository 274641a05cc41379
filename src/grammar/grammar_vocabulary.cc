#include "grammar/grammar_vocabulary.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace gossamer {
namespace {

TokenTrie make_trie(const TokenBytes& tokens) {
  std::vector<TokenTrie::Entry> entries;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    if (!tokens.of(id).empty()) entries.push_back({tokens.of(id), {.id = id}});
  }
  return TokenTrie(std::move(entries));
}

// Each object or array that a token opens is a call, and what it then begins may be two more: a value and its
// text.
uint32_t count_calls_in_token(const TokenBytes& tokens) {
  std::ptrdiff_t most = 0;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::string_view bytes = tokens.of(static_cast<int32_t>(i));
    most = std::max(most,
                    std::count_if(bytes.begin(), bytes.end(), [](char c) { return c == '{' || c == '['; }));
  }
  return static_cast<uint32_t>(most) + 4;
}

// Whether strings are called with a limit: keys and free text never are.
bool is_counted(NodeId node) {
  const StandardRules& rules = standard_rules();
  return node >= rules.json_text && node < rules.json_key;
}

}  // namespace

GrammarVocabulary::GrammarVocabulary(TokenBytes tokens)
    : tokens_(std::move(tokens)),
      trie_(make_trie(tokens_)),
      max_calls_in_token_(count_calls_in_token(tokens_)) {
  GrammarBuilder builder;
  const NodeId root = builder.add_accepting_node();
  const Grammar grammar = std::move(builder).finish(root, /*max_depth=*/1);
  for (NodeId node = 0; node < standard_rules().num_nodes; ++node)
    standard_.push_back(LocalMask::of_regular(grammar, node, is_counted(node), trie_, tokens_));
}

std::size_t GrammarVocabulary::num_bytes() const {
  std::size_t sum = tokens_.num_bytes() + trie_.num_bytes();
  for (const LocalMask& mask : standard_) sum += mask.num_bytes();
  return sum;
}

}  // namespace gossamer
