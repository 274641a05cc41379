// What `gossamer verify precision` found: the measures with their limits and verdicts, as a table on the
// terminal, as JSON and as a page.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/verify/recording.h"
#include "base/json.h"
#include "eval/golden_file.h"
#include "eval/precision.h"

namespace gossamer::apps {

// Those of document 003 by default (docs/verify-precision.md); without one a measure is told and not judged.
struct PrecisionLimits {
  std::optional<double> min_identical = 0.95;
  std::optional<double> min_token_match;
  std::optional<double> min_cosine = 0.99;
  std::optional<double> min_rouge_l = 0.98;
  std::optional<double> max_perplexity_difference;
  std::optional<double> max_divergence;
  std::optional<double> min_same_top;
};

struct Measure {
  enum class Verdict { kNone, kPass, kFail, kSkip };

  std::string name;             // in the JSON
  std::string title;            // in the table
  std::optional<double> value;  // nothing: it could not be measured
  std::optional<double> limit;
  bool at_least = true;  // the limit is the least value that passes; else the largest
  bool percent = false;  // how it is shown
  std::string why;       // what the value is made of, or why there is none

  Verdict verdict() const;
  std::string shown_value() const;
  std::string shown_limit() const;
};
const char* name_of(Measure::Verdict verdict);

// What was compared. `expected` is the first side.
struct PrecisionComparison {
  std::string expected_name;
  std::string found_name;
  Recording expected;
  Recording found;
  RecordingComparison compared;
  RecordingGaps expected_gaps;
  RecordingGaps found_gaps;
  // The tokens where whole distributions were compared, among those of `compared` or, with a file of
  // llama-perplexity, alone.
  std::vector<PredictedToken> full;
};

struct PrecisionReport {
  PrecisionComparison comparison;
  std::vector<Measure> measures;
  std::optional<DivergenceStatistics> predictions;  // of every token that was judged
  std::optional<DivergenceStatistics> divergence;   // of those whose distributions were compared
  std::vector<std::string> notes;
  bool logits_file = false;  // the first side was one: nothing was answered

  // Fails when one measure does; kNone where none was judged.
  Measure::Verdict verdict() const;
};

PrecisionReport make_report(PrecisionComparison comparison, const PrecisionLimits& limits, bool logits_file);

std::string to_text(const PrecisionReport& report);
json::object to_json(const PrecisionReport& report);
std::string to_page(const PrecisionReport& report);

}  // namespace gossamer::apps
