#include "tests/grammar/grammar_testing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <chrono>

namespace gossamer {

json::value parse_schema(std::string_view text) { return parse_json(text, "schema"); }

bool allows(std::string_view schema, std::string_view document, const JsonOptions& options) {
  const Result<Grammar> grammar = json_schema_grammar(parse_schema(schema), options);
  if (!grammar.ok()) {
    ADD_FAILURE() << schema << ": " << grammar.error().message;
    return false;
  }
  return matches(grammar.value(), std::string(document) + mark(Mark::kEndOfText));
}

std::string refusal(std::string_view schema) {
  const Result<Grammar> grammar = json_schema_grammar(parse_schema(schema));
  return grammar.ok() ? "" : grammar.error().message;
}

std::shared_ptr<const GrammarVocabulary> small_vocabulary() {
  static const auto made = [] {
    std::vector<std::string> tokens;
    for (int byte = 0; byte < 256; ++byte) tokens.emplace_back(1, static_cast<char>(byte));
    for (const char* token :
         {"{\"",      "\":",  "\": ",     "\": \"",   "\",",          "\", \"", "\"}",      "\"]",    "},",
          "}}",       "]}",   "[[",       "[{",       "{}",           "[]",     " \"",      ", ",     ": ",
          "tr",       "true", "false",    "null",     "12",           "0.",     "-1",       "e+",     "\\u",
          "\\\"",     "\\n",  "ab",       "abc",      "xyz",          "name",   "\"name\"", "\"a\":", "kind",
          "\xC3\xA9", "\xC3", "\xF0\x9F", "\x98\x80", "\xE2\x82\xAC", "\xA9\"", "a\":",     "a\",\"", "d83d",
          "\\ude00",  "   ",  "\n",       "2024-",    "-01"}) {
      tokens.emplace_back(token);
    }
    return std::make_shared<const GrammarVocabulary>(TokenBytes(tokens));
  }();
  return made;
}

std::shared_ptr<const GrammarVocabulary> real_vocabulary() {
  static const auto made = [] {
    const auto begin = std::chrono::steady_clock::now();
    const std::unique_ptr<Tokenizer> tokenizer = Tokenizer::load(shared_path("tokenizers/gpt_oss"));
    const auto loaded = std::chrono::steady_clock::now();
    auto vocabulary = std::make_shared<const GrammarVocabulary>(*tokenizer);
    const auto ready = std::chrono::steady_clock::now();
    const auto ms = [](auto duration) { return std::chrono::duration<double, std::milli>(duration).count(); };
    std::cout << "gpt_oss: tokenizer " << ms(loaded - begin) << " ms, grammar vocabulary "
              << ms(ready - loaded) << " ms, " << vocabulary->trie().num_nodes() << " trie nodes, trie "
              << vocabulary->trie().num_bytes() / 1e6 << " MB, in all " << vocabulary->num_bytes() / 1e6
              << " MB\n";
    return vocabulary;
  }();
  return made;
}

std::shared_ptr<const GrammarMasks> masks_of(std::string_view schema,
                                             std::shared_ptr<const GrammarVocabulary> vocabulary) {
  Result<Grammar> grammar = json_schema_grammar(parse_schema(schema));
  if (!grammar.ok()) throw Error("{}: {}", schema, grammar.error().message);
  return std::make_shared<const GrammarMasks>(std::move(grammar).value(), std::move(vocabulary));
}

std::vector<int32_t> ids_in(std::span<const uint64_t> mask) {
  std::vector<int32_t> ids;
  for (std::size_t word = 0; word < mask.size(); ++word) {
    for (uint64_t bits = mask[word]; bits != 0; bits &= bits - 1)
      ids.push_back(static_cast<int32_t>(word * 64) + std::countr_zero(bits));
  }
  return ids;
}

namespace {

bool is_set(std::span<const uint64_t> mask, int32_t id) {
  return (mask[static_cast<std::size_t>(id) / 64] >> (id % 64) & 1) != 0;
}

// One of the set bits, each as likely; there is at least one.
int32_t pick(std::span<const uint64_t> mask, TestRandom& random) {
  std::size_t count = 0;
  for (const uint64_t word : mask) count += static_cast<std::size_t>(std::popcount(word));
  std::size_t left = random.below(count);
  for (std::size_t i = 0;; ++i) {
    const auto here = static_cast<std::size_t>(std::popcount(mask[i]));
    if (left >= here) {
      left -= here;
      continue;
    }
    uint64_t bits = mask[i];
    for (; left > 0; --left) bits &= bits - 1;
    return static_cast<int32_t>(i * 64) + std::countr_zero(bits);
  }
}

// The tokens that end a string, a value or a message, in this order.
std::vector<int32_t> enders_of(const TokenBytes& tokens) {
  std::vector<int32_t> enders;
  for (const Mark end : {Mark::kEndOfText, Mark::kReturn, Mark::kCall, Mark::kEnd}) {
    if (const int32_t id = tokens.id_of(end); id >= 0) enders.push_back(id);
  }
  for (const std::string_view end : {"\"", "}", "]"}) {
    int32_t id = 0;
    while (tokens.of(id) != end) ++id;
    enders.push_back(id);
  }
  return enders;
}

}  // namespace

Walk walk(const std::shared_ptr<const GrammarMasks>& masks, TestRandom& random, std::size_t patience) {
  const TokenBytes& tokens = masks->vocabulary().tokens();
  const std::vector<int32_t> enders = enders_of(tokens);
  GrammarConstraint constraint(masks);
  Walk result;
  std::vector<uint64_t> mask(masks->vocabulary().mask_words());
  while (result.tokens.size() < 20'000) {
    std::fill(mask.begin(), mask.end(), 0);
    const auto begin = std::chrono::steady_clock::now();
    result.error = constraint.fill_mask(result.tokens, mask);
    result.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (!result.error.empty()) return result;
    if (constraint.matcher().is_finished()) {
      result.finished = true;
      return result;
    }
    int32_t chosen = pick(mask, random);
    // Now and then from the beginning, or nearly all strings would be as long as patience; never always,
    // since a } may stand in a string whose pattern wants something else.
    if (random.below(8) < (result.tokens.size() > patience ? 6U : 1U)) {
      for (const int32_t id : enders) {
        if (!is_set(mask, id)) continue;
        chosen = id;
        break;
      }
    }
    result.tokens.push_back(chosen);
    result.bytes += tokens.of(chosen);
  }
  return result;
}

}  // namespace gossamer
