#include "text/stop_strings.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/text/text_fixtures.h"

namespace gossamer {
namespace {

// What comes through when the text arrives in the given pieces.
std::string through(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopStrings filter(stops);
  std::string text;
  for (const std::string& piece : pieces) text += filter.push(piece);
  return text + filter.flush();
}

TEST(StopStrings, LetEverythingPassWithoutStops) {
  EXPECT_EQ(through({}, {"a", "b", "c"}), "abc");
  EXPECT_EQ(through({""}, {"a", "b", "c"}), "abc");
  StopStrings filter({});
  EXPECT_EQ(filter.push("abc"), "abc") << "and at once";
}

TEST(StopStrings, CutBeforeTheStopWhereverPiecesEnd) {
  EXPECT_EQ(through({"STOP"}, {"text STOP more"}), "text ");
  EXPECT_EQ(through({"STOP"}, {"text S", "TO", "P more", " and more"}), "text ");
  EXPECT_EQ(through({"\n\n"}, {"one\n", "two\n", "\nthree"}), "one\ntwo");
}

TEST(StopStrings, HoldBackOnlyWhatMayBecomeAStop) {
  StopStrings filter({"STOP"});
  EXPECT_EQ(filter.push("text ST"), "text ");
  EXPECT_EQ(filter.push("A"), "STA");
  EXPECT_EQ(filter.push("SSTO"), "S");
  EXPECT_FALSE(filter.found());
  EXPECT_EQ(filter.flush(), "STO");
}

TEST(StopStrings, SayThatOneWasFoundAndGiveNothingAfterwards) {
  StopStrings filter({"X"});
  EXPECT_EQ(filter.push("aXb"), "a");
  EXPECT_TRUE(filter.found());
  EXPECT_EQ(filter.push("c"), "");
  EXPECT_EQ(filter.flush(), "");
}

TEST(StopStrings, OfSeveralTheOneThatEndsFirstCounts) {
  EXPECT_EQ(through({"abcd", "c"}, {"xabcd"}), "xab");
  EXPECT_EQ(through({"bc", "abc"}, {"xabcd"}), "x");
}

TEST(StopStrings, GiveTheSameHoweverTheTextIsCut) {
  const std::vector<std::string> stops = {"abab", "bb", "aac"};
  TestRandom random(1);
  int num_found = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    std::string text;
    for (std::size_t i = 0, length = random.below(14); i < length; ++i) text += "abc"[random.below(3)];
    std::vector<std::string> pieces = {""};
    std::vector<std::string> letters;
    for (const char c : text) {
      if (random.below(2) == 0) pieces.emplace_back();
      pieces.back() += c;
      letters.emplace_back(1, c);
    }
    const std::string expected = through(stops, letters);
    ASSERT_EQ(through(stops, {text}), expected) << text;
    ASSERT_EQ(through(stops, pieces), expected) << text;
    num_found += expected != text ? 1 : 0;
  }
  EXPECT_GT(num_found, 500);
  EXPECT_LT(num_found, 2500);
}

}  // namespace
}  // namespace gossamer
