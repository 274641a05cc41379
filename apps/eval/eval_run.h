// What the evaluations share: options, the way from questions to predictions, the report. Each command (one
// file each beside this) reads its data, makes EvalItems of it, has them answered, and computes its scores
// from what the prediction log holds.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/eval/prediction_log.h"
#include "apps/eval/score_table.h"
#include "apps/subject/open_subject.h"
#include "apps/subject/subject.h"
#include "eval/dataset.h"

namespace gossamer::apps {

struct EvalOptions {
  SubjectOptions subject;
  std::string data;
  std::string output = "test_result";
  std::size_t limit = 0;  // questions of each file; 0: all
  std::string html;       // a file
};

// MODEL_OR_URL, DATA_DIR and everything above. `data_help` says what the folder holds.
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
  // Opens the model, loads nothing yet. `name`: of the evaluation and its files; `settings`: what, besides
  // the model, the predictions depend on. Throws Error.
  EvalRun(const EvalOptions& options, std::string name, const json::object& settings, bool needs_chat);
  ~EvalRun();

  const Subject& subject() const { return *subject_; }

  // Prints and keeps them for the report.
  void note_complaints(const std::vector<Complaint>& complaints);
  void note_missing(const std::vector<std::string>& missing);

  // Has every item answered that has no prediction yet, many at once. Throws Error when interrupted, when the
  // model cannot be asked any more, and where a prediction was made from another text than the item's.
  void answer(const std::vector<EvalItem>& items);

  // What the model said: nothing where it could not answer, which is counted as unanswered.
  const json::object* prediction(const std::string& id);

  std::string path_of(const std::string& file) const { return (folder_ / file).string(); }

  // Writes NAME_result.json: `result` and what was left out, missing, unanswered; and the page of --html.
  // Prints `table`, and where the files are.
  void report(json::object result, const ScoreTable& table);

 private:
  void ask_all(const std::vector<const EvalItem*>& items);

  EvalOptions options_;
  std::string name_;
  std::filesystem::path folder_;
  std::unique_ptr<Subject> subject_;
  std::unique_ptr<PredictionLog> log_;
  std::vector<Complaint> complaints_;
  std::vector<std::string> missing_;
  std::vector<std::string> unanswered_;  // ids
};

}  // namespace gossamer::apps
