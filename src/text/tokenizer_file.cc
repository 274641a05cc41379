#include "text/tokenizer_file.h"

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_map>

#include "base/error.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "text/byte_alphabet.h"
#include "text/json_scanner.h"
#include "text/tokenizer_config.h"

namespace gossamer {
namespace {

// The "model" of a tokenizer.json while it is read.
class ModelReader {
 public:
  ModelReader(JsonScanner& scanner, std::string where) : scanner_(scanner), where_(std::move(where)) {}

  // Reads the model object into `parts`.
  void read(TokenizerParts& parts);

  // A JSON object of token -> id.
  void read_vocabulary(Vocabulary& vocabulary);

  // Adds the merge of two tokens written in the byte alphabet; they and their concatenation must exist.
  void add_merge(const Vocabulary& vocabulary, std::string_view left, std::string_view right,
                 MergeTable& merges);

  // To be called after the last add_merge(), which collects merges to look many of them up at a time: the
  // tables are larger than the caches, and waiting for memory once in a while instead of five times a merge
  // halves the loading time.
  void finish_merges(const Vocabulary& vocabulary, MergeTable& merges);

  // The id of a token written in the byte alphabet, or -1.
  int32_t find(const Vocabulary& vocabulary, std::string_view token) {
    bytes_.clear();
    if (alphabet_.append_bytes(token, bytes_)) return vocabulary.find(bytes_);
    const auto it = outside_alphabet_.find(std::string(token));
    return it == outside_alphabet_.end() ? -1 : it->second;
  }

 private:
  static constexpr std::size_t kMaxPending = 64;
  struct PendingMerge {  // its tokens' bytes, one after the other in pending_bytes_
    std::size_t offset;
    std::size_t left_length;
    std::size_t right_length;
  };
  struct MergeIds {  // -1: no token
    int32_t left;
    int32_t right;
    int32_t whole;
  };

  void read_merges(JsonScanner& scanner, const Vocabulary& vocabulary, MergeTable& merges);
  void set_merge(const MergeIds& ids, std::string_view left, std::string_view right, MergeTable& merges);

  std::string_view pending_text(std::size_t offset, std::size_t length) const {
    return std::string_view(pending_bytes_).substr(offset, length);
  }
  std::string_view left_of(const PendingMerge& m) const { return pending_text(m.offset, m.left_length); }
  std::string_view right_of(const PendingMerge& m) const {
    return pending_text(m.offset + m.left_length, m.right_length);
  }
  std::string_view whole_of(const PendingMerge& m) const {
    return pending_text(m.offset, m.left_length + m.right_length);
  }

  JsonScanner& scanner_;
  std::string where_;
  ByteAlphabet alphabet_;
  std::unordered_map<std::string, int32_t>
      outside_alphabet_;  // tokens that no text can give, but merges may name
  uint32_t num_merges_ = 0;
  std::vector<PendingMerge> pending_;
  std::string pending_bytes_;
  std::string bytes_;
};

void ModelReader::read_vocabulary(Vocabulary& vocabulary) {
  std::string token;
  for (scanner_.begin_object(); scanner_.next_key(token);) {
    const auto id = static_cast<int32_t>(scanner_.read_integer(Vocabulary::kMaxId));
    bytes_.clear();
    Vocabulary::AddResult result;
    if (alphabet_.append_bytes(token, bytes_)) {
      result = vocabulary.add(id, bytes_);
    } else {
      result = outside_alphabet_.emplace(token, id).second ? vocabulary.add_unsearchable(id, token)
                                                           : Vocabulary::AddResult::kDuplicateBytes;
    }
    if (result == Vocabulary::AddResult::kDuplicateId) scanner_.fail(fmt::format("id {} is given twice", id));
    if (result == Vocabulary::AddResult::kDuplicateBytes)
      scanner_.fail(fmt::format("token \"{}\" is given twice", token));
  }
}

void ModelReader::add_merge(const Vocabulary& vocabulary, std::string_view left, std::string_view right,
                            MergeTable& merges) {
  const std::size_t offset = pending_bytes_.size();
  if (alphabet_.append_bytes(left, pending_bytes_)) {
    const std::size_t middle = pending_bytes_.size();
    if (alphabet_.append_bytes(right, pending_bytes_)) {
      pending_.push_back({offset, middle - offset, pending_bytes_.size() - middle});
      vocabulary.prefetch(left_of(pending_.back()));
      vocabulary.prefetch(right_of(pending_.back()));
      vocabulary.prefetch(whole_of(pending_.back()));
      if (pending_.size() == kMaxPending) finish_merges(vocabulary, merges);
      return;
    }
    pending_bytes_.resize(offset);
  }
  finish_merges(vocabulary, merges);
  const std::string whole = std::string(left).append(right);
  set_merge({find(vocabulary, left), find(vocabulary, right), find(vocabulary, whole)}, left, right, merges);
}

void ModelReader::finish_merges(const Vocabulary& vocabulary, MergeTable& merges) {
  std::array<MergeIds, kMaxPending> ids;
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    const PendingMerge& merge = pending_[i];
    ids[i] = {vocabulary.find(left_of(merge)), vocabulary.find(right_of(merge)),
              vocabulary.find(whole_of(merge))};
    merges.prefetch(ids[i].left, ids[i].right);
  }
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    set_merge(ids[i], left_of(pending_[i]), right_of(pending_[i]), merges);
  }
  pending_.clear();
  pending_bytes_.clear();
}

void ModelReader::set_merge(const MergeIds& ids, std::string_view left, std::string_view right,
                            MergeTable& merges) {
  if (ids.left < 0 || ids.right < 0 || ids.whole < 0) {
    const std::string unknown(ids.left < 0 ? left : ids.right < 0 ? right : std::string(left).append(right));
    throw Error("{}: merge {} (\"{}\", \"{}\") names \"{}\", which is no token", where_, num_merges_, left,
                right, unknown);
  }
  merges.set(ids.left, ids.right, {num_merges_++, ids.whole});
}

void ModelReader::read_merges(JsonScanner& scanner, const Vocabulary& vocabulary, MergeTable& merges) {
  std::string left;
  std::string right;
  for (scanner.begin_array(); scanner.next_element();) {
    if (scanner.peek() == '[') {
      scanner.begin_array();
      if (!scanner.next_element()) scanner.fail("a merge of no tokens");
      scanner.read_string(left);
      if (!scanner.next_element()) scanner.fail("a merge of one token");
      scanner.read_string(right);
      if (scanner.next_element()) scanner.fail("a merge of more than two tokens");
      add_merge(vocabulary, left, right, merges);
    } else {
      scanner.read_string(left);
      if (left.starts_with("#version")) continue;
      const std::size_t space = left.find(' ');
      if (space == std::string::npos || left.find(' ', space + 1) != std::string::npos) {
        scanner.fail(fmt::format("expected two tokens and a space between them in the merge \"{}\"", left));
      }
      add_merge(vocabulary, std::string_view(left).substr(0, space), std::string_view(left).substr(space + 1),
                merges);
    }
  }
  finish_merges(vocabulary, merges);
}

void ModelReader::read(TokenizerParts& parts) {
  std::string key;
  bool has_vocabulary = false;
  bool has_merges = false;
  std::string_view merges_before_vocabulary;
  json::object options;
  for (scanner_.begin_object(); scanner_.next_key(key);) {
    if (key == "vocab") {
      if (has_vocabulary) scanner_.fail("a second \"vocab\"");
      has_vocabulary = true;
      read_vocabulary(parts.vocabulary);
    } else if (key == "merges") {
      if (has_merges) scanner_.fail("a second \"merges\"");
      has_merges = true;
      if (has_vocabulary) {
        read_merges(scanner_, parts.vocabulary, parts.merges);
      } else {
        merges_before_vocabulary = scanner_.skip_value();
      }
    } else {
      options[key] = parse_json(scanner_.skip_value(), where_ + ": model." + key);
    }
  }
  check_bpe_options(options, where_);  // before what follows: another model type has another "vocab"
  if (!has_vocabulary || !has_merges)
    throw Error("{}: the model has no {}", where_, has_vocabulary ? "merges" : "vocab");
  if (!merges_before_vocabulary.empty()) {
    JsonScanner merges_scanner(merges_before_vocabulary, where_ + ": model.merges");
    read_merges(merges_scanner, parts.vocabulary, parts.merges);
  }
  parts.options.ignore_merges = flag_or(options, "ignore_merges", false, where_);
  parts.options.fuse_unk = flag_or(options, "fuse_unk", false, where_);
  if (const json::value* unk = options.if_contains("unk_token"); unk != nullptr && !unk->is_null()) {
    if (!unk->is_string()) throw Error("{}: model.unk_token: expected a string or null", where_);
    parts.options.unk_id = find(parts.vocabulary, std::string_view(unk->get_string()));
    if (parts.options.unk_id < 0) {
      throw Error("{}: model.unk_token \"{}\" is no token", where_, std::string_view(unk->get_string()));
    }
  }
}

// Decides the ids of the added tokens and enters those that the model does not have. A token that the model
// has too must have the same id in both places. (The HF tokenizers take the model's id, with a warning.)
void enter_added_tokens(std::vector<AddedToken> tokens, ModelReader& model, const std::string& where,
                        TokenizerParts& parts) {
  const ByteAlphabet alphabet;
  const UnicodeTable unicode;
  std::unordered_map<std::string, int32_t> seen;
  std::string bytes;
  for (AddedToken& token : tokens) {
    if (token.content.empty()) continue;
    const int32_t model_id = model.find(parts.vocabulary, token.content);
    if (model_id >= 0 && model_id != token.id) {
      throw Error("{}: the added token \"{}\" has id {}, but the vocabulary gives it {}", where,
                  token.content, token.id, model_id);
    }
    const auto [it, is_new] = seen.emplace(token.content, token.id);
    if (!is_new) throw Error("{}: the added token \"{}\" is given twice", where, it->first);
    if (model_id < 0) {
      // Decoding takes an added token through the byte alphabet too, if it can be spelled in it, and in its
      // normalised form: so does HF.
      std::string normalized;
      if (parts.nfc && token.normalized) {
        unicode.append_nfc(token.content, normalized);
      } else {
        normalized = token.content;
      }
      bytes.clear();
      if (!alphabet.append_bytes(normalized, bytes)) bytes = normalized;
      if (parts.vocabulary.add_unsearchable(token.id, bytes) != Vocabulary::AddResult::kAdded) {
        throw Error("{}: the added token \"{}\" has id {}, which another token has", where, token.content,
                    token.id);
      }
    }
    parts.added_tokens.push_back(std::move(token));
  }
}

}  // namespace

TokenizerParts parse_tokenizer_json(std::string_view text, const std::string& where) {
  TokenizerParts parts;
  // About 140 bytes of file a token where merges are written over several lines, 10 where nothing but the
  // vocabulary is left: a fair guess for both, which only spares some growing.
  parts.vocabulary.reserve(text.size() / 140);
  parts.merges.reserve(text.size() / 64);
  JsonScanner scanner(text, where);
  ModelReader model(scanner, where);
  std::string key;
  bool has_model = false;
  json::object config;
  for (scanner.begin_object(); scanner.next_key(key);) {
    if (key == "model") {
      if (has_model) scanner.fail("a second \"model\"");
      has_model = true;
      model.read(parts);
    } else {
      config[key] = parse_json(scanner.skip_value(), where + ": " + key);
    }
  }
  scanner.finish();
  if (!has_model) throw Error("{}: no \"model\" in it: is this a tokenizer.json?", where);
  parts.nfc = parse_normalizer(config, where);
  parts.pre_tokenizer = parse_pre_tokenizer(config, where);
  check_decoder(config, where);
  check_post_processor(config, where);
  enter_added_tokens(parse_added_tokens(config, where), model, where, parts);
  return parts;
}

TokenizerParts parse_vocab_and_merges(std::string_view vocab, const std::string& vocab_where,
                                      std::string_view merges, const std::string& merges_where) {
  TokenizerParts parts;
  JsonScanner scanner(vocab, vocab_where);
  ModelReader model(scanner, merges_where);
  model.read_vocabulary(parts.vocabulary);
  scanner.finish();
  for (std::size_t line_number = 1; !merges.empty(); ++line_number) {
    const std::size_t newline = std::min(merges.find('\n'), merges.size());
    std::string_view line = merges.substr(0, newline);
    merges.remove_prefix(std::min(newline + 1, merges.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    const std::size_t space = line.find(' ');
    if (space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos) {
      throw Error("{}: line {}: expected two tokens and a space between them: \"{}\"", merges_where,
                  line_number, line);
    }
    model.add_merge(parts.vocabulary, line.substr(0, space), line.substr(space + 1), parts.merges);
  }
  model.finish_merges(parts.vocabulary, parts.merges);
  parts.pre_tokenizer.push_back({.pattern = SplitPattern::kGpt2});
  const std::string end_of_text = "<|endoftext|>";
  if (const int32_t id = model.find(parts.vocabulary, end_of_text); id >= 0) {
    parts.added_tokens.push_back({.id = id, .content = end_of_text, .special = true});
  }
  return parts;
}

TokenizerParts read_tokenizer(const std::filesystem::path& path) {
  if (!std::filesystem::is_directory(path)) {
    const MappedFile file(path);
    return parse_tokenizer_json(file.text(), path.string());
  }
  std::vector<std::filesystem::path> folders = {path};
  // OpenAI's own layout keeps the weights in `original`, without a tokenizer. The path may be given as
  // "x/original/".
  const std::filesystem::path normal = (path / "").lexically_normal().parent_path();
  if (normal.filename() == "original") folders.push_back(normal / "..");
  for (const std::filesystem::path& folder : folders) {
    if (const auto file_path = folder / "tokenizer.json"; std::filesystem::exists(file_path)) {
      const MappedFile file(file_path);
      return parse_tokenizer_json(file.text(), file_path.string());
    }
    const auto vocab_path = folder / "vocab.json";
    const auto merges_path = folder / "merges.txt";
    if (std::filesystem::exists(vocab_path) && std::filesystem::exists(merges_path)) {
      const MappedFile vocab(vocab_path);
      const MappedFile merges(merges_path);
      return parse_vocab_and_merges(vocab.text(), vocab_path.string(), merges.text(), merges_path.string());
    }
  }
  throw Error("{}: no tokenizer there: expected tokenizer.json, or vocab.json and merges.txt", path.string());
}

}  // namespace gossamer
