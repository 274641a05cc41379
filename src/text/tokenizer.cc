#include "text/tokenizer.h"

#include "base/error.h"
#include "base/utf8.h"
#include "text/tokenizer_file.h"

namespace gossamer {
namespace {

// The added tokens that are sought in the raw or in the normalised text, there in their normalised form.
std::vector<AddedToken> select(const TokenizerParts& parts, bool normalized, const UnicodeTable& unicode) {
  std::vector<AddedToken> selected;
  std::unordered_map<std::string, int32_t> seen;
  for (AddedToken token : parts.added_tokens) {
    if (token.normalized != normalized) continue;
    if (normalized && parts.nfc) {
      std::string nfc;
      unicode.append_nfc(token.content, nfc);
      token.content = nfc;
    }
    const auto [it, is_new] = seen.emplace(token.content, token.id);
    if (!is_new) {
      throw Error("the added tokens {} and {} are the same text, \"{}\", once normalised", it->second,
                  token.id, it->first);
    }
    selected.push_back(std::move(token));
  }
  return selected;
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::load(const std::filesystem::path& folder_or_file) {
  return std::make_unique<Tokenizer>(read_tokenizer(folder_or_file));
}

Tokenizer::Tokenizer(TokenizerParts parts)
    : raw_added_(select(parts, false, unicode_)),
      normalized_added_(select(parts, true, unicode_)),
      nfc_(parts.nfc),
      pre_tokenizer_(std::move(parts.pre_tokenizer)),
      bpe_(std::move(parts.vocabulary), std::move(parts.merges), parts.options),
      is_special_(static_cast<std::size_t>(bpe_.vocabulary().size())) {
  for (const AddedToken& token : parts.added_tokens) {
    if (!token.special) continue;
    is_special_[static_cast<std::size_t>(token.id)] = true;
    special_ids_.emplace(token.content, token.id);
  }
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  std::vector<int32_t> ids;
  encode(text, options, ids);
  return ids;
}

void Tokenizer::encode(std::string_view text, const EncodeOptions& options, std::vector<int32_t>& out) const {
  if (utf8_is_valid(text)) {
    encode_valid(text, options, out);
  } else {
    std::string valid;
    utf8_append_lossy(text, valid);
    encode_valid(valid, options, out);
  }
}

void Tokenizer::encode_valid(std::string_view text, const EncodeOptions& options,
                             std::vector<int32_t>& out) const {
  const PreTokenizer::Sink merge = [&](std::string_view piece) { bpe_.encode(piece, out); };
  std::vector<TextSegment> outer;
  std::vector<TextSegment> inner;
  raw_added_.split(text, options.parse_special, unicode_, outer);
  for (const TextSegment& segment : outer) {
    if (segment.id >= 0) {
      out.push_back(segment.id);
      continue;
    }
    std::string normalized;
    std::string_view part = segment.text;
    if (nfc_ && unicode_.may_change_in_nfc(part)) {
      unicode_.append_nfc(part, normalized);
      part = normalized;
    }
    inner.clear();
    normalized_added_.split(part, options.parse_special, unicode_, inner);
    for (const TextSegment& inner_segment : inner) {
      if (inner_segment.id >= 0) {
        out.push_back(inner_segment.id);
      } else {
        pre_tokenizer_.split(inner_segment.text, unicode_, merge);
      }
    }
  }
}

std::string Tokenizer::decode(std::span<const int32_t> ids, const DecodeOptions& options) const {
  std::string bytes;
  for (const int32_t id : ids) {
    if (!(options.skip_special && is_special(id))) bytes.append(token_bytes(id));
  }
  if (utf8_is_valid(bytes)) return bytes;
  std::string text;
  utf8_append_lossy(bytes, text);
  return text;
}

std::optional<int32_t> Tokenizer::special_id(std::string_view content) const {
  const auto it = special_ids_.find(std::string(content));
  if (it == special_ids_.end()) return std::nullopt;
  return it->second;
}

}  // namespace gossamer
