// gossamer eval boolq: by the likelihood of " yes" and " no"; or in chat, reported apart.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "apps/eval/eval_commands.h"
#include "apps/eval/eval_run.h"
#include "apps/eval/tasks.h"
#include "base/error.h"
#include "eval/answer_extraction.h"
#include "eval/qa_data.h"

namespace gossamer::apps {
namespace {

std::filesystem::path find_file(const BoolqOptions& options) {
  const std::filesystem::path data = options.common.data;
  if (std::filesystem::is_regular_file(data)) return data;
  if (!options.file.empty()) return data / options.file;
  for (const char* name : {"dev.jsonl", "val.jsonl", "BoolQ/dev.jsonl", "BoolQ/val.jsonl"}) {
    if (std::filesystem::exists(data / name)) return data / name;
  }
  throw Error("{}: expected dev.jsonl (BoolQ) or val.jsonl (SuperGLUE), found neither", data.string());
}

const char* word(bool yes) { return yes ? "yes" : "no"; }

Result<json::object> ask_likelihood(Subject& model, const BoolqQuestion& question) {
  const Result<LikelihoodAnswer> answer =
      model.loglikelihood({.context = boolq_prompt(question), .continuations = {" yes", " no"}});
  if (!answer.ok()) return answer.error();
  const std::vector<double>& logprobs = answer.value().logprobs;
  json::object result = {{"prediction", word(logprobs[0] > logprobs[1])},
                         {"answer", word(question.answer)},
                         {"logprobs", {{"yes", logprobs[0]}, {"no", logprobs[1]}}}};
  if (answer.value().num_dropped_tokens > 0) result["dropped_tokens"] = answer.value().num_dropped_tokens;
  return result;
}

Result<json::object> ask_chat(Subject& model, const BoolqQuestion& question, int64_t max_new_tokens) {
  const Result<CompletionAnswer> answer =
      model.complete({.prompt = boolq_chat_prompt(question), .chat = true, .max_new_tokens = max_new_tokens});
  if (!answer.ok()) return answer.error();
  const std::optional<bool> yes = extract_yes_no(answer.value().text);
  return json::object{{"prediction", yes ? word(*yes) : ""},
                      {"answer", word(question.answer)},
                      {"text", answer.value().text},
                      {"reasoning", answer.value().reasoning},
                      {"finish_reason", answer.value().finish_reason},
                      {"tokens", answer.value().num_tokens}};
}

}  // namespace

void run_boolq(const BoolqOptions& options) {
  const std::filesystem::path file = find_file(options);
  Dataset<BoolqQuestion> data = read_boolq(file);
  if (options.common.limit > 0) data.rows.resize(std::min(data.rows.size(), options.common.limit));
  json::object settings = {{"file", file.filename().string()}};
  if (options.chat) settings["max_new_tokens"] = options.max_new_tokens;
  EvalRun run(options.common, options.chat ? "boolq_chat" : "boolq", settings, options.chat);
  run.note_complaints(data.complaints);

  std::vector<EvalItem> items;
  for (const BoolqQuestion& question : data.rows) {
    items.push_back({.id = question.id,
                     .where = question.where,
                     .text = (options.chat ? boolq_chat_prompt(question) : boolq_prompt(question)) +
                             word(question.answer),
                     .ask = [&options, &question](Subject& model) {
                       return options.chat ? ask_chat(model, question, options.max_new_tokens)
                                           : ask_likelihood(model, question);
                     }});
  }
  run.answer(items);

  std::size_t right = 0;
  std::size_t yes = 0;
  std::size_t without_answer = 0;
  std::size_t cut = 0;
  for (const BoolqQuestion& question : data.rows) {
    yes += question.answer ? 1U : 0U;
    const json::object* prediction = run.prediction(question.id);
    if (prediction == nullptr) continue;
    const std::string_view said = prediction->at("prediction").as_string();
    right += said == word(question.answer) ? 1U : 0U;
    without_answer += said.empty() ? 1U : 0U;
    cut += prediction->contains("dropped_tokens") ? 1U : 0U;
  }
  ScoreTable table(fmt::format("BoolQ, {} ({}): questions, accuracy in %, 95 % interval",
                               file.filename().string(), options.chat ? "chat" : "zero-shot, by likelihood"));
  json::object result = {{"accuracy", table.add_share("accuracy", right, data.rows.size())},
                         {"answer_yes", yes},
                         {"without_answer", without_answer},
                         {"cut_prompts", cut}};
  table.add_line(fmt::format("always answering yes would give {:.2f}",
                             100.0 * static_cast<double>(yes) / static_cast<double>(data.rows.size())));
  if (options.chat)
    table.add_line(fmt::format("{} answers were neither yes nor no and count as wrong", without_answer));
  if (cut > 0)
    table.add_line(fmt::format("{} prompts were too long for the model and lost their beginning", cut));
  run.report(std::move(result), table);
}

void add_eval_boolq(CLI::App& eval) {
  CLI::App* command = eval.add_subcommand(
      "boolq", "BoolQ: yes or no about a passage, by the likelihood of \" yes\" and \" no\"");
  auto options = std::make_shared<BoolqOptions>();
  add_eval_options(*command, options->common,
                   "The folder with BoolQ's dev.jsonl or SuperGLUE's val.jsonl, or such a file");
  command->add_option("--file", options->file, "Another file of the folder, such as train.jsonl");
  command->add_flag("--chat", options->chat,
                    "Ask in chat and read yes or no out of the answer: another number, in files of its own");
  command->add_option("--max-new-tokens", options->max_new_tokens, "In chat: of reasoning and answer")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->callback([options] { run_boolq(*options); });
}

}  // namespace gossamer::apps
