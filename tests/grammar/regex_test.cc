// Patterns against what ECMA-262 says of them.
#include "grammar/regex.h"

#include <gtest/gtest.h>

#include "grammar/numbers.h"

namespace gossamer {
namespace {

bool matches_text(const char* pattern, std::string_view text) {
  WorkBudget budget;
  return Regex(pattern).plain_text(budget).accepts(text);
}

TEST(Regex, MatchesWhatItsPatternSays) {
  struct Row {
    const char* pattern;
    std::vector<const char*> matching;
    std::vector<const char*> others;
  };
  const std::vector<Row> rows = {
      {"^abc$", {"abc"}, {"ab", "abcd", ""}},
      {"b", {"b", "abc", "\nb"}, {"", "ac"}},
      {"^a|b$", {"a", "ax", "b", "xb"}, {"xa", "bx"}},
      {"^(?:a|bc)*d?$", {"", "abca", "bcd"}, {"b", "dd"}},
      {"^a{2}b{1,}c{0,2}$", {"aab", "aabbbcc"}, {"ab", "aabccc", "aac"}},
      {"^[a-c\\d_-]+$", {"a-1_", "c"}, {"d", ""}},
      {"^[^a-c\"]$", {"d", "\xC3\xA9", "\\"}, {"a", "\"", ""}},
      {"^.$", {"x", "\xF0\x9F\x98\x80"}, {"\n", "\xE2\x80\xA8", "xy"}},
      {"^\\x41\\u00e9\\u{1F600}\\ud83d\\ude00$", {"A\xC3\xA9\xF0\x9F\x98\x80\xF0\x9F\x98\x80"}, {"A"}},
      {"^\\w\\W\\s\\S\\D$", {"a- -x"}, {"aa -x", "a- -1", "a\xC3\xA9 -x"}},
      {"^a+?b*?$", {"a", "aab"}, {"b"}},
      {"^(?<year>\\d{4})\\/\\.$", {"2024/."}, {"2024/"}},
      {"^(a*)*$", {"", "aaa"}, {"b"}},
      {"", {"", "anything"}, {}},
      {"^[]x]", {}, {"", "x"}},
  };
  for (const Row& row : rows) {
    for (const char* text : row.matching)
      EXPECT_TRUE(matches_text(row.pattern, text)) << row.pattern << " " << text;
    for (const char* text : row.others)
      EXPECT_FALSE(matches_text(row.pattern, text)) << row.pattern << " " << text;
  }
}

TEST(Regex, SpellsMatchesAsJsonDoes) {
  WorkBudget budget;
  const Dfa quote = Regex("^[\"\\\\\\n\\x01]$").json_text(budget);
  for (const char* text : {"\\\"\"", "\\\\\"", "\\n\"", "\\u0001\""})
    EXPECT_TRUE(quote.accepts(text)) << text;
  for (const char* text : {"\"\"", "\\\"", "\n\"", "\\u0022\""}) EXPECT_FALSE(quote.accepts(text)) << text;
}

TEST(Regex, RefusesWhatIsNotRegular) {
  for (const char* pattern : {"(?=a)", "(?!a)", "(?<=a)", "(a)\\1", "\\bword", "\\p{L}", "a**", "*", "(", ")",
                              "[a", "a{2,1}", "x^", "a$b", "\\u12", "\\ud800", "[b-a]", "[\\d-x]", "a{,2}"}) {
    EXPECT_THROW(Regex{pattern}, GrammarError) << pattern;
  }
}

TEST(Regex, KnowsARepeatedClass) {
  const auto repeated = Regex("^(?:[a-z]){1,64}$").repeated_class();
  ASSERT_TRUE(repeated.has_value());
  EXPECT_EQ(repeated->min, 1U);
  EXPECT_EQ(repeated->max, 64U);
  EXPECT_FALSE(Regex("[a-z]+").repeated_class().has_value());
  EXPECT_FALSE(Regex("^[a-z]+x$").repeated_class().has_value());
}

// Every number of up to three digits and three decimals against plain arithmetic.
TEST(Numbers, AgreeWithArithmeticAtEveryBound) {
  for (const auto& [low, high] : std::vector<std::pair<double, double>>{
           {-12.5, 3.75}, {0.01, 0.02}, {-0.5, -0.25}, {99, 101.001}, {0, 0}, {-100, 100}, {9.99, 10.01}}) {
    for (const bool exclusive : {false, true}) {
      WorkBudget budget;
      const Dfa dfa =
          numbers_between(Bound{Decimal::of(low), exclusive}, Bound{Decimal::of(high), exclusive}, budget);
      for (int thousandths = -130'000; thousandths <= 130'000; thousandths += 5) {
        const double x = thousandths / 1000.0;
        const bool inside = exclusive ? low < x && x < high : low <= x && x <= high;
        const std::string text = fmt::format("{:.3f}", x);
        ASSERT_EQ(dfa.accepts(text), inside) << text << " in " << low << ".." << high << exclusive;
      }
    }
  }
  for (const auto& [low, high, multiple] : std::vector<std::array<int64_t, 3>>{
           {-17, 1234, 7}, {0, 9, 1}, {-5, -2, 1}, {95, 1005, 5}, {1, 1, 1}, {-999, 999, 13}}) {
    WorkBudget budget;
    const Dfa dfa = integers({.min = low, .max = high, .multiple_of = multiple}, budget);
    for (int64_t x = -2000; x <= 2000; ++x) {
      ASSERT_EQ(dfa.accepts(std::to_string(x)), low <= x && x <= high && x % multiple == 0)
          << x << " in " << low << ".." << high << " by " << multiple;
    }
  }
}

}  // namespace
}  // namespace gossamer
