#include "eval/qa_data.h"

#include <fmt/format.h>

#include <utility>

#include "eval/answer_extraction.h"
#include "eval/jsonl.h"

namespace gossamer {

Dataset<BoolqQuestion> read_boolq(const std::filesystem::path& file) {
  Dataset<JsonRow> lines = read_json_rows(file);
  Dataset<BoolqQuestion> result{.complaints = std::move(lines.complaints)};
  for (const JsonRow& line : lines.rows) {
    JsonRowReader reader(line.object);
    BoolqQuestion question{.id = std::to_string(line.line),
                           .where = row_location(file, line.line),
                           .passage = reader.string({"passage"}),
                           .question = reader.string({"question"}),
                           .answer = reader.flag({"answer", "label"})};
    if (reader.mistake()) {
      result.complaints.push_back({question.where, *reader.mistake()});
    } else {
      result.rows.push_back(std::move(question));
    }
  }
  return result;
}

std::string boolq_prompt(const BoolqQuestion& question) {
  return fmt::format("{}\nQuestion: {}?\nAnswer:", question.passage, question.question);
}

std::string boolq_chat_prompt(const BoolqQuestion& question) {
  return fmt::format("{}\n\nQuestion: {}?\nAnswer with yes or no only.", question.passage, question.question);
}

Dataset<Gsm8kQuestion> read_gsm8k(const std::filesystem::path& file) {
  Dataset<JsonRow> lines = read_json_rows(file);
  Dataset<Gsm8kQuestion> result{.complaints = std::move(lines.complaints)};
  for (const JsonRow& line : lines.rows) {
    JsonRowReader reader(line.object);
    const std::string where = row_location(file, line.line);
    const std::string question = reader.string({"question"});
    const std::string solution = reader.string({"answer"});
    const std::optional<std::string> answer = extract_number_strict(solution);
    if (reader.mistake()) {
      result.complaints.push_back({where, *reader.mistake()});
    } else if (!answer) {
      result.complaints.push_back({where, "answer: expected a number behind \"#### \", found none"});
    } else {
      result.rows.push_back(
          {.id = std::to_string(line.line), .where = where, .question = question, .answer = *answer});
    }
  }
  return result;
}

std::string gsm8k_chat_prompt(const Gsm8kQuestion& question) {
  return fmt::format(
      "{}\n\nReason step by step. End with a line \"#### N\", where N is the answer, a number without a "
      "unit.",
      question.question);
}

}  // namespace gossamer
