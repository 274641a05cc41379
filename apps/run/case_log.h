// CaseLog: what a run says, on standard output and in its log file, in the form of Python's logging as the
// programs that run files come from write it ("2026-01-31 12:00:00,000 - INFO - [LLM](gossamer): ..."), so
// that what greps their logs finds the same words here. Used by the tasks of `gossamer run`.
#pragma once

#include <fmt/format.h>

#include <fstream>
#include <string>
#include <utility>

namespace gossamer::apps {

// Of now, local: "20260131", "20260131120000".
std::string date_stamp();
std::string time_stamp();

class CaseLog {
 public:
  // Begins the file anew. Throws Error when it cannot be written.
  explicit CaseLog(std::string path);

  const std::string& path() const { return path_; }

  template <typename... Args>
  void info(fmt::format_string<Args...> format, Args&&... args) {
    write("INFO", fmt::format(format, std::forward<Args>(args)...));
  }
  void warning(const std::string& text) { write("WARNING", text); }
  void error(const std::string& text) { write("ERROR", text); }

 private:
  void write(const char* level, const std::string& text);

  std::string path_;
  std::ofstream file_;
};

}  // namespace gossamer::apps
