// A run of `gossamer verify`: all checks in order, and what came of them as a table, as JSON, as a page.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "apps/verify/check.h"

namespace gossamer::apps {

struct CheckedResult {
  std::string theme;
  std::string name;
  CheckResult result;
  double seconds = 0.0;
};

struct VerifyReport {
  std::string target;  // as the user named it
  std::string about;   // what answers there
  double seconds = 0.0;
  std::vector<CheckedResult> checks;

  int count(Verdict verdict) const;
  // Something was judged, and nothing failed.
  bool passed() const { return count(Verdict::kFail) == 0 && count(Verdict::kPass) > 0; }
};

std::vector<Check> all_checks();

// One check, whatever it throws: what it finds wrong is its result, an Error is why it could not be made.
CheckResult run_check(const Check& check, Deployment& deployment);

// Calls `on_result` after each.
void run_checks(const std::vector<Check>& checks, Deployment& deployment, VerifyReport& report,
                const std::function<void(const CheckedResult&)>& on_result);

// A line of the table on the terminal.
std::string to_line(const CheckedResult& check);
// The last line: "PASS: 20 passed, 0 failed, 5 skipped in 12.3 s".
std::string summary(const VerifyReport& report);
json::object to_json(const VerifyReport& report);
std::string to_html(const VerifyReport& report);

}  // namespace gossamer::apps
