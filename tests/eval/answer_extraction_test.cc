#include "eval/answer_extraction.h"

#include <gtest/gtest.h>

namespace gossamer {
namespace {

TEST(AnswerExtraction, FindsTheLastChoiceBehindItsLabel) {
  EXPECT_EQ(extract_choice_zh("答案：B"), 'B');
  EXPECT_EQ(extract_choice_zh("先看A。答案是 **C**。"), 'C');
  EXPECT_EQ(extract_choice_zh("答案为A？不，答案是D"), 'D');
  EXPECT_EQ(extract_choice_zh("答案（B）"), 'B');
  EXPECT_EQ(extract_choice_zh("B."), 'B');
  EXPECT_EQ(extract_choice_zh("选项C正确"), 'C');
  EXPECT_EQ(extract_choice_zh("A或者B"), std::nullopt);
  EXPECT_EQ(extract_choice_zh("答案：ABC"), std::nullopt);
  EXPECT_EQ(extract_choice_zh("Because"), std::nullopt);
  EXPECT_EQ(extract_choice_zh(""), std::nullopt);
}

TEST(AnswerExtraction, FindsLongBenchV2sPhrase) {
  EXPECT_EQ(extract_longbench_v2("The correct answer is (B)."), 'B');
  EXPECT_EQ(extract_longbench_v2("**The correct answer is** C"), 'C');
  EXPECT_EQ(extract_longbench_v2("The correct answer is A, no: The correct answer is (D)"), 'D');
  EXPECT_EQ(extract_longbench_v2("(B)"), std::nullopt);
}

TEST(AnswerExtraction, ReadsYesAndNo) {
  EXPECT_EQ(extract_yes_no(" **Yes**, it is"), true);
  EXPECT_EQ(extract_yes_no("no"), false);
  EXPECT_EQ(extract_yes_no("Not at all"), std::nullopt);
}

TEST(AnswerExtraction, ReadsNumbers) {
  EXPECT_EQ(extract_number_strict("2 + 2 = 4\n#### 1,234."), "1234");
  EXPECT_EQ(extract_number_strict("#### -5 apples"), "-5");
  EXPECT_EQ(extract_number_strict("the answer is 5"), std::nullopt);
  EXPECT_EQ(extract_number("first 3, then $18.50."), "18.50");
  EXPECT_EQ(extract_number("it costs $1,000"), "1000");
  EXPECT_EQ(extract_number("5 - 7 = -2"), "-2");
  EXPECT_EQ(extract_number("none..., -"), std::nullopt);
  EXPECT_TRUE(is_same_number("18", "18.00"));
  EXPECT_TRUE(is_same_number("018", "18"));
  EXPECT_TRUE(is_same_number("-0", "0"));
  EXPECT_TRUE(is_same_number(".5", "0.50"));
  EXPECT_FALSE(is_same_number("180", "18"));
  EXPECT_FALSE(is_same_number("-2", "2"));
}

}  // namespace
}  // namespace gossamer
