// What the tests of grammar/ share: schemas as text, vocabularies, sampling from masks.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "grammar/grammar.h"
#include "grammar/grammar_vocabulary.h"
#include "grammar/json_schema.h"
#include "grammar/matcher.h"
#include "tests/text/text_fixtures.h"

namespace gossamer {

// The mark as it stands in what a grammar reads.
inline std::string mark(Mark mark) { return {static_cast<char>(mark)}; }

json::value parse_schema(std::string_view text);

// Whether the grammar of a schema allows exactly this document.
bool allows(std::string_view schema, std::string_view document, const JsonOptions& options = {});

// Why a schema is refused; empty if it is not.
std::string refusal(std::string_view schema);

// All bytes, the marks and some tokens of several bytes: across the borders of strings and characters, with
// escapes.
std::shared_ptr<const GrammarVocabulary> small_vocabulary();
// The vocabulary of GPT-OSS, loaded once. Only where the shared data are.
std::shared_ptr<const GrammarVocabulary> real_vocabulary();

std::shared_ptr<const GrammarMasks> masks_of(std::string_view schema,
                                             std::shared_ptr<const GrammarVocabulary> vocabulary);

std::vector<int32_t> ids_in(std::span<const uint64_t> mask);

struct Walk {
  std::vector<int32_t> tokens;
  std::string bytes;  // with marks
  bool finished = false;
  std::string error;
  double seconds = 0;  // in fill_mask alone
};

// Samples evenly from what the masks allow. After `patience` tokens whatever ends something is preferred, so
// that the walk ends.
Walk walk(const std::shared_ptr<const GrammarMasks>& masks, TestRandom& random, std::size_t patience);

}  // namespace gossamer
