// What must hold of HarmonyStream whatever it is given: no text is lost. Told from its deltas alone, by a
// reading of the format that is simpler than the stream's. Used by the random tests and the fuzz target.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/utf8.h"
#include "text/harmony_stream.h"
#include "text/harmony_tokens.h"
#include "text/tokenizer.h"

namespace gossamer {

class HarmonyOracle {
 public:
  explicit HarmonyOracle(const Tokenizer& tokenizer) : tokenizer_(tokenizer), tokens_(tokenizer) {}

  // Empty if all is well, else what is wrong: `deltas` are those of one answer, flush included.
  std::string find_fault(std::span<const int32_t> ids, std::span<const HarmonyDelta> deltas) const {
    std::vector<bool> is_content(ids.size());
    std::vector<std::size_t> num_header_bytes(ids.size());  // of a token that is partly header
    for (std::size_t i = 0; i < deltas.size();) {
      const HarmonyDelta& first = deltas[i];
      if (!first.begins) return "a message without a beginning";
      std::string text;
      int64_t begin = -1;
      int64_t end = -1;
      bool has_ended = false;
      for (; i < deltas.size() && deltas[i].message == first.message; ++i) {
        const HarmonyDelta& delta = deltas[i];
        if (has_ended) return "text behind the end of a message";
        if (delta.begins != (&delta == &first)) return "a message begins twice";
        if (!utf8_is_valid(delta.text)) return "half a character: " + delta.text;
        has_ended = delta.ends;
        text += delta.text;
        if (delta.num_tokens == 0) continue;
        if (begin < 0) {
          begin = delta.first_token;
        } else if (delta.first_token != end) {
          return "a message's tokens have a gap";
        }
        end = delta.first_token + delta.num_tokens;
      }
      if (!has_ended) return "a message without an end";
      if (begin < 0) {
        if (!text.empty()) return "text of no token: " + text;
        continue;
      }
      if (end > static_cast<int64_t>(ids.size())) return "a token that was never pushed";
      std::string bytes;
      for (int64_t token = begin; token < end; ++token) {
        if (is_content[static_cast<std::size_t>(token)]) return "a token in two messages";
        is_content[static_cast<std::size_t>(token)] = true;
        bytes += bytes_of(ids[static_cast<std::size_t>(token)]);
      }
      std::string expected;
      utf8_append_lossy(bytes, expected);
      if (!expected.ends_with(text)) return "expected the text " + expected + ", found " + text;
      const std::size_t missing = expected.size() - text.size();
      if (missing > 0 && missing >= bytes_of(ids[static_cast<std::size_t>(begin)]).size())
        return "a token that is counted but not shown, in " + expected;
      num_header_bytes[static_cast<std::size_t>(begin)] = missing;
    }
    return find_lost_word(ids, is_content, num_header_bytes, deltas);
  }

 private:
  // A word of a header, and what stands before it.
  struct Word {
    std::string text;
    bool is_marked = false;       // <|channel|> or <|constrain|>
    bool is_before_part = false;  // a mark or a to= follows
  };

  std::string bytes_of(int32_t id) const {
    return tokenizer_.has_token(id) ? std::string(tokenizer_.token_bytes(id)) : "\xEF\xBF\xBD";
  }

  // Every ordinary word that is in no message must be one that a header may have.
  std::string find_lost_word(std::span<const int32_t> ids, const std::vector<bool>& is_content,
                             const std::vector<std::size_t>& num_header_bytes,
                             std::span<const HarmonyDelta> deltas) const {
    std::string fields;
    for (const HarmonyDelta& delta : deltas) {
      const HarmonyHeader& header = delta.header;
      fields += header.name + " " + header.channel + " " + header.recipient + " " + header.content_type + " ";
    }
    std::vector<Word> words;
    bool marked = false;
    bool in_word = false;
    const auto read = [&](std::string_view bytes) {
      for (const char c : bytes) {
        if (c == ' ' || c == '\n' || c == '\r' || c == '\t') {
          in_word = false;
          continue;
        }
        if (!in_word) words.push_back({.text = "", .is_marked = std::exchange(marked, false)});
        in_word = true;
        words.back().text += c;
        if (words.back().text.ends_with("to=")) mark_all(words, words.size() - 1);
      }
    };
    const auto judge = [&](bool ends_with_message, bool is_end) -> std::string {
      std::string lost;
      for (std::size_t i = 0; i < words.size(); ++i) {
        const bool is_cut = is_end && i + 1 == words.size();
        const bool follows_to = i > 0 && words[i - 1].text.ends_with("to=");
        const bool in_fields = ends_with_message && fields.find(words[i].text) != std::string::npos;
        const bool may_be_header = words[i].is_marked || words[i].is_before_part || follows_to || in_fields ||
                                   is_keyword(words[i].text, is_cut);
        if (!may_be_header) lost = "lost: " + words[i].text;
      }
      words.clear();
      marked = in_word = false;
      return lost;
    };
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const bool is_end = tokens_.ends_message(ids[i]) || ids[i] == tokens_.end_of_text;
      std::string lost;
      if (is_content[i]) {
        read(std::string_view(bytes_of(ids[i])).substr(0, num_header_bytes[i]));
        lost = judge(false, false);
      } else if (ids[i] == tokens_.channel || ids[i] == tokens_.constrain) {
        mark_all(words, words.size());
        marked = true;
        in_word = false;
      } else if (ids[i] == tokens_.message || ids[i] == tokens_.start || is_end) {
        lost = judge(ids[i] == tokens_.message, false);
      } else if (tokenizer_.is_special(ids[i]) || !tokenizer_.has_token(ids[i])) {
        lost = "lost: " + bytes_of(ids[i]);
      } else {
        read(bytes_of(ids[i]));
      }
      if (!lost.empty()) return lost;
    }
    return judge(false, true);
  }

  static void mark_all(std::vector<Word>& words, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) words[i].is_before_part = true;
  }

  static bool is_keyword(std::string_view word, bool is_cut) {
    if (word.starts_with("to=") || word.starts_with("functions.")) return true;
    if (is_cut &&
        (std::string_view("to=").starts_with(word) || std::string_view("functions.").starts_with(word)))
      return true;
    while (word.starts_with("assistant")) word.remove_prefix(9);
    constexpr std::array<std::string_view, 9> kWords = {
        "", "assistant", "user", "system", "developer", "tool", "analysis", "commentary", "final"};
    return std::any_of(kWords.begin(), kWords.end(), [&](std::string_view known) {
      return is_cut ? known.starts_with(word) : known == word;
    });
  }

  const Tokenizer& tokenizer_;
  HarmonyTokens tokens_;
};

}  // namespace gossamer
