// The metrics on cases small enough to work out by hand; metric_vectors_test.cc has Python's own results.
#include "eval/text_metrics.h"

#include <gtest/gtest.h>

#include <string>

#include "eval/python_text.h"
#include "eval/rouge.h"
#include "eval/similarity.h"

namespace gossamer {
namespace {

TEST(PythonText, LowersAsStrLower) {
  const auto lower = [](std::string_view text) { return to_utf8(python_lower(to_code_points(text))); };
  EXPECT_EQ(lower("ÄÖÜ ABC ΑΣΣ"), "äöü abc ασς");
  EXPECT_EQ(lower("Σ ΑΣ' Α'ΣΑ"), "σ ας' α'σα");
  EXPECT_EQ(lower("İ"), "i\u0307");
}

TEST(PythonText, SplitsAtUnicodeSpace) {
  EXPECT_EQ(python_split(to_code_points(" a\u00A0b\u3000\x1C c\t")).size(), 3U);
  EXPECT_EQ(python_split(to_code_points("a\u200Bb")).size(), 1U);
  EXPECT_TRUE(python_split(U" \n").empty());
  EXPECT_EQ(python_split(U"a..b", U'.').size(), 3U);
}

TEST(PythonText, FindsRunsOfDigitsOfEveryScript) {
  const auto runs = find_digit_runs(to_code_points("3 and 12, ٣x²"));
  ASSERT_EQ(runs.size(), 3U);
  EXPECT_EQ(to_utf8(runs[1]), "12");
  EXPECT_EQ(to_utf8(runs[2]), "٣");
}

TEST(TextMetrics, NormalisesAnswers) {
  EXPECT_EQ(normalize_answer("  The U.S., a\tcat-and AN the-dog!"), "us catand thedog");
  EXPECT_EQ(normalize_answer("theatre another a"), "theatre another");
  EXPECT_EQ(normalize_zh_answer(" 北京，是 ABC。"), "北京是abc");
}

TEST(TextMetrics, QaF1CountsCommonWords) {
  EXPECT_EQ(qa_f1("the cat", "A cat!"), 1.0);
  // 2 common words of 3 and of 4: p = 2/3, r = 1/2.
  EXPECT_DOUBLE_EQ(qa_f1("big red cat", "red cat sat down"), 4.0 / 7.0);
  EXPECT_DOUBLE_EQ(qa_f1("cat cat", "cat"), 2.0 / 3.0);
  EXPECT_EQ(qa_f1("", "cat"), 0.0);
  EXPECT_EQ(qa_f1("the", "the"), 0.0) << "nothing is left";
}

TEST(TextMetrics, ChineseWithoutADictionaryGoesByCharacters) {
  EXPECT_DOUBLE_EQ(qa_f1_zh("北京。", "北京市", nullptr), 0.8);  // p = 1, r = 2/3
  EXPECT_NEAR(rouge_zh("北京", "北京市", nullptr), 0.8, 1e-7);
}

TEST(TextMetrics, RetrievalIsTheShareOfRightNumbers) {
  EXPECT_EQ(retrieval_score("Paragraph 3", "Paragraph 3"), 1.0);
  EXPECT_EQ(retrieval_score("3 or 4", "Paragraph 3"), 0.5);
  EXPECT_EQ(retrieval_score("03", "Paragraph 3"), 0.0);
  EXPECT_EQ(retrieval_score("none", "Paragraph 3"), 0.0);
  EXPECT_EQ(retrieval_score("3", "3"), std::nullopt);
  EXPECT_EQ(retrieval_zh_score("段落7，不是8", "段落7"), 0.5);
  EXPECT_DOUBLE_EQ(count_score("12 of 12 or 13", "12"), 2.0 / 3.0);
}

TEST(TextMetrics, ClassificationSkipsTheClassBehindOneThatItRemoved) {
  EXPECT_EQ(classification_score("Type: Other location", "Other location", {"Other", "Other location"}), 1.0);
  EXPECT_EQ(classification_score("Location Other", "Location", {"Other", "Location"}), 0.5);
  // "number" is removed, "Other" behind it escapes, though it too is a part of the right class.
  EXPECT_EQ(classification_score("Other number", "Other number", {"number", "Other", "Other number"}), 0.5);
  EXPECT_EQ(classification_score("zzz", "Other", {"Other"}), 0.0);
}

TEST(TextMetrics, CodeSimilarityTakesTheFirstLineOfCode) {
  EXPECT_EQ(code_similarity("\n```python\n# note\nreturn x\nmore", "return x"), 1.0);
  EXPECT_EQ(code_similarity("# only a comment", "return x"), 0.0);
  EXPECT_EQ(code_similarity("# only a comment", ""), 1.0) << "fuzzywuzzy: equal strings, even empty ones";
  EXPECT_EQ(code_similarity("abcd", "abcx"), 0.75);
  EXPECT_EQ(code_similarity("ab", "ba", CodeSimilarity::kDifflib), 0.5);
}

TEST(Similarity, TheLibrariesDiffer) {
  // difflib takes the longest run first, and with it what a longer subsequence would need.
  EXPECT_DOUBLE_EQ(indel_ratio(U"axbxcx", U"abcxxx"), 2.0 * 4 / 12);
  EXPECT_DOUBLE_EQ(difflib_ratio(U"tide", U"diet"), 0.25);
  EXPECT_DOUBLE_EQ(difflib_ratio(U"diet", U"tide"), 0.5) << "the example in Python's documentation";
}

TEST(Rouge, CountsWordsOnce) {
  const auto scores = compute_rouge("the cat sat. the cat", "a cat sat on a mat");
  ASSERT_TRUE(scores);
  EXPECT_DOUBLE_EQ(scores->rouge_1.precision, 2.0 / 3.0);  // {the, cat, sat}
  EXPECT_DOUBLE_EQ(scores->rouge_1.recall, 2.0 / 5.0);     // {a, cat, sat, on, mat}
  EXPECT_DOUBLE_EQ(scores->rouge_2.precision, 1.0 / 3.0);  // {the cat, cat sat, sat the}
  EXPECT_DOUBLE_EQ(scores->rouge_l.recall, 2.0 / 5.0);
  EXPECT_FALSE(compute_rouge("...", "x"));
  EXPECT_EQ(rouge_l("", "x"), 0.0);
}

// The package recurses once a word, gives up near a thousand, and LongBench then scores 0.
TEST(Rouge, ScoresSentencesOfAnyLength) {
  std::string text;
  for (int i = 0; i < 3000; ++i) text += "word" + std::to_string(i) + " ";
  EXPECT_NEAR(rouge_l(text, text), 1.0, 1e-8);
}

}  // namespace
}  // namespace gossamer
