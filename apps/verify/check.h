// Check: one thing that `gossamer verify` looks at, and what came of it. One file a theme (checks_*.cc), each
// a list of small functions; verify_run.cc runs them in order.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"

namespace gossamer::apps {

class Deployment;

enum class Verdict : uint8_t {
  kPass,
  kFail,
  kSkip,  // it could not be judged: not offered, not this kind of model, no time
};
const char* verdict_name(Verdict verdict);

struct CheckResult {
  Verdict verdict = Verdict::kPass;
  std::string reason = {};    // a line: what was seen, or what was expected, what was found and where
  json::object figures = {};  // for the JSON report
};

struct Check {
  std::string theme;
  std::string name;
  // Returns what was seen; or ends early by fail() or skip().
  std::function<CheckResult(Deployment&)> run;
  double usual_seconds = 0.0;  // with a small model; where less is left the check is skipped
};

// Thrown through a check by what follows, caught by verify_run.cc alone: a check of thirty steps would
// otherwise be thirty returns.
struct CheckEnd {
  CheckResult result;
};

template <typename... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw CheckEnd{{.verdict = Verdict::kFail, .reason = fmt::format(format, std::forward<Args>(args)...)}};
}
template <typename... Args>
[[noreturn]] void skip(fmt::format_string<Args...> format, Args&&... args) {
  throw CheckEnd{{.verdict = Verdict::kSkip, .reason = fmt::format(format, std::forward<Args>(args)...)}};
}
template <typename... Args>
void expect(bool holds, fmt::format_string<Args...> format, Args&&... args) {
  if (!holds) fail(format, std::forward<Args>(args)...);
}

// The longest sequence that the needles ask for: beyond 32,768 tokens, and an answer.
inline constexpr int64_t kLongestNeedle = 34816;

// The themes, one file each (checks_NAME.cc).
std::vector<Check> golden_theme();
std::vector<Check> text_theme();
std::vector<Check> concurrency_theme();
std::vector<Check> harmony_theme();
std::vector<Check> tools_theme();
std::vector<Check> limits_theme();
std::vector<Check> needle_theme();
std::vector<Check> speed_theme();

}  // namespace gossamer::apps
