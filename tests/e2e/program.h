// Runs the built program as a user would: arguments in, exit code and both outputs back; or on a terminal.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"

namespace gossamer::test {

struct ProgramRun {
  int exit_code = -1;  // -1 when a signal ended it
  int signal = 0;
  std::string out;
  std::string err;
  std::size_t peak_resident_bytes = 0;  // mapped files included
};

using Arguments = std::vector<std::string>;

// Standard input holds `input`. A run of more than two minutes is killed.
ProgramRun run_program(const Arguments& arguments, const std::string& input = {},
                       const std::filesystem::path& program = GOSSAMER_PROGRAM);

// The same with output that is one JSON object; a failure otherwise.
json::object run_json(const Arguments& arguments);

// The program while it runs, its outputs thrown away. It is killed when this goes.
class BackgroundProgram {
 public:
  explicit BackgroundProgram(const Arguments& arguments);
  ~BackgroundProgram();
  BackgroundProgram(const BackgroundProgram&) = delete;
  BackgroundProgram& operator=(const BackgroundProgram&) = delete;

  // Sends the signal and waits for the end: the exit code, or -1 when a signal ended it.
  int end_by(int signal);
  bool has_ended();

 private:
  pid_t pid_ = -1;
  int status_ = 0;
};

// The program on a pseudo-terminal.
class Terminal {
 public:
  explicit Terminal(const Arguments& arguments);
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void type(const std::string& text) const;

  // Waits until `text` has appeared behind what earlier calls waited for; false after 60 seconds, or when
  // the program ends before.
  bool wait_for(const std::string& text);

  // Everything shown so far.
  const std::string& screen() const { return screen_; }

  // Waits for the end; -1 when a signal ended it or when it had to be killed after 30 seconds.
  int exit_code();

 private:
  bool read_more();

  pid_t pid_ = -1;
  int fd_ = -1;
  std::string screen_;
  std::size_t seen_ = 0;
};

std::filesystem::path fixture(const std::string& name);
// models/demo of the source tree.
std::filesystem::path demo_model();

}  // namespace gossamer::test
