// Text to token ids and back: byte-level BPE as a tokenizer.json describes it, id for id what the HF
// tokenizers give. Used by the apps, the server and the evaluations; the engine itself knows ids only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/pre_tokenizer.h"
#include "text/unicode.h"

namespace gossamer {

struct TokenizerParts;

struct EncodeOptions {
  // Whether the text of a special token, such as <|end|>, gives that token. False for text from users: it
  // then is ordinary text and cannot forge the structure of a conversation. (`encode_special_tokens` of HF,
  // the other way round.) Added tokens that are not special are found either way.
  bool parse_special = false;
};

struct DecodeOptions {
  bool skip_special = false;  // leaves special tokens out
};

// Immutable after loading; every method may be called from several threads at once.
class Tokenizer {
 public:
  // Loads a tokenizer.json, or a model's folder: see read_tokenizer in tokenizer_file.h. Throws Error naming
  // the file and what is wrong with it or not supported.
  static std::unique_ptr<Tokenizer> load(const std::filesystem::path& folder_or_file);

  explicit Tokenizer(TokenizerParts parts);

  // The ids of `text`. Bytes that are not UTF-8 are taken as U+FFFD. No ids are added around the text. O(n
  // log n).
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;

  // Appends instead.
  void encode(std::string_view text, const EncodeOptions& options, std::vector<int32_t>& out) const;

  // The text of `ids`; bytes that are not UTF-8 become U+FFFD. Ids that are no token (a model's padding rows)
  // give nothing: see has_token().
  std::string decode(std::span<const int32_t> ids, const DecodeOptions& options = {}) const;

  // The bytes that `id` stands for, possibly only a part of a character; empty if there is no such token.
  std::string_view token_bytes(int32_t id) const {
    return has_token(id) ? bpe_.vocabulary().bytes_of(id) : std::string_view();
  }

  bool has_token(int32_t id) const { return bpe_.vocabulary().contains(id); }

  // One more than the highest id. A model may have more rows.
  int32_t vocab_size() const { return bpe_.vocabulary().size(); }

  // The id of a special token by its text, "<|endoftext|>".
  std::optional<int32_t> special_id(std::string_view content) const;

  bool is_special(int32_t id) const {
    return id >= 0 && static_cast<std::size_t>(id) < is_special_.size() &&
           is_special_[static_cast<std::size_t>(id)];
  }

 private:
  void encode_valid(std::string_view text, const EncodeOptions& options, std::vector<int32_t>& out) const;

  UnicodeTable unicode_;
  AddedTokenMatcher raw_added_;         // sought in the text as it is
  AddedTokenMatcher normalized_added_;  // sought in the normalised text between those
  bool nfc_ = false;
  PreTokenizer pre_tokenizer_;
  Bpe bpe_;
  std::vector<bool> is_special_;  // by id
  std::unordered_map<std::string, int32_t> special_ids_;
};

}  // namespace gossamer
