// How the strings of JSON are spelled, as automata: the text between the quotes, the closing quote included.
// Used by whatever constrains strings: patterns (regex.h), lists of values and keys (json_schema.cc).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/code_points.h"

namespace gossamer {

// Adds one character of `set` in its canonical spelling: itself in UTF-8, or the only escape that JSON
// requires for it (\" \\ \n ... \u001f). Where a string is constrained one spelling is enough, and it lets an
// automaton say "anything but these words" without their escaped forms.
void add_json_char(Nfa& nfa, uint32_t from, const CodePoints& set, uint32_t to);

// The same without escapes: plain UTF-8. For text that is no JSON.
void add_utf8_char(Nfa& nfa, uint32_t from, const CodePoints& set, uint32_t to);

// `text` between quotes, in the canonical spelling.
std::string json_quoted(std::string_view text);

// Any text in any spelling that JSON allows (\/, \u00e9, surrogates in pairs), then the closing quote.
Dfa any_json_text();

// Any text of characters of `set`, then the closing quote.
Dfa json_text_of(const CodePoints& set, WorkBudget& budget);

// Any text in canonical spelling but `excluded`, then the closing quote: the keys that are not declared.
Dfa json_text_except(std::span<const std::string> excluded, WorkBudget& budget);

// Any UTF-8, then the byte `end`: what a model says outside of JSON, up to a mark (token_marks.h).
Dfa free_text_until(uint8_t end);

// Exactly one of `texts`.
Dfa one_of(std::span<const std::string> texts);

}  // namespace gossamer
