// ServerLog: what a server says while it runs: notes for people, and one line for each request, as JSON or as
// key=value pairs. Prompts and answers are never in it unless --log-prompts asks for them.
#pragma once

#include <memory>
#include <string>

#include "base/json.h"

namespace gossamer {

enum class LogFormat : uint8_t { kText, kJson };

class ServerLog {
 public:
  // Appends to `path`; standard error where it is empty. Throws Error when the file cannot be opened.
  ServerLog(const std::string& path, LogFormat format);
  ~ServerLog();

  // From any thread.
  void note(const std::string& text);
  void warn(const std::string& text);
  // `event`: "request". Members that are null are left out.
  void event(const std::string& event, const json::object& fields);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gossamer
