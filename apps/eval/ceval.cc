// gossamer eval ceval: 5-shot by the likelihood of A to D, as the official evaluator does it, with the files
// that Ascend's SDK leaves (device0.log, cache0.csv, result_0_*_acc.json); or in chat, reported apart.
#include "eval/ceval.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "apps/eval/eval_commands.h"
#include "apps/eval/eval_run.h"
#include "apps/eval/tasks.h"
#include "apps/text_files.h"
#include "eval/answer_extraction.h"
#include "eval/csv.h"

namespace gossamer::apps {
namespace {

constexpr std::string_view kLetters = "ABCD";

std::string item_id(const CevalSubject& subject, const CevalQuestion& question) {
  return fmt::format("{}/{}", subject.name, question.id);
}

// Fewer examples where the model is too short for all of them, from the last on.
std::string fitting_prompt(const Subject& model, const CevalData::Subject& subject,
                           const CevalQuestion& question, std::size_t& num_examples) {
  for (num_examples = subject.examples.size();; --num_examples) {
    std::string prompt =
        ceval_prompt(*subject.subject, std::span(subject.examples).first(num_examples), question);
    if (num_examples == 0 || static_cast<int64_t>(model.encode(prompt).size()) < model.max_model_len())
      return prompt;
  }
}

Result<json::object> ask_likelihood(Subject& model, const CevalData::Subject& subject,
                                    const CevalQuestion& question) {
  std::size_t num_examples = 0;
  const std::string prompt = fitting_prompt(model, subject, question, num_examples);
  const Result<LikelihoodAnswer> answer =
      model.loglikelihood({.context = prompt, .continuations = {"A", "B", "C", "D"}});
  if (!answer.ok()) return answer.error();
  const std::vector<double>& logprobs = answer.value().logprobs;
  const auto best = std::max_element(logprobs.begin(), logprobs.end()) - logprobs.begin();
  json::object result = {{"prediction", std::string(1, kLetters[static_cast<std::size_t>(best)])},
                         {"answer", question.answer},
                         {"logprobs", json::value_from(logprobs)},
                         {"examples", num_examples}};
  if (answer.value().num_dropped_tokens > 0) result["dropped_tokens"] = answer.value().num_dropped_tokens;
  return result;
}

Result<json::object> ask_chat(Subject& model, const CevalSubject& subject, const CevalQuestion& question,
                              int64_t max_new_tokens) {
  const Result<CompletionAnswer> answer = model.complete(
      {.prompt = ceval_chat_prompt(subject, question), .chat = true, .max_new_tokens = max_new_tokens});
  if (!answer.ok()) return answer.error();
  const std::optional<char> choice = extract_choice_zh(answer.value().text);
  return json::object{{"prediction", choice ? std::string(1, *choice) : std::string()},
                      {"answer", question.answer},
                      {"text", answer.value().text},
                      {"reasoning", answer.value().reasoning},
                      {"finish_reason", answer.value().finish_reason},
                      {"tokens", answer.value().num_tokens}};
}

// What the predictions amount to.
struct Counts {
  std::size_t right = 0;
  std::size_t total = 0;
  double share() const { return total == 0 ? 0.0 : static_cast<double>(right) / static_cast<double>(total); }
  void add(const Counts& other) {
    right += other.right;
    total += other.total;
  }
};

struct Scored {
  std::vector<std::pair<const CevalSubject*, std::vector<double>>> subjects;  // 1: right, 0: wrong
  std::string cache;                                                          // cache0.csv
  json::object submission;
  std::size_t without_choice = 0;  // no letter was found in a chat's answer
};

Scored score(EvalRun& run, const CevalData& data) {
  Scored scored;
  for (const CevalData::Subject& subject : data.subjects) {
    std::vector<double> rights;
    json::object answers;
    for (const CevalQuestion& question : subject.questions) {
      const json::object* prediction = run.prediction(item_id(*subject.subject, question));
      const std::string letter =
          prediction == nullptr ? std::string() : std::string(prediction->at("prediction").as_string());
      if (prediction != nullptr && letter.empty()) ++scored.without_choice;
      rights.push_back(letter == question.answer ? 1.0 : 0.0);
      answers[question.id] = letter;
      scored.cache += fmt::format("{},{},{},{}\n", subject.subject->name, csv_field(question.id),
                                  question.answer, letter);
    }
    scored.submission[subject.subject->name] = std::move(answers);
    scored.subjects.emplace_back(subject.subject, std::move(rights));
  }
  return scored;
}

Counts count(const std::vector<double>& rights) {
  return {.right = static_cast<std::size_t>(std::count(rights.begin(), rights.end(), 1.0)),
          .total = rights.size()};
}

// A Python json.dump(..., indent=2) of names and numbers.
std::string indented(const std::vector<std::pair<std::string, double>>& numbers) {
  std::string text = "{";
  for (const auto& [name, number] : numbers)
    text += fmt::format("{}\n  \"{}\": {}", text.size() > 1 ? "," : "", name, number);
  return text + "\n}\n";
}

// As Ascend's SDK counts: categories and averages over questions, not over subjects.
void write_sdk_files(const EvalRun& run, const Scored& scored) {
  std::vector<std::pair<std::string, double>> by_subject;
  std::vector<std::pair<std::string, Counts>> by_category;
  Counts all;
  Counts hard;
  for (const auto& [subject, rights] : scored.subjects) {
    const Counts counts = count(rights);
    by_subject.emplace_back(subject->name, counts.share());
    auto category = std::find_if(by_category.begin(), by_category.end(),
                                 [&](const auto& entry) { return entry.first == subject->category; });
    if (category == by_category.end())
      category = by_category.insert(by_category.end(), {std::string(subject->category), Counts{}});
    category->second.add(counts);
    all.add(counts);
    if (subject->hard) hard.add(counts);
  }
  std::vector<std::pair<std::string, double>> classes;
  for (const auto& [name, counts] : by_category) classes.emplace_back(name, counts.share());
  classes.emplace_back("Avg", all.share());
  if (hard.total > 0) classes.emplace_back("Avg(Hard)", hard.share());
  write_text_file(run.path_of("cache0.csv"), scored.cache);
  write_text_file(run.path_of("result_0_subject_acc.json"), indented(by_subject));
  write_text_file(run.path_of("result_0_classes_acc.json"), indented(classes));
}

json::object make_table(const Scored& scored, ScoreTable& table) {
  json::object by_subject;
  json::object by_category;
  std::map<std::string, std::vector<std::vector<double>>> groups;
  std::vector<std::string> order;  // of categories
  std::vector<std::vector<double>> all;
  std::vector<std::vector<double>> hard;
  Counts counts;
  for (const auto& [subject, rights] : scored.subjects) {
    const Counts of_subject = count(rights);
    by_subject[subject->name] =
        table.add_share(std::string(subject->name), of_subject.right, of_subject.total);
    const std::string category(subject->category);
    if (!groups.contains(category)) order.push_back(category);
    groups[category].push_back(rights);
    all.push_back(rights);
    if (subject->hard) hard.push_back(rights);
    counts.add(of_subject);
  }
  for (const std::string& category : order)
    by_category[category] = table.add_mean(category, groups[category]);
  json::object result = {{"subjects", std::move(by_subject)}, {"categories", std::move(by_category)}};
  if (!hard.empty()) result["hard"] = table.add_mean("C-Eval Hard", hard);
  result["overall"] = table.add_mean("Average over subjects", all);
  result["overall_by_question"] = table.add_share("Average over questions", counts.right, counts.total);
  return result;
}

// The log of a run: lines are added at its end, whoever wrote those before.
class RunLog {
 public:
  explicit RunLog(std::string path) : path_(std::move(path)) {}
  void add(const std::string& line) {
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    localtime_r(&now, &local);
    text_ += fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02} {}\n", local.tm_year + 1900, local.tm_mon + 1,
                         local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec, line);
    write_text_file(path_, text_);
  }
  void keep_earlier() {
    if (std::filesystem::exists(path_)) text_ = read_text_file("device0.log", path_);
  }

 private:
  std::string path_;
  std::string text_;
};

}  // namespace

void run_ceval(const CevalOptions& options) {
  CevalData data = read_ceval(options.common.data, options.split, options.chat ? 0 : options.num_examples,
                              options.subjects);
  const std::string name = options.chat ? "ceval_chat" : "ceval";
  json::object settings = {{"split", options.split}};
  if (options.chat) {
    settings["max_new_tokens"] = options.max_new_tokens;
  } else {
    settings["examples"] = options.num_examples;
  }
  EvalRun run(options.common, name, settings, options.chat);
  RunLog log(run.path_of("device0.log"));
  log.keep_earlier();
  log.add(fmt::format("{}: {} of {} subjects of {}, split {}, model {}", name, data.subjects.size(),
                      options.subjects.empty() ? ceval_subjects().size() : options.subjects.size(),
                      options.common.data, options.split, options.common.subject.model.model));
  run.note_complaints(data.complaints);
  run.note_missing(data.missing);
  for (const Complaint& complaint : data.complaints) log.add(complaint.where + ": " + complaint.what);
  for (const std::string& missing : data.missing) log.add(missing);

  std::vector<EvalItem> items;
  for (CevalData::Subject& subject : data.subjects) {
    if (options.common.limit > 0)
      subject.questions.resize(std::min(subject.questions.size(), options.common.limit));
    for (const CevalQuestion& question : subject.questions) {
      items.push_back({.id = item_id(*subject.subject, question),
                       .where = question.where,
                       .text = (options.chat ? ceval_chat_prompt(*subject.subject, question)
                                             : ceval_prompt(*subject.subject, subject.examples, question)) +
                               question.answer,
                       .ask = [&options, &subject, &question](Subject& model) {
                         return options.chat
                                    ? ask_chat(model, *subject.subject, question, options.max_new_tokens)
                                    : ask_likelihood(model, subject, question);
                       }});
    }
  }
  run.answer(items);

  const Scored scored = score(run, data);
  write_text_file(run.path_of(name + "_submission.json"), json::serialize(scored.submission) + "\n");
  if (!data.has_answers) {
    log.add("the split has no answers: there is a submission, and no score");
    run.report({{"score", nullptr}}, ScoreTable("The split has no answers. For the official site: " +
                                                run.path_of(name + "_submission.json")));
    return;
  }
  ScoreTable table(fmt::format(
      "C-Eval, {} ({}): questions, accuracy in %, 95 % interval", options.split,
      options.chat ? "chat, zero-shot" : fmt::format("{}-shot, by likelihood", options.num_examples)));
  json::object result = make_table(scored, table);
  if (options.chat) {
    result["without_choice"] = scored.without_choice;
    table.add_line(fmt::format("{} answers named no choice and count as wrong", scored.without_choice));
  }
  if (!options.chat) write_sdk_files(run, scored);
  for (const auto& [subject, rights] : scored.subjects)
    log.add(fmt::format("{}: {} of {} right", subject->name, count(rights).right, rights.size()));
  log.add(fmt::format("Avg acc over subjects: {}", result.at("overall").at("score").to_number<double>()));
  run.report(std::move(result), table);
}

void add_eval_ceval(CLI::App& eval) {
  CLI::App* command = eval.add_subcommand(
      "ceval",
      "C-Eval: 52 subjects, 5-shot by the likelihood of A to D; writes device0.log, cache0.csv, "
      "result_0_subject_acc.json and result_0_classes_acc.json");
  auto options = std::make_shared<CevalOptions>();
  add_eval_options(*command, options->common,
                   "The unpacked ceval-exam.zip: dev/, val/ and test/ with SUBJECT_SPLIT.csv");
  command->add_option("--split", options->split, "val or test (without answers: a submission)")
      ->check(CLI::IsMember({"val", "test"}))
      ->capture_default_str();
  command->add_option("--shots", options->num_examples, "Examples of dev in each prompt")
      ->check(CLI::Range(0, 5))
      ->capture_default_str();
  command->add_option("--subjects", options->subjects, "Only these, separated by commas")->delimiter(',');
  command->add_flag("--chat", options->chat,
                    "Ask in chat, without examples, and read the choice out of the answer: another number, "
                    "in files of its own");
  command->add_option("--max-new-tokens", options->max_new_tokens, "In chat: of reasoning and answer")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->callback([options] { run_ceval(*options); });
}

}  // namespace gossamer::apps
