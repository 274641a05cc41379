// What the evaluations share: options, the way from questions to predictions, the report. Each command (one
// file each beside this) reads its data, makes EvalItems of it, has them answered, and computes its scores
// from what the prediction log holds.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/chat_form.h"
#include "apps/eval/prediction_log.h"
#include "apps/serving_options.h"
#include "apps/session.h"
#include "apps/subject/subject.h"
#include "eval/dataset.h"
#include "eval/statistics.h"

namespace CLI {
class App;
}  // namespace CLI

namespace gossamer::apps {

struct EvalOptions {
  ModelOptions model;
  ServingOptions serving;
  ChatOptions chat;
  std::string data;
  std::string output = "test_result";
  std::size_t limit = 0;  // questions of each file; 0: all
};

// MODEL, DATA_DIR and everything above. `data_help` says what the folder holds.
void add_eval_options(CLI::App& command, EvalOptions& options, const std::string& data_help);

// A question, and how it is asked.
struct EvalItem {
  std::string id;     // of its own within the evaluation
  std::string where;  // file and line
  std::string text;   // everything that the prediction depends on; kept as a checksum
  std::function<Result<json::object>(Subject&)> ask;
};

class EvalRun {
 public:
  // Opens the model, loads nothing. `name`: of the evaluation and its files; `settings`: what, besides the
  // model, the predictions depend on. Throws Error.
  EvalRun(const EvalOptions& options, std::string name, const json::object& settings, bool needs_chat);
  ~EvalRun();

  const Session& session() const { return *session_; }

  // Prints and keeps them for the report.
  void note_complaints(const std::vector<Complaint>& complaints);
  void note_missing(const std::vector<std::string>& missing);

  // Has every item answered that has no prediction yet, as many at once as the engine runs. Throws Error when
  // interrupted, and where a prediction was made from another text than the item's.
  void answer(const std::vector<EvalItem>& items);

  // What the model said: nothing where it could not answer, which is counted as unanswered.
  const json::object* prediction(const std::string& id);

  std::string path_of(const std::string& file) const { return (folder_ / file).string(); }

  // Writes NAME_result.json: `result` and what was left out, missing, unanswered. Prints `table`, and where
  // the files are.
  void report(json::object result, const std::string& table);

 private:
  void ask_all(const std::vector<const EvalItem*>& items);

  EvalOptions options_;
  std::string name_;
  std::filesystem::path folder_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<PredictionLog> log_;
  std::vector<Complaint> complaints_;
  std::vector<std::string> missing_;
  std::vector<std::string> unanswered_;  // ids
};

// Lines of "name  questions  score  interval" under one another.
class ScoreTable {
 public:
  explicit ScoreTable(std::string title) : title_(std::move(title)) {}

  // A share of right answers, with Wilson's interval.
  json::object add_share(const std::string& name, std::size_t right, std::size_t total);
  // The mean of the groups' means, with a bootstrap interval.
  json::object add_mean(const std::string& name, const std::vector<std::vector<double>>& groups);
  void add_line(const std::string& line) { lines_.push_back({line, {}, {}, {}}); }

  // In percent.
  std::string text() const;

 private:
  struct Line {
    std::string name;
    std::string count;
    std::string score;
    std::string interval;
  };
  json::object add(const std::string& name, std::size_t count, double score, const Interval& interval,
                   const char* method);

  std::string title_;
  std::vector<Line> lines_;
};

}  // namespace gossamer::apps
