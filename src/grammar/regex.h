// The regular expressions of JSON Schema's `pattern` (ECMA-262, without what is not regular), compiled to the
// spelling of a JSON string. Called by json_schema.cc; the formats are written as patterns too (formats.h).
//
// Supported: literals, . [...] [^...], \d \D \w \W \s \S, \t \n \r \f \v \0 \xHH \uHHHH \u{...}, escaped
// punctuation, ( ) (?: ) (?<name> ), |, * + ? {n} {n,} {n,m} and their lazy forms (the same language), ^ and
// $ at the ends of a top-level alternative. As in JSON Schema a pattern without anchors may match anywhere in
// the text. Refused: look-around, back-references, \b, \p{...}, anchors inside.
//
// Where ECMA-262 and the validators that go by Unicode disagree, only text on which they agree is generated:
// \d gives ASCII digits, and \D neither those nor other decimal digits.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/code_points.h"

namespace gossamer {

class Regex {
 public:
  enum class Match : uint8_t {
    kAnywhere,  // without an anchor anything may stand before and behind what matches
    kWhole,     // anchors at the ends say what holds anyway
  };

  // Throws GrammarError saying what is not supported, and where in the pattern.
  explicit Regex(std::string_view pattern, Match match = Match::kAnywhere);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;

  // The text of a JSON string that matches, then the closing quote. Throws GrammarError if it grows too
  // large.
  Dfa json_text(WorkBudget& budget) const;

  // Exactly the matching text, as plain UTF-8. For grammars of numbers and of whole outputs.
  Dfa plain_text(WorkBudget& budget) const;

  // If the whole text is one class repeated, ^[a-z]{1,64}$: repetitions are then counted while matching and
  // need no states.
  struct RepeatedClass {
    CodePoints set;
    uint32_t min = 0;
    uint32_t max = 0;
  };
  std::optional<RepeatedClass> repeated_class() const;

  struct Node;  // of the syntax tree

 private:
  std::unique_ptr<Node> root_;
};

}  // namespace gossamer
