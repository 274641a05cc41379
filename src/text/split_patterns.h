// The two regular expressions of the supported families, as hand-written scanners: one pass, no backtracking,
// an order of magnitude faster than a regex engine. tests/text compares them with PCRE2 and with the HF
// tokenizers.
#pragma once

#include <string_view>

#include "text/unicode.h"

namespace gossamer {

// GPT-2 and GPT-NeoX (ByteLevel with use_regex).
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

// GPT-OSS (o200k).
inline constexpr std::string_view kO200kPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// The end of the match that begins at `p`. `p` < `end`; [p, end) is valid UTF-8. Both patterns match
// everywhere, so calling these again from where the last match ended splits a text completely.
const char* gpt2_match_end(const UnicodeTable& unicode, const char* p, const char* end);
const char* o200k_match_end(const UnicodeTable& unicode, const char* p, const char* end);

}  // namespace gossamer
