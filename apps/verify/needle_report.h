// What `gossamer verify needle` found: the verdict, as a table on the terminal, as JSON, as a page.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/verify/needle_run.h"
#include "base/json.h"

namespace gossamer::apps {

struct NeedleLimits {
  double min_recall = 1.0;
  std::optional<double> max_ttft;  // seconds; absent: reported, not judged
};

struct NeedleReport {
  std::string model;  // as the user named it
  json::object identity;
  std::string hay;  // what it is, for people
  NeedleOptions options;
  NeedleLimits limits;
  NeedleRun run;
};

// One thing that was judged.
struct NeedleCheck {
  std::string name;
  std::optional<bool> passed;  // absent: not judged
  std::string seen;
};

std::vector<NeedleCheck> needle_checks(const NeedleReport& report);
// PASS, FAIL or INCOMPLETE.
std::string needle_verdict(const NeedleReport& report);

json::object to_json(const NeedleReport& report);
std::string to_html(const NeedleReport& report);
// For the terminal.
std::string to_text(const NeedleReport& report);

}  // namespace gossamer::apps
