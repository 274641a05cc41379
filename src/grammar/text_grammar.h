// Grammars of whole outputs that are no JSON: text that a pattern matches, or one of a list of texts. Called
// by the server for completions (guided_regex, guided_choice).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "grammar/grammar.h"

namespace gossamer {

// Text that the whole of `pattern` (regex.h) matches, then <|endoftext|>. The error says what of the pattern
// is not supported, and where.
Result<Grammar> regex_grammar(std::string_view pattern);

// Exactly one of `choices`, then <|endoftext|>.
Result<Grammar> choice_grammar(std::span<const std::string> choices);

}  // namespace gossamer
