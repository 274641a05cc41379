#include "text/added_tokens.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/utf8.h"

namespace gossamer {
namespace {

char32_t first_char(std::string_view text) { return utf8_step(text).code_point; }

std::string_view last_char(std::string_view text) {
  std::size_t begin = text.size() - 1;
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) --begin;
  return text.substr(begin);
}

bool is_space(const UnicodeTable& unicode, char32_t c) { return unicode.char_class(c) == CharClass::kSpace; }

bool is_single_word(std::string_view before, std::string_view after, const UnicodeTable& unicode) {
  return (before.empty() || !unicode.is_word(first_char(last_char(before)))) &&
         (after.empty() || !unicode.is_word(first_char(after)));
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  const auto by_content = [](const AddedToken& a, const AddedToken& b) { return a.content < b.content; };
  std::sort(tokens_.begin(), tokens_.end(), by_content);
  by_byte_.fill({0, 0});
  for (uint32_t i = 0; i < tokens_.size(); ++i) {
    GOSSAMER_CHECK(!tokens_[i].content.empty());
    GOSSAMER_CHECK(i == 0 || by_content(tokens_[i - 1], tokens_[i]));
    auto& range = by_byte_[static_cast<unsigned char>(tokens_[i].content[0])];
    if (range.first == range.second) range = {i, i};
    range.second = i + 1;
    all_special_ &= tokens_[i].special;
  }
  if (!tokens_.empty() && tokens_.front().content[0] == tokens_.back().content[0]) {
    only_first_byte_ = static_cast<unsigned char>(tokens_.front().content[0]);
  }
}

// Narrows the range of sorted contents that begin with the text read so far, a byte at a time.
const AddedToken* AddedTokenMatcher::longest_at(std::string_view text) const {
  auto [low, high] = by_byte_[static_cast<unsigned char>(text[0])];
  const AddedToken* best = nullptr;
  for (std::size_t depth = 1; low < high; ++depth) {
    if (tokens_[low].content.size() == depth) best = &tokens_[low++];  // the shortest sorts first
    if (low == high || depth == text.size()) break;
    const auto byte_at = [&](uint32_t i) { return static_cast<unsigned char>(tokens_[i].content[depth]); };
    const auto byte = static_cast<unsigned char>(text[depth]);
    if (byte < byte_at(low) || byte > byte_at(high - 1)) break;
    const auto below = [&](const AddedToken& t) {
      return static_cast<unsigned char>(t.content[depth]) < byte;
    };
    const auto same = [&](const AddedToken& t) {
      return static_cast<unsigned char>(t.content[depth]) == byte;
    };
    const auto begin = tokens_.begin();
    const auto first = std::partition_point(begin + low, begin + high, below);
    const auto last = std::partition_point(first, begin + high, same);
    low = static_cast<uint32_t>(first - begin);
    high = static_cast<uint32_t>(last - begin);
  }
  return best;
}

void AddedTokenMatcher::split(std::string_view text, bool parse_special, const UnicodeTable& unicode,
                              std::vector<TextSegment>& out) const {
  std::size_t done = 0;  // everything before this was put out
  const bool nothing_to_find = tokens_.empty() || (all_special_ && !parse_special);
  for (std::size_t i = nothing_to_find ? text.size() : 0; i < text.size();) {
    if (only_first_byte_ >= 0) {
      const void* found = std::memchr(text.data() + i, only_first_byte_, text.size() - i);
      if (found == nullptr) break;
      i = static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
    }
    const auto [low, high] = by_byte_[static_cast<unsigned char>(text[i])];
    const AddedToken* token = low == high ? nullptr : longest_at(text.substr(i));
    if (token == nullptr) {
      ++i;
      continue;
    }
    std::size_t begin = i;
    std::size_t end = i + token->content.size();
    i = end;  // also after a match that does not count: nothing shorter or later inside it is tried
    if (token->special && !parse_special) continue;
    if (token->single_word && !is_single_word(text.substr(0, begin), text.substr(end), unicode)) continue;
    if (token->lstrip) {
      while (begin > done) {
        const std::string_view last = last_char(text.substr(0, begin));
        if (!is_space(unicode, first_char(last))) break;
        begin -= last.size();
      }
    }
    if (token->rstrip) {
      while (end < text.size()) {
        const Utf8Step step = utf8_step(text.substr(end));
        if (!is_space(unicode, step.code_point)) break;
        end += step.length;
      }
    }
    if (done < begin) out.push_back({-1, text.substr(done, begin - done)});
    out.push_back({token->id, text.substr(begin, end - begin)});
    done = end;
  }
  if (done < text.size()) out.push_back({-1, text.substr(done)});
}

}  // namespace gossamer
