// The page of `gossamer verify precision --html`.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "apps/report/page.h"
#include "apps/verify/precision_report.h"

namespace gossamer::apps {
namespace {

std::string heading(const std::string& text) { return fmt::format("<h2>{}</h2>\n", escaped(text)); }
std::string note(const std::string& text) { return fmt::format("<p class=\"note\">{}</p>\n", escaped(text)); }

std::string measures_table(const PrecisionReport& report) {
  std::vector<Row> rows;
  for (const Measure& measure : report.measures)
    rows.push_back({measure.title, measure.shown_value(), measure.shown_limit(), name_of(measure.verdict()),
                    measure.why});
  return table({"measure", "found", "limit", "verdict", "of what"}, rows);
}

// How many tokens lie in which power of ten.
std::string divergence_histogram(const std::vector<double>& ascending) {
  constexpr int kLeast = -12;
  constexpr int kMost = 1;
  std::vector<Bar> columns = {{.name = "0"}};
  for (int power = kLeast; power <= kMost; ++power) columns.push_back({.name = fmt::format("1e{}", power)});
  for (const double divergence : ascending) {
    // The whole of a model against itself is exactly 0; rounding can make a tiny one negative.
    const int power = divergence > 0.0 ? static_cast<int>(std::floor(std::log10(divergence))) : kLeast - 1;
    const int column = divergence > 0.0 ? std::clamp(power, kLeast, kMost) - kLeast + 1 : 0;
    columns[static_cast<std::size_t>(column)].value += 1.0;
  }
  return column_plot(columns, "KL divergence of a token, from this on (nats); tokens");
}

// By how far in its text a token lies: a window or a position that goes wrong shows here.
std::string divergence_by_position(const PrecisionComparison& comparison) {
  constexpr std::size_t kStep = 16;
  std::map<std::size_t, std::pair<double, double>> sums;
  for (std::size_t i = 0; i < comparison.compared.texts.size(); ++i) {
    const std::vector<PredictedToken>& tokens = comparison.compared.texts[i].tokens;
    for (std::size_t k = 0; k < tokens.size(); ++k) {
      auto& [sum, count] = sums[(comparison.expected.texts[i].num_given + k) / kStep];
      sum += std::abs(tokens[k].found_loss - tokens[k].expected_loss);
      count += 1.0;
    }
  }
  std::map<std::string, std::vector<Point>> lines;
  for (const auto& [step, sum] : sums)
    lines["mean"].push_back({.x = static_cast<double>(step * kStep), .y = sum.first / sum.second});
  return lines.empty() ? std::string()
                       : heading("Differences of log-probabilities by position") +
                             line_plot(lines, "position in the text, in steps of 16 tokens");
}

std::string answers_part(const PrecisionComparison& comparison) {
  std::vector<Bar> bars;
  std::vector<Row> rows;
  for (std::size_t i = 0; i < comparison.compared.answers.size(); ++i) {
    const AnswerComparison& compared = comparison.compared.answers[i];
    const std::string name = fmt::format("answer {}", i);
    std::string parting = "not told";
    if (compared.tokens) {
      const double all = static_cast<double>(compared.tokens->num_positions);
      const double same =
          compared.tokens->first_difference ? static_cast<double>(*compared.tokens->first_difference) : all;
      bars.push_back({.name = name, .value = same, .least = same, .most = all});
      parting = compared.tokens->identical() ? "never" : fmt::format("token {}", same);
    }
    rows.push_back({comparison.expected.answers[i].prompt, comparison.expected.answers[i].answer,
                    comparison.found.answers[i].answer, parting, fmt::format("{:.4f}", compared.rouge_l)});
  }
  std::string text;
  if (!bars.empty()) {
    text += heading("Tokens until answers part");
    text += note("The bar ends where the two answers part, the whisker where the longer of them ends.");
    text += bar_plot(bars, 0.0, "tokens");
  }
  if (!rows.empty()) {
    text += heading("Answers");
    text += "<div class=\"texts\">" + table({"prompt", "a", "b", "parted at", "ROUGE-L"}, rows) + "</div>\n";
  }
  return text;
}

}  // namespace

std::string to_page(const PrecisionReport& report) {
  const PrecisionComparison& comparison = report.comparison;
  std::string body =
      "<style>.texts td, .texts th { text-align: left; vertical-align: top; "
      "white-space: pre-wrap; overflow-wrap: anywhere }</style>\n";
  body += table({}, {{"a, the reference", comparison.expected_name},
                     {"b, held against it", comparison.found_name},
                     {"verdict", name_of(report.verdict())}});
  body += measures_table(report);
  for (const std::string& text : report.notes) body += note(text);
  if (report.divergence) {
    body += heading("KL divergence of b from a");
    body += divergence_histogram(report.divergence->divergences);
  }
  body += divergence_by_position(comparison);
  body += answers_part(comparison);
  body += heading("What was compared");
  body += fmt::format("<pre>{}</pre>\n", escaped("a " + json::serialize(comparison.expected.identity) +
                                                 "\nb " + json::serialize(comparison.found.identity)));
  return page("precision of two deployments", body);
}

}  // namespace gossamer::apps
