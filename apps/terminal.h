// What the commands need of a terminal: progress, dimmed reasoning, lines of input, Ctrl-C.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/harmony_stream.h"

namespace gossamer::apps {

bool is_terminal(int fd);

// One line on standard error, rewritten as work proceeds and removed at the end. Silent unless standard error
// is a terminal.
class ProgressLine {
 public:
  // kBytes and kLines: with how many so far, how many in all, and the time left.
  enum Unit { kShare, kBytes, kLines };
  explicit ProgressLine(std::string what, Unit unit = kShare);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // `more`: what else is to be told, "12.3 tokens/s".
  void show(std::size_t done, std::size_t total, const std::string& more = {});

 private:
  std::string what_;
  Unit unit_;
  bool enabled_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point last_;
};

// Prints an answer on standard output as it comes: reasoning dimmed, calls of tools under a heading, a blank
// line between messages.
class AnswerPrinter {
 public:
  struct Options {
    bool reasoning = true;  // false: it is left out, or folded to one line (fold)
    bool fold = false;
  };
  explicit AnswerPrinter(const Options& options);

  void print(const HarmonyDelta& delta);
  // Ends the last line. Throws Error when standard output does not take what was written.
  void finish();

 private:
  void write(std::string_view text);

  Options options_;
  bool terminal_;
  bool dimmed_ = false;
  bool folded_ = false;
  bool anything_ = false;
  bool at_line_start_ = true;
  int message_ = -1;
};

// From here on Ctrl-C (kAndTermination: also SIGTERM and SIGHUP) sets a flag instead of ending the program.
class InterruptFlag {
 public:
  enum Signals { kInterrupt, kAndTermination };
  explicit InterruptFlag(Signals signals = kInterrupt);
  ~InterruptFlag();
  InterruptFlag(const InterruptFlag&) = delete;
  InterruptFlag& operator=(const InterruptFlag&) = delete;

  bool is_set() const;
  void clear();
  // Readable while the flag is set: for poll(). (A signal that comes just before a read() would not wake it.)
  int fd() const { return pipe_[0]; }

 private:
  std::vector<int> signals_;
  std::array<int, 2> pipe_ = {-1, -1};
};

// Reads lines from standard input; unlike std::getline it notices Ctrl-C.
class LineReader {
 public:
  enum class Status { kLine, kEnd, kInterrupted };

  explicit LineReader(const InterruptFlag& interrupt) : interrupt_(interrupt) {}

  // The line comes without its newline. kInterrupted leaves the flag set.
  Status read(std::string& line);

 private:
  const InterruptFlag& interrupt_;
  std::string buffer_;
  bool ended_ = false;
};

}  // namespace gossamer::apps
