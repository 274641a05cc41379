// The two files of `gossamer batch`: lines of requests, and lines of answers that outlive a kill.
#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "apps/line_file.h"
#include "base/json.h"

namespace gossamer::apps {

// One line of OpenAI's batch format: {"custom_id", "method", "url", "body"}.
struct BatchLine {
  std::size_t number = 0;  // from 1
  std::string custom_id;
  json::value request;  // an object
};

// The requests. Only their custom_ids are kept in memory, whatever the file's size.
class BatchInput {
 public:
  // Reads the file once. Throws Error naming file and line of whatever cannot be told apart or answered at
  // all: lines that are no JSON object, custom_ids that are missing or used twice. All of them, up to 20.
  explicit BatchInput(const std::string& path);

  const std::string& path() const { return path_; }
  // Lines that hold a request.
  std::size_t size() const { return lines_.size(); }
  bool contains(std::string_view custom_id) const { return lines_.contains(std::string(custom_id)); }

  // The next request, from the first on; nothing at the end.
  std::optional<BatchLine> next();

 private:
  std::string path_;
  std::ifstream file_;
  std::size_t number_ = 0;                              // of the line read last
  std::unordered_map<std::string, std::size_t> lines_;  // number, by custom_id
};

// The answers.
class BatchOutput {
 public:
  // Opens or makes the file, for this process alone. Throws Error when another one writes it, when it holds
  // lines that are no answers, or answers to what `input` does not ask.
  BatchOutput(const std::string& path, const BatchInput& input);

  // How many answers were there when the file was opened.
  std::size_t num_found() const { return num_found_; }
  bool has(const std::string& custom_id) const { return answered_.contains(custom_id); }

  // Adds a line; `line` comes without its newline. Throws Error when the disk does not take it whole.
  void append(std::string line) { file_->append(std::move(line)); }

 private:
  void read_answers(const BatchInput& input);

  std::optional<LineFile> file_;
  std::size_t num_found_ = 0;
  std::unordered_map<std::string, std::size_t> answered_;  // line, by custom_id; those found
};

}  // namespace gossamer::apps
