// Haystacks, what is hidden in them, and how answers are judged. Tokens here are words and marks, so that
// every count can be checked by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "eval/needle_task.h"
#include "eval/needle_text.h"

namespace gossamer {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::EndsWith;
using testing::Ge;
using testing::HasSubstr;
using testing::Le;
using testing::StartsWith;

// Words and marks: "It is red." has four.
int64_t count_marks(std::string_view text) {
  int64_t count = 0;
  bool in_word = false;
  for (const char c : text) {
    const bool letter = std::isalnum(static_cast<unsigned char>(c)) != 0;
    if (letter && !in_word) ++count;
    if (!letter && c != ' ' && c != '\n') ++count;
    in_word = letter;
  }
  return count;
}

std::size_t occurrences(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

// Sentences of one to twelve words, none like another.
Haystack numbered_hay() {
  std::string text;
  for (int i = 0; i < 100; ++i) {
    for (int word = 0; word < i % 12; ++word) text += "word ";
    text += "number" + std::to_string(i) + (i % 5 == 0 ? "?\n\n" : ". ");
  }
  return Haystack({text});
}

HayPrompt make_prompt(const Haystack& hay, int64_t max_tokens, double depth,
                      const CountTokens& count = count_marks) {
  const auto prompt = make_hay_prompt(hay, "", {{.text = "The secret code is 7842.", .depth = depth}},
                                      "\n\nWhat is the secret code?", max_tokens, count, max_tokens / 2);
  EXPECT_TRUE(prompt.has_value());
  return prompt.value_or(HayPrompt{});
}

TEST(Haystack, BeginsAgainWhereItEnds) {
  const Haystack hay({"One two. Three", "four!"});
  EXPECT_EQ(hay.first_words(4), "One two. Three four!");
  EXPECT_EQ(hay.first_words(10), "One two. Three four! One two. Three four! One two.");
  EXPECT_EQ(hay.first_words(0), "");
}

TEST(Haystack, EndsACutSentenceWithAFullStop) {
  const Haystack hay({"Come in, she said, and sit \"down.\" Now."});
  EXPECT_EQ(hay.first_words(2), "Come in.");
  EXPECT_EQ(hay.first_words(7), "Come in, she said, and sit \"down.\"");
}

TEST(Haystack, HasOneSpaceForEveryWhiteSpace) {
  EXPECT_EQ(Haystack({"\xEF\xBB\xBF  a\r\n\r\nb\t c\xC2\xA0"
                      "d \n",
                      "e"})
                .text(),
            "a b c d e");
}

TEST(Haystack, KnowsWhereSentencesBegin) {
  const Haystack hay({"One. Two (too.) Three 3.5 is"});
  EXPECT_EQ(hay.first_words(6), "One. Two (too.) Three 3.5 is.");
  EXPECT_THAT(hay.sentence_starts(6), ElementsAre(0, 5, 16, 29));
  // Where the text begins again, so does a sentence.
  EXPECT_EQ(hay.first_words(7), "One. Two (too.) Three 3.5 is One.");
  EXPECT_THAT(hay.sentence_starts(7), ElementsAre(0, 5, 16, 29, 33));
}

TEST(Haystack, CutsChineseBetweenCharacters) {
  const Haystack hay({"天地玄黄。宇宙洪荒!日月"});
  EXPECT_EQ(hay.first_words(2), "天地.");
  EXPECT_EQ(hay.first_words(4), "天地玄黄。");
  EXPECT_EQ(hay.sentence_starts(6)[1], std::string("天地玄黄。").size());
}

TEST(Haystack, RefusesToBeEmpty) { EXPECT_THROW(Haystack({" \n", ""}), Error); }

TEST(MostThatFits, FindsTheLargestWithFewQuestions) {
  for (const int64_t target : {0, 1, 5, 99, 100, 12345, 987654}) {
    for (const int64_t guess : {0, 1, 700, 1000000}) {
      int asked = 0;
      // Steps of unequal size: every third is long.
      const auto count = [&](int64_t n) {
        ++asked;
        return n + 20 * (n / 3);
      };
      const int64_t most = most_that_fits(guess, 1 << 30, target, 0, count);
      EXPECT_LE(count(most), target);
      EXPECT_GT(count(most + 1), target);
      EXPECT_LT(asked, 60) << target << " from " << guess;
    }
  }
}

TEST(MostThatFits, SaysWhenNothingFitsAndStopsAtTheMost) {
  EXPECT_EQ(most_that_fits(5, 10, 3, 0, [](int64_t n) { return n + 4; }), -1);
  EXPECT_EQ(most_that_fits(5, 10, 1000, 0, [](int64_t n) { return n; }), 10);
}

TEST(HayPrompt, HasTheLengthAskedForOrAFewTokensLess) {
  const Haystack hay = numbered_hay();
  for (const int64_t length : {20, 33, 64, 100, 512, 1000, 4096, 20000}) {
    for (const double depth : {0.0, 0.25, 0.5, 0.75, 1.0}) {
      const HayPrompt prompt = make_prompt(hay, length, depth);
      EXPECT_EQ(count_marks(prompt.text), prompt.num_tokens);
      EXPECT_THAT(prompt.num_tokens, AllOf(Le(length), Ge(length - 5))) << depth;
    }
  }
}

// Tokens whose number depends on what stands beside them, as those of real tokenizers do.
TEST(HayPrompt, KeepsToTheLengthWhenPartsCountOtherwiseThanTheWhole) {
  const auto count = [](std::string_view text) {
    return static_cast<int64_t>(text.size() + 3) / 4 + (text.ends_with('.') ? 2 : 0);
  };
  const Haystack hay = numbered_hay();
  for (int64_t length = 64; length < 96; ++length) {
    const HayPrompt prompt = make_prompt(hay, length, 0.5, count);
    EXPECT_THAT(count(prompt.text), AllOf(Le(length), Ge(length - 8)));
  }
}

TEST(HayPrompt, HasTheNeedleOnceAndWholeBetweenTwoSentences) {
  const Haystack hay = numbered_hay();
  const std::string needle = "The secret code is 7842.";
  for (int i = 0; i <= 40; ++i) {
    const HayPrompt prompt = make_prompt(hay, 700, i / 40.0);
    ASSERT_EQ(occurrences(prompt.text, needle), 1U);
    const std::size_t at = prompt.text.find(needle);
    if (at > 0) {
      EXPECT_EQ(prompt.text[at - 1], ' ');
      EXPECT_THAT(std::string(".?"), HasSubstr(std::string(1, prompt.text[at - 2])));
    }
    const char next = prompt.text[at + needle.size()];
    EXPECT_TRUE(next == ' ' || next == '\n');
    std::string without = prompt.text;
    without.erase(at, needle.size() + (next == ' ' ? 1 : 0));
    if (next == '\n') without.erase(at - 1, 1);
    EXPECT_EQ(without, hay.first_words(prompt.num_words) + "\n\nWhat is the secret code?");
  }
}

TEST(HayPrompt, PutsTheNeedleAtTheSentenceOfTheDepth) {
  const Haystack hay = numbered_hay();
  for (int i = 0; i <= 40; ++i) {
    const double depth = i / 40.0;
    const HayPrompt prompt = make_prompt(hay, 2000, depth);
    const std::string text = hay.first_words(prompt.num_words);
    const auto all = static_cast<double>(count_marks(text));
    const auto before =
        static_cast<double>(count_marks(prompt.text.substr(0, prompt.text.find("The secret"))));
    EXPECT_DOUBLE_EQ(prompt.depth, before / all);
    // Not behind the depth, and less than the longest sentence, of 13 tokens, in front of it.
    EXPECT_THAT(before, AllOf(Le(depth * all), testing::Gt(depth * all - 14))) << depth;
  }
  EXPECT_THAT(make_prompt(hay, 2000, 0.0).text, StartsWith("The secret code is 7842. "));
  EXPECT_THAT(make_prompt(hay, 2000, 1.0).text,
              EndsWith(" The secret code is 7842.\n\nWhat is the secret code?"));
}

TEST(HayPrompt, IsTheSameEveryTimeAndFromEveryGuess) {
  const Haystack hay = numbered_hay();
  const auto prompt = [&](int64_t guess) {
    return make_hay_prompt(hay, "Read. ", {{.text = "Here.", .depth = 0.4}, {.text = "There.", .depth = 0.1}},
                           "\n?", 333, count_marks, guess)
        ->text;
  };
  EXPECT_EQ(prompt(100), prompt(100));
  EXPECT_LT(prompt(1).find("There."), prompt(1).find("Here."));
  EXPECT_THAT(prompt(1), StartsWith("Read. "));
}

TEST(HayPrompt, IsRefusedWhereNotAWordFits) {
  const Haystack hay = numbered_hay();
  const std::vector<Insertion> needle = {{.text = "The secret code is 7842.", .depth = 0.0}};
  EXPECT_FALSE(make_hay_prompt(hay, "", needle, "\n\nWhat?", 8, count_marks, 10));
  EXPECT_TRUE(make_hay_prompt(hay, "", needle, "\n\nWhat?", 12, count_marks, 10));
}

TEST(NeedleTask, AsksForTheLastNumberOrTheLastWord) {
  EXPECT_EQ(derive_expected("The secret code is 7842."), "7842");
  EXPECT_EQ(derive_expected("From 12 to 34, said he."), "34");
  EXPECT_EQ(derive_expected("Her favourite colour is blue!"), "blue");
  EXPECT_EQ(derive_expected("密码是 9?"), "9");
  EXPECT_EQ(derive_expected(" ... "), std::nullopt);
}

TEST(NeedleTask, HasTheFormsOfChatAndOfPlainText) {
  const NeedleQuestion question = make_needle_question({}, 4096, 0.5);
  EXPECT_EQ(question.before, "");
  EXPECT_EQ(question.insertions.front().text, "The secret code is 7842.");
  EXPECT_EQ(question.insertions.front().depth, 0.5);
  EXPECT_THAT(question.expected, ElementsAre("7842"));
  EXPECT_EQ(question.after(true), "\n\nWhat is the secret code?");
  EXPECT_EQ(question.after(false), "\n\nQuestion: What is the secret code?\nAnswer:");
}

TEST(NeedleTask, DrawsARandomCodeForEveryCellAndTheSameOneAgain) {
  const NeedleTask task = {.needle = "Code 7842, I say: 7842.", .random_codes = true, .seed = 5};
  std::set<std::string> codes;
  for (const int64_t length : {512, 1024, 2048}) {
    for (const double depth : {0.0, 0.25, 0.5}) {
      const NeedleQuestion question = make_needle_question(task, length, depth);
      const std::string& code = question.expected.at(0);
      EXPECT_EQ(code.size(), 4U);
      EXPECT_EQ(question.insertions.front().text, "Code " + code + ", I say: " + code + ".");
      EXPECT_EQ(make_needle_question(task, length, depth).expected, question.expected);
      codes.insert(code);
    }
  }
  EXPECT_GE(codes.size(), 8U);
  NeedleTask other = task;
  other.seed = 6;
  EXPECT_NE(make_needle_question(other, 512, 0.0).expected, make_needle_question(task, 512, 0.0).expected);
}

TEST(NeedleTask, RefusesRandomCodesWhereThereIsNoNumber) {
  EXPECT_THROW(make_needle_question({.needle = "It is blue.", .random_codes = true}, 512, 0.0), Error);
  EXPECT_THROW(make_needle_question({.expected = {"1234"}, .random_codes = true}, 512, 0.0), Error);
  EXPECT_THROW(make_needle_question({.needle = "..."}, 512, 0.0), Error);
}

TEST(NeedleTask, HidesDistractorsOfTheSameFormInRuler) {
  const NeedleQuestion question =
      make_needle_question({.kind = NeedleKind::kRuler, .num_keys = 4}, 4096, 0.75);
  ASSERT_EQ(question.insertions.size(), 4U);
  EXPECT_EQ(question.insertions.front().depth, 0.75);
  const std::string& number = question.expected.at(0);
  EXPECT_EQ(number.size(), 7U);
  std::set<std::string> texts;
  for (const Insertion& insertion : question.insertions) {
    EXPECT_THAT(insertion.text, StartsWith("One of the special magic numbers for "));
    EXPECT_EQ(insertion.text.find(number) != std::string::npos, texts.empty());
    texts.insert(insertion.text);
  }
  EXPECT_EQ(texts.size(), 4U);
  const std::string key =
      question.question.substr(std::string("What is the special magic number for ").size());
  EXPECT_THAT(question.insertions.front().text, HasSubstr(key.substr(0, key.find(" mentioned"))));
  EXPECT_THAT(question.after(false), EndsWith("mentioned in the provided text is"));
  EXPECT_THROW(make_needle_question({.kind = NeedleKind::kRuler, .num_keys = 0}, 4096, 0.0), Error);
  EXPECT_THROW(make_needle_question({.kind = NeedleKind::kRuler, .num_keys = 257}, 4096, 0.0), Error);
  EXPECT_EQ(make_needle_question({.kind = NeedleKind::kRuler, .num_keys = 256}, 4096, 0.0).insertions.size(),
            256U);
}

TEST(NeedleTask, AsksForAPassKey) {
  const NeedleQuestion question = make_needle_question({.kind = NeedleKind::kPasskey}, 4096, 0.0);
  EXPECT_THAT(
      question.insertions.front().text,
      AllOf(HasSubstr("The pass key is " + question.expected.at(0) + "."), HasSubstr("Remember it.")));
  EXPECT_EQ(question.after(false), "\n\nWhat is the pass key? The pass key is");
  EXPECT_EQ(question.after(true), "\n\nWhat is the pass key?");
}

TEST(NeedleScore, SeesTheAnswerHoweverItIsWritten) {
  EXPECT_EQ(needle_score("7842", {"7842"}), 1.0);
  EXPECT_EQ(needle_score("The secret code is **7842**.", {"7842"}), 1.0);
  EXPECT_EQ(needle_score("It is 7,842!", {"7842"}), 1.0);
  EXPECT_EQ(needle_score("dolores\n\xC2\xA0PARK", {"Dolores Park"}), 1.0);
  EXPECT_EQ(needle_score("the A\xE2\x80\x91"
                         "7 road",
                         {"a-7"}),
            1.0);
  EXPECT_EQ(needle_score("codes: 1234,7842,1", {"7842"}), 1.0);
}

TEST(NeedleScore, DoesNotTakeAPartOfANumberForTheNumber) {
  EXPECT_EQ(needle_score("17842", {"7842"}), 0.0);
  EXPECT_EQ(needle_score("78421", {"7842"}), 0.0);
  EXPECT_EQ(needle_score("78421 or 7842", {"7842"}), 1.0);
  EXPECT_EQ(needle_score("17,842", {"7842"}), 0.0);
}

TEST(NeedleScore, IsTheShareThatWasFound) {
  const std::vector<std::string> both = {"sandwich", "Dolores Park"};
  EXPECT_EQ(needle_score("Eat a sandwich in Dolores Park.", both), 1.0);
  EXPECT_EQ(needle_score("Eat a sandwich.", both), 0.5);
  EXPECT_EQ(needle_score("Go home.", both), 0.0);
  EXPECT_EQ(needle_score("", both), 0.0);
}

}  // namespace
}  // namespace gossamer
