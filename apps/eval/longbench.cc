// gossamer eval longbench: the 21 tasks of version 1, LongBench-E, and version 2; in plain text, or in chat,
// reported apart.
#include "eval/longbench.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/eval/eval_commands.h"
#include "apps/eval/eval_run.h"
#include "base/error.h"
#include "eval/answer_extraction.h"
#include "eval/jieba.h"

namespace gossamer::apps {
namespace {

struct Options {
  EvalOptions common;
  bool extended = false;
  bool v2 = false;
  bool chat = false;
  std::vector<std::string> tasks;
  std::string jieba;
  int64_t max_input_tokens = 0;
  int64_t reasoning_tokens = 2048;
};

// What a conversation adds to a prompt, at most.
constexpr int64_t kChatTokens = 256;

struct Cut {
  std::string prompt;
  int64_t num_tokens = 0;  // of the whole prompt
  bool was_cut = false;
};

// The original's way: the first and the last half of the tokens, decoded, and tokenised again.
Cut cut_middle(const Subject& model, std::string prompt, int64_t max_tokens) {
  const std::vector<int32_t> ids = model.encode(prompt);
  Cut cut{.prompt = std::move(prompt), .num_tokens = static_cast<int64_t>(ids.size())};
  if (cut.num_tokens <= max_tokens) return cut;
  const auto half = static_cast<std::size_t>(max_tokens / 2);
  cut.was_cut = true;
  cut.prompt = model.decode(std::span(ids).first(half)) + model.decode(std::span(ids).last(half));
  return cut;
}

Result<json::object> ask(const Options& options, Subject& model, const std::string& prompt,
                         int64_t max_new_tokens, bool chat, bool stop_at_newline) {
  if (chat) max_new_tokens += options.reasoning_tokens;
  const int64_t room = model.max_model_len() - max_new_tokens - (chat ? kChatTokens : 0);
  const int64_t most = options.max_input_tokens > 0 ? options.max_input_tokens : room;
  if (most < 2) {
    return RequestError{.message =
                            fmt::format("a model of {} tokens has no room for a prompt beside {} new ones",
                                        model.max_model_len(), max_new_tokens)};
  }
  const Cut cut = cut_middle(model, prompt, most);
  const Result<CompletionAnswer> answer = model.complete({.prompt = cut.prompt,
                                                          .chat = chat,
                                                          .max_new_tokens = max_new_tokens,
                                                          .stop_at_newline = stop_at_newline});
  if (!answer.ok()) return answer.error();
  json::object result = {{"text", answer.value().text},
                         {"prompt_tokens", cut.num_tokens},
                         {"cut", cut.was_cut},
                         {"finish_reason", answer.value().finish_reason},
                         {"tokens", answer.value().num_tokens}};
  if (chat) result["reasoning"] = answer.value().reasoning;
  return result;
}

// LongBench rounds percentages to hundredths.
double rounded_percent(double share) { return std::round(1e4 * share) / 1e2; }

struct TaskData {
  const LongbenchTask* task = nullptr;
  std::vector<LongbenchRow> rows;
};

std::vector<TaskData> read_tasks(const Options& options, EvalRun& run) {
  std::vector<TaskData> all;
  const std::filesystem::path folder = options.common.data;
  for (const std::string& name : options.tasks) {
    if (std::none_of(longbench_tasks().begin(), longbench_tasks().end(),
                     [&](const LongbenchTask& task) { return task.name == name; }))
      throw Error("--tasks: expected names such as hotpotqa, found \"{}\"", name);
  }
  for (const LongbenchTask& task : longbench_tasks()) {
    if (!options.tasks.empty() &&
        std::find(options.tasks.begin(), options.tasks.end(), task.name) == options.tasks.end())
      continue;
    if (options.extended && !task.in_e) continue;
    const std::string file = fmt::format("{}{}.jsonl", task.name, options.extended ? "_e" : "");
    std::filesystem::path path = folder / "data" / file;
    if (!std::filesystem::exists(path)) path = folder / file;
    if (!std::filesystem::exists(path)) {
      run.note_missing({fmt::format("{}: there is no {}: the task is left out", task.name, path.string())});
      continue;
    }
    Dataset<LongbenchRow> data = read_longbench(path, task);
    run.note_complaints(data.complaints);
    if (options.common.limit > 0) data.rows.resize(std::min(data.rows.size(), options.common.limit));
    if (data.rows.empty()) {
      run.note_missing(
          {fmt::format("{}: {} has no usable row: the task is left out", task.name, path.string())});
    } else {
      all.push_back({.task = &task, .rows = std::move(data.rows)});
    }
  }
  if (all.empty()) {
    throw Error("{}: expected LongBench's files as published, such as data/hotpotqa{}.jsonl", folder.string(),
                options.extended ? "_e" : "");
  }
  return all;
}

std::string item_id(const LongbenchTask& task, const LongbenchRow& row) {
  return fmt::format("{}/{}", task.name, row.id);
}

// The user's jieba, with what is missing of it named.
std::unique_ptr<Jieba> read_jieba(const Options& options, const std::vector<TaskData>& tasks, EvalRun& run,
                                  std::string& words) {
  words = "not needed";
  if (std::none_of(tasks.begin(), tasks.end(), [](const TaskData& data) { return data.task->needs_jieba(); }))
    return nullptr;
  if (options.jieba.empty()) {
    words = "characters";
    run.note_missing(
        {"--jieba was not given: multifieldqa_zh, dureader and vcsum are scored by characters, which is not "
         "comparable with published numbers"});
    return nullptr;
  }
  auto jieba = std::make_unique<Jieba>(options.jieba);
  words = "jieba";
  if (!jieba->knows_new_words()) {
    words = "jieba without finalseg";
    run.note_missing({fmt::format(
        "{}: there is no finalseg/prob_emit.py beside the dictionary: words that it lacks are cut otherwise "
        "than by jieba, and the scores of Chinese tasks differ a little",
        options.jieba)});
  }
  return jieba;
}

void run_v1(const Options& options) {
  const std::string name =
      fmt::format("longbench{}{}", options.extended ? "_e" : "", options.chat ? "_chat" : "");
  json::object settings = {{"max_input_tokens", options.max_input_tokens}};
  if (options.chat) settings["reasoning_tokens"] = options.reasoning_tokens;
  EvalRun run(options.common, name, settings, options.chat);
  const std::vector<TaskData> tasks = read_tasks(options, run);
  std::string words;
  const std::unique_ptr<Jieba> jieba = read_jieba(options, tasks, run, words);
  std::vector<EvalItem> items;
  for (const TaskData& data : tasks) {
    const LongbenchTask& task = *data.task;
    for (const LongbenchRow& row : data.rows) {
      items.push_back({.id = item_id(task, row),
                       .where = row.where,
                       .text = longbench_prompt(task, row),
                       .ask = [&options, &task, &row](Subject& model) {
                         return ask(options, model, longbench_prompt(task, row), task.max_new_tokens,
                                    options.chat && task.is_chat, task.stops_at_newline());
                       }});
    }
  }
  run.answer(items);

  ScoreTable table(fmt::format("LongBench{} ({}): questions, score, 95 % interval",
                               options.extended ? "-E" : "", options.chat ? "chat" : "plain text"));
  json::object by_task;
  std::vector<std::vector<double>> all;
  std::size_t num_cut = 0;
  for (const TaskData& data : tasks) {
    std::vector<double> scores;
    std::array<std::vector<double>, kLongbenchBuckets.size()> buckets;
    json::array rows;
    for (const LongbenchRow& row : data.rows) {
      const json::object* prediction = run.prediction(item_id(*data.task, row));
      double score = 0.0;
      if (prediction != nullptr) {
        score = longbench_score(*data.task, row, prediction->at("text").as_string(), jieba.get());
        num_cut += prediction->at("cut").as_bool() ? 1U : 0U;
      }
      scores.push_back(score);
      buckets[longbench_bucket(row.length)].push_back(score);
      rows.push_back(json::object{{"id", item_id(*data.task, row)}, {"score", score}});
    }
    const bool by_characters = data.task->needs_jieba() && words == "characters";
    json::object entry = table.add_mean(
        fmt::format("{}{}", data.task->name, by_characters ? " (character-level, not comparable)" : ""),
        {scores});
    entry["longbench_score"] = rounded_percent(mean(scores));
    if (data.task->needs_jieba()) entry["words"] = words;
    if (options.extended) {
      json::object of_buckets;
      for (std::size_t i = 0; i < buckets.size(); ++i) {
        if (buckets[i].empty()) continue;
        of_buckets[kLongbenchBuckets[i]] =
            table.add_mean(fmt::format("  {}", kLongbenchBuckets[i]), {buckets[i]});
      }
      entry["buckets"] = std::move(of_buckets);
    }
    entry["rows"] = std::move(rows);
    by_task[data.task->name] = std::move(entry);
    all.push_back(std::move(scores));
  }
  json::object result = {{"tasks", std::move(by_task)}, {"cut_prompts", num_cut}};
  result["average"] = table.add_mean("Average over tasks", all);
  if (num_cut > 0) table.add_line(fmt::format("{} prompts were too long and lost their middle", num_cut));
  run.report(std::move(result), table);
}

void run_v2(const Options& options, const std::filesystem::path& file) {
  Dataset<LongbenchV2Row> data = read_longbench_v2(file);
  if (options.common.limit > 0) data.rows.resize(std::min(data.rows.size(), options.common.limit));
  json::object settings = {{"max_input_tokens", options.max_input_tokens}};
  if (options.chat) settings["reasoning_tokens"] = options.reasoning_tokens;
  EvalRun run(options.common, options.chat ? "longbench_v2_chat" : "longbench_v2", settings, options.chat);
  run.note_complaints(data.complaints);
  std::vector<EvalItem> items;
  for (const LongbenchV2Row& row : data.rows) {
    items.push_back({.id = row.id,
                     .where = row.where,
                     .text = longbench_v2_prompt(row),
                     .ask = [&options, &row](Subject& model) {
                       return ask(options, model, longbench_v2_prompt(row), kLongbenchV2MaxNewTokens,
                                  options.chat, /*stop_at_newline=*/false);
                     }});
  }
  run.answer(items);

  struct Group {
    const char* name;
    std::size_t right = 0;
    std::size_t total = 0;
  };
  std::array<Group, 6> groups = {{{"overall"}, {"easy"}, {"hard"}, {"short"}, {"medium"}, {"long"}}};
  std::size_t without_choice = 0;
  for (const LongbenchV2Row& row : data.rows) {
    const json::object* prediction = run.prediction(row.id);
    const std::optional<char> choice =
        prediction == nullptr ? std::nullopt : extract_longbench_v2(prediction->at("text").as_string());
    if (prediction != nullptr && !choice) ++without_choice;
    for (Group& group : groups) {
      if (&group != &groups[0] && group.name != row.difficulty && group.name != row.length) continue;
      ++group.total;
      group.right += choice == row.answer ? 1U : 0U;
    }
  }
  ScoreTable table(fmt::format("LongBench v2 ({}): questions, accuracy in %, 95 % interval",
                               options.chat ? "chat" : "plain text"));
  json::object result;
  for (const Group& group : groups) {
    if (group.total > 0) result[group.name] = table.add_share(group.name, group.right, group.total);
  }
  result["without_choice"] = without_choice;
  table.add_line(fmt::format("{} answers named no choice and count as wrong", without_choice));
  run.report(std::move(result), table);
}

void run(const Options& options) {
  const std::filesystem::path data = options.common.data;
  const std::filesystem::path file = std::filesystem::is_regular_file(data) ? data : data / "data.json";
  if (!options.v2) return run_v1(options);
  if (!std::filesystem::exists(file)) throw Error("{}: expected data.json of LongBench v2", data.string());
  run_v2(options, file);
}

}  // namespace

void add_eval_longbench(CLI::App& eval) {
  CLI::App* command =
      eval.add_subcommand("longbench", "LongBench: 21 tasks on long texts, LongBench-E, version 2");
  auto options = std::make_shared<Options>();
  add_eval_options(
      *command, options->common,
      "The folder with TASK.jsonl (TASK_e.jsonl), or with data/ that holds them; version 2: with "
      "data.json");
  command->add_flag("--e", options->extended, "LongBench-E: TASK_e.jsonl, scores by length too");
  command->add_flag("--v2", options->v2, "Version 2: multiple choice");
  command->add_flag("--chat", options->chat,
                    "Ask in chat the tasks that the original asks so: other numbers, in files of their own");
  command->add_option("--tasks", options->tasks, "Only these, separated by commas")->delimiter(',');
  command->add_option(
      "--jieba", options->jieba,
      "The folder of the Python package jieba 0.42.1, or its dict.txt, for the Chinese tasks");
  command
      ->add_option("--max-input-tokens", options->max_input_tokens,
                   "Longer prompts lose their middle. Default: what --max-model-len leaves beside the answer")
      ->check(CLI::Range(2, 1 << 30));
  command
      ->add_option("--reasoning-tokens", options->reasoning_tokens,
                   "In chat: what is added to each task's new tokens for the reasoning before the answer")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command->callback([options] { run(*options); });
}

}  // namespace gossamer::apps
