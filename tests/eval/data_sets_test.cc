// The readers and prompts of the data sets, and the windows of perplexity.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/error.h"
#include "eval/ceval.h"
#include "eval/longbench.h"
#include "eval/perplexity_windows.h"
#include "eval/qa_data.h"
#include "tests/checkpoint/test_folder.h"

namespace gossamer {
namespace {

using test::TestFolder;
using test::write_file;

TEST(Ceval, HasThePublishedSubjects) {
  std::set<std::string_view> names;
  std::map<std::string_view, int> categories;
  int hard = 0;
  for (const CevalSubject& subject : ceval_subjects()) {
    names.insert(subject.name);
    ++categories[subject.category];
    hard += subject.hard ? 1 : 0;
  }
  EXPECT_EQ(names.size(), 52U);
  EXPECT_EQ(hard, 8);
  EXPECT_EQ(categories["STEM"], 20);
  EXPECT_EQ(categories["Social Science"], 10);
  EXPECT_EQ(categories["Humanities"], 11);
  EXPECT_EQ(categories["Other"], 11);
}

TEST(Ceval, PromptIsTheOfficialOne) {
  const CevalSubject law{.name = "law", .chinese = "法学", .category = "Humanities", .hard = false};
  const CevalQuestion example{
      .id = "0", .where = "", .question = "问", .choices = {"a", "b", "c", "d"}, .answer = "C"};
  EXPECT_EQ(ceval_prompt(law, std::span(&example, 1), example),
            "以下是中国关于法学考试的单项选择题，请选出其中的正确答案。\n\n"
            "问\nA. a\nB. b\nC. c\nD. d\n答案：C\n\n问\nA. a\nB. b\nC. c\nD. d\n答案：");
}

TEST(Boolq, TakesBothPublishedForms) {
  const TestFolder folder;
  write_file(folder / "d.jsonl",
             "{\"question\": \"is it\", \"passage\": \"P.\", \"answer\": true, \"title\": \"t\"}\n"
             "{\"question\": \"is it\", \"passage\": \"P.\", \"idx\": 1, \"label\": 0}\n"
             "{\"question\": \"is it\", \"passage\": \"P.\", \"label\": \"yes\"}\n");
  const auto data = read_boolq(folder / "d.jsonl");
  ASSERT_EQ(data.rows.size(), 2U);
  EXPECT_TRUE(data.rows[0].answer);
  EXPECT_FALSE(data.rows[1].answer);
  EXPECT_EQ(boolq_prompt(data.rows[0]), "P.\nQuestion: is it?\nAnswer:");
  ASSERT_EQ(data.complaints.size(), 1U);
  EXPECT_EQ(data.complaints[0].what, "answer or label: expected true, false, 1 or 0, found \"yes\"");
}

TEST(Longbench, HasTheTasksOfTheOriginal) {
  EXPECT_EQ(longbench_tasks().size(), 21U);
  int in_e = 0;
  int in_chat = 0;
  for (const LongbenchTask& task : longbench_tasks()) {
    in_e += task.in_e ? 1 : 0;
    in_chat += task.is_chat ? 1 : 0;
    EXPECT_NE(task.prompt.find("{context}"), std::string_view::npos) << task.name;
  }
  EXPECT_EQ(in_e, 13);
  EXPECT_EQ(in_chat, 15);
  EXPECT_EQ(longbench_bucket(3999), 0U);
  EXPECT_EQ(longbench_bucket(4000), 1U);
  EXPECT_EQ(longbench_bucket(8000), 2U);
}

const LongbenchTask& task_of(std::string_view name) {
  for (const LongbenchTask& task : longbench_tasks()) {
    if (task.name == name) return task;
  }
  throw Error("no task {}", name);
}

// What a context says is no place to fill in.
TEST(Longbench, FillsPlacesOnce) {
  const LongbenchRow row{.input = "Q{context}", .context = "C{input}"};
  EXPECT_EQ(longbench_prompt(task_of("trec"), row),
            "Please determine the type of the question below. Here are some examples of "
            "questions.\n\nC{input}\nQ{context}");
}

TEST(Longbench, ScoresTheBestAnswerAndOfSomeTasksTheFirstLine) {
  LongbenchRow row{.answers = {"rome", "Paris France"}};
  EXPECT_EQ(longbench_score(task_of("hotpotqa"), row, "Rome.", nullptr), 1.0);
  EXPECT_DOUBLE_EQ(longbench_score(task_of("hotpotqa"), row, "Paris", nullptr), 2.0 / 3.0);
  EXPECT_EQ(longbench_score(task_of("triviaqa"), row, "\n\nRome\nQuestion: more", nullptr), 1.0);
  EXPECT_LT(longbench_score(task_of("hotpotqa"), row, "\n\nRome\nQuestion: more", nullptr), 1.0);
  EXPECT_EQ(longbench_score(task_of("triviaqa"), row, "", nullptr), 0.0);
}

TEST(Longbench, NamesRowsThatItsMetricCannotScore) {
  const TestFolder folder;
  const std::string row =
      "{\"input\": \"x\", \"context\": \"c\", \"length\": 3, \"all_classes\": null, \"answers\": ";
  write_file(folder / "t.jsonl", row + "[\"Paragraph 3\"]}\n" + row + "[\"3\"]}\n" + row + "[]}\n");
  const auto data = read_longbench(folder / "t.jsonl", task_of("passage_retrieval_en"));
  EXPECT_EQ(data.rows.size(), 1U);
  EXPECT_EQ(data.complaints.size(), 2U);
  EXPECT_EQ(read_longbench(folder / "t.jsonl", task_of("trec")).rows.size(), 0U);
}

TEST(PerplexityWindows, LlamaScoresSecondHalves) {
  const auto windows = llama_windows(25, 8, 0);
  ASSERT_EQ(windows.size(), 3U);
  EXPECT_EQ(windows[1].begin, 8U);
  EXPECT_EQ(windows[1].end, 16U);
  EXPECT_EQ(windows[1].num_scored, 3U) << "positions 4 to 6 predict 5 to 7";
  const auto strided = llama_windows(25, 8, 4);
  ASSERT_EQ(strided.size(), 4U) << "(25 - 10 + 3) / 4";
  EXPECT_EQ(strided[1].begin, 4U);
  EXPECT_EQ(strided[1].end, 14U);
  EXPECT_EQ(strided[1].num_scored, 4U);
}

TEST(PerplexityWindows, SlidingScoresEveryTokenOnce) {
  for (const std::size_t stride : {2U, 3U, 8U}) {
    std::size_t next = 1;  // the first that is scored
    for (const PerplexityWindow& window : sliding_windows(21, 8, stride)) {
      if (stride == 8 && window.begin > 0) ++next;  // without overlap nothing predicts a window's first
      EXPECT_EQ(window.end - window.num_scored, next);
      EXPECT_LE(window.end - window.begin, 8U);
      next = window.end;
    }
    EXPECT_EQ(next, 21U);
  }
}

// As lm-evaluation-harness's own example has it: the last window looks back over scored tokens.
TEST(PerplexityWindows, RollingScoresEveryToken) {
  const auto windows = rolling_windows(10, 4);
  ASSERT_EQ(windows.size(), 3U);
  EXPECT_TRUE(windows[0].after_prefix);
  EXPECT_EQ(windows[0].num_scored, 4U);
  EXPECT_FALSE(windows[1].after_prefix);
  EXPECT_EQ(windows[1].begin, 3U) << "one token of context";
  EXPECT_EQ(windows[1].num_scored, 4U);
  EXPECT_EQ(windows[2].begin, 5U);
  EXPECT_EQ(windows[2].num_scored, 2U);
  const auto shorter = rolling_windows(3, 4);
  ASSERT_EQ(shorter.size(), 1U);
  EXPECT_TRUE(shorter[0].after_prefix);
  EXPECT_EQ(shorter[0].num_scored, 3U);
}

TEST(Wikitext, SplitsAndDetokenizes) {
  const auto pages = split_wikitext(" \n = One = \n text \n = = Part = = \n more \n = Two = \n end \n");
  ASSERT_EQ(pages.size(), 2U);
  EXPECT_EQ(pages[0], " = One = \n text \n = = Part = = \n more ");
  EXPECT_EQ(detokenize_wikitext("it 's ( a ) \" q \" , 1 @,@ 000 @-@ x . y"), "it's (a) \"q\", 1,000-x. y");
  EXPECT_EQ(detokenize_wikitext("( open [ b ] \n = = T = = \n"), "( open [b]\n== T ==\n");
  EXPECT_EQ(count_words("a b\n\nc"), 3U);
  EXPECT_EQ(count_words(" a "), 3U) << "as re.split counts";
}

}  // namespace
}  // namespace gossamer
