// PredictionLog: what a model answered to each question of an evaluation, a JSON object a line. The score is
// computed from this file alone.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <unordered_map>

#include "apps/line_file.h"
#include "base/json.h"

namespace gossamer::apps {

class PredictionLog {
 public:
  // Opens or makes the file, for this process alone. `header`: what the predictions depend on; it is the
  // first line. Throws Error when another process writes the file, when it holds something else, or when its
  // header differs, saying where.
  PredictionLog(const std::string& path, const json::object& header);

  const std::string& path() const { return file_.path(); }
  std::size_t num_found() const { return num_found_; }

  // As the file has it; nullptr: there is none. Not while others append.
  const json::object* find(const std::string& id) const;

  // From any thread. `prediction` has an "id". Throws Error when the disk does not take it whole.
  void append(const json::object& prediction);

 private:
  void take(const json::object& prediction, const std::string& where);

  LineFile file_;
  std::size_t num_found_ = 0;
  std::mutex mutex_;  // guards what follows, and the file
  std::unordered_map<std::string, json::object> predictions_;
};

}  // namespace gossamer::apps
