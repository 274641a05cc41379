#include "grammar/text_grammar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "grammar/machine.h"
#include "tests/grammar/grammar_testing.h"

namespace gossamer {
namespace {

using testing::HasSubstr;

bool regex_allows(std::string_view pattern, std::string_view text) {
  const Result<Grammar> grammar = regex_grammar(pattern);
  EXPECT_TRUE(grammar.ok()) << pattern;
  return grammar.ok() && matches(grammar.value(), std::string(text) + mark(Mark::kEndOfText));
}

TEST(TextGrammar, APatternMatchesTheWholeTextWithAndWithoutAnchors) {
  for (const char* pattern : {"ab|c+", "^ab|c+$", "^ab$|^c+$", "(ab|c+)"}) {
    EXPECT_TRUE(regex_allows(pattern, "ab")) << pattern;
    EXPECT_TRUE(regex_allows(pattern, "ccc")) << pattern;
    for (const char* other : {"", "xab", "abx", "abc", "b"})
      EXPECT_FALSE(regex_allows(pattern, other)) << pattern;
  }
  EXPECT_TRUE(regex_allows(".*", ""));
  EXPECT_TRUE(regex_allows("[^a]\"", "\xC3\xA9\"")) << "text, not the spelling of a JSON string";
  EXPECT_FALSE(matches(regex_grammar("a").value(), "a")) << "the end belongs to it";
}

TEST(TextGrammar, RefusesPatternsThatItCannotFollow) {
  const auto refusal = [](std::string_view pattern) { return regex_grammar(pattern).error().message; };
  EXPECT_THAT(refusal("a(?!b)"), HasSubstr("character"));
  EXPECT_THAT(refusal("a^b"), HasSubstr("an anchor inside"));
  EXPECT_THAT(refusal("[^\\s\\S]"), HasSubstr("no text"));
  EXPECT_THAT(refusal("((a{900}){900}){900}"), HasSubstr("too"));
}

TEST(TextGrammar, AChoiceIsOneOfItsTexts) {
  const std::vector<std::string> choices = {"yes", "yes, but", "\xC3\xA9\n\"x\"", "yes"};
  const Result<Grammar> grammar = choice_grammar(choices);
  ASSERT_TRUE(grammar.ok());
  for (const std::string& choice : choices)
    EXPECT_TRUE(matches(grammar.value(), choice + mark(Mark::kEndOfText))) << choice;
  for (const char* other : {"", "ye", "yes,", "yes, but ", "no"})
    EXPECT_FALSE(matches(grammar.value(), other + mark(Mark::kEndOfText))) << other;
  EXPECT_FALSE(choice_grammar({}).ok());
  const std::vector<std::string> long_ones = {std::string(40'000, 'a'), std::string(40'000, 'b')};
  EXPECT_FALSE(choice_grammar(long_ones).ok());
}

TEST(TextGrammar, SampledTextsMatch) {
  TestRandom random(5);
  const auto masks = std::make_shared<const GrammarMasks>(
      regex_grammar("(ab|xyz){2,5}(-[0-9]{1,3})+").value(), small_vocabulary());
  for (int i = 0; i < 100; ++i) {
    const Walk sampled = walk(masks, random, 8);
    ASSERT_EQ(sampled.error, "");
    ASSERT_TRUE(sampled.finished);
    EXPECT_TRUE(matches(masks->grammar(), sampled.bytes)) << sampled.bytes;
  }
}

}  // namespace
}  // namespace gossamer
