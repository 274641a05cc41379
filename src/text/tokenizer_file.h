// Reads a tokenizer.json (or GPT-2's older vocab.json and merges.txt) into the parts a Tokenizer is made of.
// Called by Tokenizer::load only. Everything that would change ids and is not implemented is refused by name.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/pre_tokenizer.h"

namespace gossamer {

struct TokenizerParts {
  Vocabulary vocabulary;  // the model's tokens and the added ones
  MergeTable merges;
  Bpe::Options options;
  bool nfc = false;
  std::vector<PreTokenizerStep> pre_tokenizer;
  std::vector<AddedToken> added_tokens;  // contents and ids are unique
};

// Parses the text of a tokenizer.json; `where` names it in errors. Throws Error.
TokenizerParts parse_tokenizer_json(std::string_view text, const std::string& where);

// Parses GPT-2's pair of files: `vocab` is a JSON object, `merges` has one pair a line. Throws Error.
TokenizerParts parse_vocab_and_merges(std::string_view vocab, const std::string& vocab_where,
                                      std::string_view merges, const std::string& merges_where);

// Reads whichever of them `path` names: a tokenizer.json file; a folder with tokenizer.json or with
// vocab.json and merges.txt; a folder named `original` whose parent is such a folder. Throws Error saying
// where it looked.
TokenizerParts read_tokenizer(const std::filesystem::path& path);

}  // namespace gossamer
