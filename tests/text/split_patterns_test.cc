// The hand-written scanners against PCRE2 running the same regular expressions.
#include "text/split_patterns.h"

#include <gtest/gtest.h>

#include "tests/text/text_fixtures.h"
#include "text/pre_tokenizer.h"

namespace gossamer {
namespace {

using Pieces = std::vector<std::string>;

Pieces split(SplitPattern pattern, std::string_view text, const UnicodeTable& unicode) {
  std::vector<PreTokenizerStep> steps(1);
  steps[0].pattern = pattern;
  if (pattern == SplitPattern::kRegex) ADD_FAILURE() << "use split_by_regex";
  Pieces pieces;
  PreTokenizer(std::move(steps)).split(text, unicode, [&](std::string_view piece) {
    pieces.emplace_back(piece);
  });
  return pieces;
}

Pieces split_by_regex(const RegexSplitter& regex, std::string_view text) {
  RegexSplitter::Matches matches(regex, text);
  Pieces pieces;
  RegexMatch match;
  std::size_t done = 0;
  while (matches.next(match)) {
    EXPECT_EQ(match.begin, done) << "the pattern matches everywhere";
    pieces.emplace_back(text.substr(match.begin, match.end - match.begin));
    done = match.end;
  }
  EXPECT_EQ(done, text.size());
  return pieces;
}

// Characters of which PCRE2's Unicode (14.0 in 10.42) and ours (16.0) think the same.
std::vector<char32_t> agreed_characters(const UnicodeTable& unicode) {
  const std::vector<std::pair<RegexSplitter, std::vector<CharClass>>> classes = [] {
    std::vector<std::pair<RegexSplitter, std::vector<CharClass>>> list;
    list.emplace_back(RegexSplitter(R"(\s)", "test"), std::vector{CharClass::kSpace});
    list.emplace_back(RegexSplitter(R"(\p{N})", "test"), std::vector{CharClass::kNumber});
    list.emplace_back(RegexSplitter(R"([\p{Lu}\p{Lt}])", "test"), std::vector{CharClass::kUpper});
    list.emplace_back(RegexSplitter(R"(\p{Ll})", "test"), std::vector{CharClass::kLower});
    list.emplace_back(RegexSplitter(R"([\p{Lm}\p{Lo}])", "test"), std::vector{CharClass::kCaseless});
    list.emplace_back(RegexSplitter(R"(\p{M})", "test"), std::vector{CharClass::kMark});
    return list;
  }();
  std::vector<char32_t> agreed;
  for (char32_t c = 0; c < 0x32000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    utf8_append(c, text);
    bool agrees = true;
    for (const auto& [regex, expected] : classes) {
      RegexSplitter::Matches matches(regex, text);
      RegexMatch match;
      agrees &= matches.next(match) == (unicode.char_class(c) == expected.front());
    }
    if (agrees) agreed.push_back(c);
  }
  return agreed;
}

TEST(SplitPatterns, SplitAsPcre2DoesOnRandomText) {
  const UnicodeTable unicode;
  const RegexSplitter gpt2{std::string(kGpt2Pattern), "test"};
  const RegexSplitter o200k{std::string(kO200kPattern), "test"};
  const std::vector<char32_t> agreed = agreed_characters(unicode);
  EXPECT_GT(agreed.size(), 180'000U);  // of 202,752
  std::vector<std::vector<char32_t>> by_class(7);
  for (const char32_t c : agreed) by_class[static_cast<std::size_t>(unicode.char_class(c))].push_back(c);
  const std::string_view frequent = "  \n\r\t'sStTrReEvVmMlLdD/.,!aA1 ";
  TestRandom random(11);
  std::size_t num_pieces = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string text;
    for (std::size_t i = random.below(24); i > 0; --i) {
      if (random.below(2) == 0) {
        text.push_back(frequent[random.below(frequent.size())]);
      } else {
        const std::vector<char32_t>& characters = by_class[random.below(by_class.size())];
        utf8_append(characters[random.below(characters.size())], text);
      }
    }
    const Pieces expected = split_by_regex(o200k, text);
    num_pieces += expected.size();
    ASSERT_EQ(split(SplitPattern::kO200k, text, unicode), expected) << json::serialize(json::string(text));
    ASSERT_EQ(split(SplitPattern::kGpt2, text, unicode), split_by_regex(gpt2, text))
        << json::serialize(json::string(text));
  }
  EXPECT_GT(num_pieces, 100'000U);
}

TEST(SplitPatterns, GiveBackWhatTheNextAlternativeNeeds) {
  const UnicodeTable unicode;
  EXPECT_EQ(split(SplitPattern::kO200k, "ABcD", unicode), (Pieces{"ABc", "D"}));
  EXPECT_EQ(split(SplitPattern::kO200k, "A日B", unicode), (Pieces{"A日", "B"}));
  EXPECT_EQ(split(SplitPattern::kO200k, "don't WE'LL", unicode), (Pieces{"don't", " WE'LL"}));
  EXPECT_EQ(split(SplitPattern::kO200k, "a  b\n \n c", unicode), (Pieces{"a", " ", " b", "\n \n", " c"}));
  EXPECT_EQ(split(SplitPattern::kO200k, "12345", unicode), (Pieces{"123", "45"}));
  EXPECT_EQ(split(SplitPattern::kO200k, "a'\u017Fb", unicode), (Pieces{"a'\u017F", "b"}));
  EXPECT_EQ(split(SplitPattern::kGpt2, "WE'LL it's  x ", unicode),
            (Pieces{"WE", "'", "LL", " it", "'s", " ", " x", " "}));
}

}  // namespace
}  // namespace gossamer
