// gossamer eval gsm8k: word problems in chat; the answer is a number read out of what the model writes.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "apps/eval/eval_commands.h"
#include "apps/eval/eval_run.h"
#include "base/error.h"
#include "eval/answer_extraction.h"
#include "eval/qa_data.h"

namespace gossamer::apps {
namespace {

struct Options {
  EvalOptions common;
  int64_t max_new_tokens = 4096;
};

std::filesystem::path find_file(const std::filesystem::path& data) {
  if (std::filesystem::is_regular_file(data)) return data;
  for (const char* name : {"test.jsonl", "grade_school_math/data/test.jsonl", "main/test.jsonl"}) {
    if (std::filesystem::exists(data / name)) return data / name;
  }
  throw Error("{}: expected test.jsonl of GSM8K", data.string());
}

bool is_right(const json::object& prediction, const char* field, const Gsm8kQuestion& question) {
  const json::value& said = prediction.at(field);
  return said.is_string() && is_same_number(std::string_view(said.get_string()), question.answer);
}

json::value or_null(const std::optional<std::string>& text) {
  return text ? json::value(*text) : json::value(nullptr);
}

void run(const Options& options) {
  const std::filesystem::path file = find_file(options.common.data);
  Dataset<Gsm8kQuestion> data = read_gsm8k(file);
  if (options.common.limit > 0) data.rows.resize(std::min(data.rows.size(), options.common.limit));
  EvalRun run(options.common, "gsm8k",
              {{"file", file.filename().string()}, {"max_new_tokens", options.max_new_tokens}},
              /*needs_chat=*/true);
  run.note_complaints(data.complaints);

  std::vector<EvalItem> items;
  for (const Gsm8kQuestion& question : data.rows) {
    items.push_back({.id = question.id,
                     .where = question.where,
                     .text = gsm8k_chat_prompt(question) + question.answer,
                     .ask = [&options, &question](Subject& model) -> Result<json::object> {
                       const Result<CompletionAnswer> answer =
                           model.complete({.prompt = gsm8k_chat_prompt(question),
                                           .chat = true,
                                           .max_new_tokens = options.max_new_tokens});
                       if (!answer.ok()) return answer.error();
                       const std::string& text = answer.value().text;
                       return json::object{{"strict", or_null(extract_number_strict(text))},
                                           {"flexible", or_null(extract_number(text))},
                                           {"answer", question.answer},
                                           {"text", text},
                                           {"reasoning", answer.value().reasoning},
                                           {"finish_reason", answer.value().finish_reason},
                                           {"tokens", answer.value().num_tokens}};
                     }});
  }
  run.answer(items);

  std::size_t strict = 0;
  std::size_t flexible = 0;
  std::size_t cut = 0;
  for (const Gsm8kQuestion& question : data.rows) {
    const json::object* prediction = run.prediction(question.id);
    if (prediction == nullptr) continue;
    strict += is_right(*prediction, "strict", question) ? 1U : 0U;
    flexible += is_right(*prediction, "flexible", question) ? 1U : 0U;
    cut += prediction->at("finish_reason").as_string() == "length" ? 1U : 0U;
  }
  ScoreTable table("GSM8K (chat, zero-shot): questions, accuracy in %, 95 % interval");
  json::object result;
  result["strict"] = table.add_share("behind \"#### \"", strict, data.rows.size());
  result["flexible"] = table.add_share("the last number", flexible, data.rows.size());
  result["cut_answers"] = cut;
  table.add_line(fmt::format("{} answers were cut at {} tokens", cut, options.max_new_tokens));
  run.report(std::move(result), table);
}

}  // namespace

void add_eval_gsm8k(CLI::App& eval) {
  CLI::App* command = eval.add_subcommand("gsm8k", "GSM8K: word problems in chat, the number checked");
  auto options = std::make_shared<Options>();
  add_eval_options(*command, options->common, "The folder with GSM8K's test.jsonl, or such a file");
  command->add_option("--max-new-tokens", options->max_new_tokens, "Of reasoning and answer")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->callback([options] { run(*options); });
}

}  // namespace gossamer::apps
