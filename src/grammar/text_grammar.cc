#include "grammar/text_grammar.h"

#include <utility>

#include "grammar/grammar_error.h"
#include "grammar/json_text.h"
#include "grammar/regex.h"

namespace gossamer {
namespace {

RequestError invalid(std::string message) { return {RequestErrorKind::kInvalid, std::move(message)}; }

// What `text` accepts, then the end of the document.
Grammar document_of(const Dfa& text) {
  GrammarBuilder builder;
  const NodeId root = builder.add_node();
  const NodeId after = builder.add_node();
  builder.add_call(root, builder.add_dfa(text), after);
  builder.set_accepting(builder.add_mark(after, Mark::kEndOfText));
  return std::move(builder).finish(root, 1);
}

}  // namespace

Result<Grammar> regex_grammar(std::string_view pattern) {
  try {
    WorkBudget budget;
    const Dfa text = Regex(pattern, Regex::Match::kWhole).plain_text(budget);
    if (text.empty()) return invalid("no text matches the pattern");
    return document_of(text);
  } catch (const GrammarError& error) {
    return invalid(error.what());
  }
}

Result<Grammar> choice_grammar(std::span<const std::string> choices) {
  if (choices.empty()) return invalid("there is nothing to choose from");
  std::size_t num_bytes = 0;
  for (const std::string& choice : choices) num_bytes += choice.size();
  if (num_bytes > kMaxDfaStates)
    return invalid(fmt::format("the choices have {} bytes together: at most {}", num_bytes, kMaxDfaStates));
  try {
    return document_of(one_of(choices));
  } catch (const GrammarError& error) {
    return invalid(error.what());
  }
}

}  // namespace gossamer
