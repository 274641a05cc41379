#include "eval/longbench.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "eval/jsonl.h"
#include "eval/python_text.h"
#include "eval/rouge.h"
#include "eval/text_metrics.h"

namespace gossamer {
namespace {

constexpr std::string_view kQaPrompt =
    "Answer the question based on the given passages. Only give me the answer and do not output any other "
    "words.\n\nThe following are given passages.\n{context}\n\nAnswer the question based on the given "
    "passages. Only give me the answer and do not output any other words.\n\nQuestion: {input}\nAnswer:";

using Metric = LongbenchMetric;

// The prompts are those of LongBench's config/dataset2prompt.json, character by character (MIT licence).
constexpr std::array<LongbenchTask, 21> kTasks = {{
    {"narrativeqa", Metric::kQaF1, 128, false, true, false,
     "You are given a story, which can be either a novel or a movie script, and a question. Answer the "
     "question as concisely as you can, using a single phrase if possible. Do not provide any "
     "explanation.\n\nStory: {context}\n\nNow, answer the question based on the story as concisely as you "
     "can, using a single phrase if possible. Do not provide any explanation.\n\nQuestion: "
     "{input}\n\nAnswer:"},
    {"qasper", Metric::kQaF1, 128, true, true, false,
     "You are given a scientific article and a question. Answer the question as concisely as you can, using "
     "a single phrase or sentence if possible. If the question cannot be answered based on the information "
     "in the article, write \"unanswerable\". If the question is a yes/no question, answer \"yes\", \"no\", "
     "or \"unanswerable\". Do not provide any explanation.\n\nArticle: {context}\n\n Answer the question "
     "based on the above article as concisely as you can, using a single phrase or sentence if possible. If "
     "the question cannot be answered based on the information in the article, write \"unanswerable\". If "
     "the question is a yes/no question, answer \"yes\", \"no\", or \"unanswerable\". Do not provide any "
     "explanation.\n\nQuestion: {input}\n\nAnswer:"},
    {"multifieldqa_en", Metric::kQaF1, 64, true, true, false,
     "Read the following text and answer briefly.\n\n{context}\n\nNow, answer the following question based "
     "on the above text, only give me the answer and do not output any other words.\n\nQuestion: "
     "{input}\nAnswer:"},
    {"multifieldqa_zh", Metric::kQaF1Zh, 64, false, true, false,
     "阅读以下文字并用中文简短回答：\n\n{context}\n\n现在请基于上面的文章回答下面的问题，只告诉我答案，不要"
     "输出任何其他字词。\n\n问题：{input}\n回答："},
    {"hotpotqa", Metric::kQaF1, 32, true, true, false, kQaPrompt},
    {"2wikimqa", Metric::kQaF1, 32, true, true, false, kQaPrompt},
    {"musique", Metric::kQaF1, 32, false, true, false, kQaPrompt},
    {"dureader", Metric::kRougeZh, 128, false, true, false,
     "请基于给定的文章回答下述问题。\n\n文章：{context}\n\n请基于上述文章回答下面的问题。\n\n问题：{input}"
     "\n回"
     "答："},
    {"gov_report", Metric::kRouge, 512, true, true, false,
     "You are given a report by a government agency. Write a one-page summary of the "
     "report.\n\nReport:\n{context}\n\nNow, write a one-page summary of the report.\n\nSummary:"},
    {"qmsum", Metric::kRouge, 512, false, true, false,
     "You are given a meeting transcript and a query containing a question or instruction. Answer the query "
     "in one or more sentences.\n\nTranscript:\n{context}\n\nNow, answer the query based on the above "
     "meeting transcript in one or more sentences.\n\nQuery: {input}\nAnswer:"},
    {"multi_news", Metric::kRouge, 512, true, true, false,
     "You are given several news passages. Write a one-page summary of all news. "
     "\n\nNews:\n{context}\n\nNow, write a one-page summary of all the news.\n\nSummary:"},
    {"vcsum", Metric::kRougeZh, 512, false, true, false,
     "下面有一段会议记录，请你阅读后，写一段总结，总结会议的内容。\n会议记录：\n{context}\n\n会议总结："},
    {"trec", Metric::kClassification, 64, true, false, true,
     "Please determine the type of the question below. Here are some examples of "
     "questions.\n\n{context}\n{input}"},
    {"triviaqa", Metric::kQaF1, 32, true, false, true,
     "Answer the question based on the given passage. Only give me the answer and do not output any other "
     "words. The following are some examples.\n\n{context}\n\n{input}"},
    {"samsum", Metric::kRouge, 128, true, false, true,
     "Summarize the dialogue into a few short sentences. The following are some "
     "examples.\n\n{context}\n\n{input}"},
    {"lsht", Metric::kClassification, 64, false, false, true,
     "请判断给定新闻的类别，下面是一些例子。\n\n{context}\n{input}"},
    {"passage_count", Metric::kCount, 32, true, true, false,
     "There are some paragraphs below sourced from Wikipedia. Some of them may be duplicates. Please "
     "carefully read these paragraphs and determine how many unique paragraphs there are after removing "
     "duplicates. In other words, how many non-repeating paragraphs are there in "
     "total?\n\n{context}\n\nPlease enter the final count of unique paragraphs after removing duplicates. "
     "The output format should only contain the number, such as 1, 2, 3, and so on.\n\nThe final answer "
     "is: "},
    {"passage_retrieval_en", Metric::kRetrieval, 32, true, true, false,
     "Here are 30 paragraphs from Wikipedia, along with an abstract. Please determine which paragraph the "
     "abstract is from.\n\n{context}\n\nThe following is an abstract.\n\n{input}\n\nPlease enter the number "
     "of the paragraph that the abstract is from. The answer format must be like \"Paragraph 1\", "
     "\"Paragraph 2\", etc.\n\nThe answer is: "},
    {"passage_retrieval_zh", Metric::kRetrievalZh, 32, false, true, false,
     "以下是若干段落文字，以及其中一个段落的摘要。请确定给定的摘要出自哪一段。\n\n{context}\n\n下面是一个摘要"
     "\n\n{input}\n\n请输入摘要所属段落的编号。答案格式必须是\"段落1\"，\"段落2\"等格式\n\n答案是："},
    {"lcc", Metric::kCodeSimilarity, 64, true, false, false,
     "Please complete the code given below. \n{context}Next line of code:\n"},
    {"repobench-p", Metric::kCodeSimilarity, 64, true, false, false,
     "Please complete the code given below. \n{context}{input}Next line of code:\n"},
}};

struct Filling {
  std::string_view place;  // "{context}"
  std::string_view text;
};

// Each place of the pattern once; what is filled in is not looked at again.
std::string fill(std::string_view pattern, std::initializer_list<Filling> fillings) {
  std::string text;
  for (std::size_t i = 0; i < pattern.size();) {
    const auto* const filling = std::find_if(fillings.begin(), fillings.end(), [&](const Filling& candidate) {
      return pattern.substr(i).starts_with(candidate.place);
    });
    if (filling == fillings.end()) {
      text += pattern[i++];
    } else {
      text += filling->text;
      i += filling->place.size();
    }
  }
  return text;
}

double score_against(const LongbenchTask& task, const LongbenchRow& row, std::string_view prediction,
                     const std::string& answer, const Jieba* jieba) {
  switch (task.metric) {
    case Metric::kQaF1:
      return qa_f1(prediction, answer);
    case Metric::kQaF1Zh:
      return qa_f1_zh(prediction, answer, jieba);
    case Metric::kRouge:
      return rouge_l(prediction, answer);
    case Metric::kRougeZh:
      return rouge_zh(prediction, answer, jieba);
    case Metric::kClassification:
      return classification_score(prediction, answer, row.all_classes);
    case Metric::kRetrieval:
      return retrieval_score(prediction, answer).value_or(0.0);
    case Metric::kRetrievalZh:
      return retrieval_zh_score(prediction, answer).value_or(0.0);
    case Metric::kCount:
      return count_score(prediction, answer);
    case Metric::kCodeSimilarity:
      return code_similarity(prediction, answer);
  }
  GOSSAMER_CHECK(false);
  return 0.0;
}

std::string strip(std::string_view text) { return to_utf8(python_strip(to_code_points(text))); }

}  // namespace

std::span<const LongbenchTask> longbench_tasks() { return kTasks; }

Dataset<LongbenchRow> read_longbench(const std::filesystem::path& file, const LongbenchTask& task) {
  Dataset<JsonRow> lines = read_json_rows(file);
  Dataset<LongbenchRow> result{.complaints = std::move(lines.complaints)};
  for (const JsonRow& line : lines.rows) {
    JsonRowReader reader(line.object);
    LongbenchRow row{.id = std::to_string(line.line),
                     .where = row_location(file, line.line),
                     .input = reader.string({"input", "question"}),
                     .context = reader.string({"context"}),
                     .answers = reader.strings({"answers"}),
                     .all_classes = reader.optional_strings("all_classes"),
                     .length = reader.integer("length")};
    const auto has_no_paragraph = [&](const auto& score) {
      return std::any_of(row.answers.begin(), row.answers.end(),
                         [&](const std::string& answer) { return !score("", answer).has_value(); });
    };
    std::optional<std::string> mistake = reader.mistake();
    if (!mistake && task.metric == Metric::kClassification && row.all_classes.empty())
      mistake = "all_classes: expected the names of the classes, found none";
    if (!mistake && task.metric == Metric::kRetrieval && has_no_paragraph(retrieval_score))
      mistake = "answers: expected \"Paragraph N\", found something else";
    if (!mistake && task.metric == Metric::kRetrievalZh && has_no_paragraph(retrieval_zh_score))
      mistake = "answers: expected \"段落N\", found something else";
    if (mistake) {
      result.complaints.push_back({row.where, *mistake});
    } else {
      result.rows.push_back(std::move(row));
    }
  }
  return result;
}

std::string longbench_prompt(const LongbenchTask& task, const LongbenchRow& row) {
  return fill(task.prompt, {{"{context}", row.context}, {"{input}", row.input}});
}

double longbench_score(const LongbenchTask& task, const LongbenchRow& row, std::string_view prediction,
                       const Jieba* jieba) {
  if (task.first_line_only) {
    prediction.remove_prefix(std::min(prediction.find_first_not_of('\n'), prediction.size()));
    prediction = prediction.substr(0, prediction.find('\n'));
  }
  double best = 0.0;
  for (const std::string& answer : row.answers)
    best = std::max(best, score_against(task, row, prediction, answer, jieba));
  return best;
}

std::size_t longbench_bucket(int64_t length) {
  constexpr int64_t kFirst = 4000;
  constexpr int64_t kSecond = 8000;
  return length < kFirst ? 0 : length < kSecond ? 1 : 2;
}

Dataset<LongbenchV2Row> read_longbench_v2(const std::filesystem::path& file) {
  const json::value all = parse_json(read_data_file(file), file.string());
  if (!all.is_array()) throw Error("{}: expected an array of questions", file.string());
  Dataset<LongbenchV2Row> result;
  std::size_t index = 0;
  for (const json::value& element : all.get_array()) {
    const std::string where = fmt::format("{}[{}]", file.string(), index++);
    if (!element.is_object()) {
      result.complaints.push_back({where, "expected an object"});
      continue;
    }
    JsonRowReader reader(element.get_object());
    LongbenchV2Row row{.id = reader.string({"_id"}),
                       .where = where,
                       .difficulty = reader.string({"difficulty"}),
                       .length = reader.string({"length"}),
                       .question = reader.string({"question"}),
                       .choices = {reader.string({"choice_A"}), reader.string({"choice_B"}),
                                   reader.string({"choice_C"}), reader.string({"choice_D"})},
                       .context = reader.string({"context"})};
    const std::string answer = reader.string({"answer"});
    std::optional<std::string> mistake = reader.mistake();
    if (!mistake && (answer.size() != 1 || answer[0] < 'A' || answer[0] > 'D'))
      mistake = fmt::format("answer: expected A, B, C or D, found \"{}\"", answer);
    if (!mistake && row.difficulty != "easy" && row.difficulty != "hard")
      mistake = fmt::format("difficulty: expected easy or hard, found \"{}\"", row.difficulty);
    if (!mistake && row.length != "short" && row.length != "medium" && row.length != "long")
      mistake = fmt::format("length: expected short, medium or long, found \"{}\"", row.length);
    if (!mistake && std::any_of(result.rows.begin(), result.rows.end(),
                                [&](const LongbenchV2Row& other) { return other.id == row.id; }))
      mistake = fmt::format("_id: expected one of its own, found \"{}\" again", row.id);
    if (mistake) {
      result.complaints.push_back({where, *mistake});
    } else {
      row.answer = answer[0];
      result.rows.push_back(std::move(row));
    }
  }
  return result;
}

std::string longbench_v2_prompt(const LongbenchV2Row& row) {
  constexpr std::string_view kPrompt =
      "Please read the following text and answer the question below.\n\n<text>\n$DOC$\n</text>\n\nWhat is "
      "the "
      "correct answer to this question: $Q$\nChoices:\n(A) $C_A$\n(B) $C_B$\n(C) $C_C$\n(D) "
      "$C_D$\n\nFormat your response as follows: \"The correct answer is (insert answer here)\".";
  return fill(kPrompt, {{"$DOC$", strip(row.context)},
                        {"$Q$", strip(row.question)},
                        {"$C_A$", strip(row.choices[0])},
                        {"$C_B$", strip(row.choices[1])},
                        {"$C_C$", strip(row.choices[2])},
                        {"$C_D$", strip(row.choices[3])}});
}

}  // namespace gossamer
