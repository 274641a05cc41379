// The page of `gossamer bench serve --html`.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "apps/bench/load_report.h"
#include "apps/report/page.h"

namespace gossamer::apps {
namespace {

using Lines = std::map<std::string, std::vector<Point>>;

Lines over_levels(
    const LoadReport& report,
    const std::vector<std::pair<std::string, std::function<double(const LoadSummary&)>>>& figures) {
  Lines lines;
  for (const LoadSummary& summary : report.levels) {
    const double x =
        summary.level.rate > 0.0 ? summary.level.rate : static_cast<double>(summary.level.concurrency);
    for (const auto& [name, figure] : figures) lines[name].push_back({x, figure(summary)});
  }
  return lines;
}

std::string sweep_plots(const LoadReport& report) {
  const std::string x = report.levels.front().level.rate > 0.0 ? "requests/s asked for" : "concurrency";
  const auto plot = [&](const std::string& title, const auto& figures) {
    return fmt::format("<h2>{}</h2>\n", title) + line_plot(over_levels(report, figures), x);
  };
  using Figures = std::vector<std::pair<std::string, std::function<double(const LoadSummary&)>>>;
  const auto latencies = [](LatencySummary LoadSummary::*which) {
    return Figures{{"mean", [which](const LoadSummary& summary) { return (summary.*which).mean; }},
                   {"p50", [which](const LoadSummary& summary) { return (summary.*which).p50; }},
                   {"p90", [which](const LoadSummary& summary) { return (summary.*which).p90; }},
                   {"p99", [which](const LoadSummary& summary) { return (summary.*which).p99; }}};
  };
  return plot("Throughput, tokens/s", Figures{{"out", [](const auto& s) { return s.tokens_per_s(); }}}) +
         plot("Answers a second", Figures{{"answers", [](const auto& s) { return s.qps(); }}}) +
         plot("Time to the first token, ms", latencies(&LoadSummary::ttft)) +
         plot("Time per token after the first, ms", latencies(&LoadSummary::tpot)) +
         plot("End to end, ms", latencies(&LoadSummary::e2e));
}

std::string share_plot(const LoadReport& report, const std::string& title,
                       LatencySummary LoadSummary::*which) {
  Lines lines;
  for (const LoadSummary& summary : report.levels) {
    const std::vector<double>& curve = (summary.*which).curve;
    for (std::size_t i = 0; i < curve.size(); ++i) {
      // Padded, so that 4 stands before 16.
      const std::string name = summary.level.rate > 0.0
                                   ? fmt::format("{:>8g} requests/s", summary.level.rate)
                                   : fmt::format("{:>5} at once", summary.level.concurrency);
      lines[name].push_back(
          {100.0 * static_cast<double>(i) / static_cast<double>(curve.size() - 1), curve[i]});
    }
  }
  if (lines.empty()) return {};
  return fmt::format("<h2>{}</h2>\n", title) + line_plot(lines, "% of them take at most");
}

std::string results_table(const LoadReport& report) {
  std::vector<Row> rows;
  for (const LoadSummary& summary : report.levels) {
    rows.push_back({level_name(summary.level), fmt::format("{}", summary.completed),
                    fmt::format("{}", summary.failed), short_number(summary.qps()),
                    short_number(summary.tokens_per_s()), short_number(summary.prompt_tokens_per_s()),
                    has_limits(report.options) ? short_number(summary.goodput()) : "",
                    fmt::format("{:.0f} %", 100 * summary.client_share)});
  }
  return table({"Load", "answers", "failed", "answers/s", "tokens/s out", "in", "goodput/s", "client busy"},
               rows);
}

std::string latency_table(const LoadReport& report) {
  std::vector<Row> rows;
  for (const LoadSummary& summary : report.levels) {
    const auto add = [&](const char* name, const LatencySummary& latency) {
      if (latency.curve.empty()) return;
      rows.push_back({level_name(summary.level) + ", " + name, short_number(latency.mean),
                      short_number(latency.p50), short_number(latency.p90), short_number(latency.p99),
                      short_number(latency.least), short_number(latency.most)});
    };
    add("first token", summary.ttft);
    add("per token", summary.tpot);
    add("between tokens", summary.itl);
    add("end to end", summary.e2e);
  }
  return table({"Milliseconds", "mean", "p50", "p90", "p99", "least", "most"}, rows);
}

std::string failure_table(const LoadReport& report) {
  std::vector<Row> rows;
  for (const LoadSummary& summary : report.levels) {
    const auto add = [&](const std::string& what, int64_t count) {
      if (count > 0) rows.push_back({level_name(summary.level) + ": " + what, fmt::format("{}", count)});
    };
    add("5xx", summary.server_errors);
    add("429", summary.too_many);
    add("clients that vanished", summary.vanished);
    add("broken requests refused with 4xx", summary.garbage.refused);
    add("broken requests whose connection was closed", summary.garbage.closed);
    add("broken requests that were not refused", summary.garbage.taken);
    for (const auto& [text, count] : summary.complaints) add(text, count);
  }
  if (rows.empty()) return {};
  return "<h2>What went wrong, or was meant to</h2>\n" + table({"", "times"}, rows);
}

}  // namespace

std::string to_html(const LoadReport& report) {
  std::string text =
      fmt::format("<p>{}, {}; {}, at most {} tokens out</p>\n", escaped(report.url), escaped(report.model),
                  escaped(report.about_prompts), report.options.max_tokens);
  if (const std::string why = verdict(report); !why.empty())
    text += fmt::format("<p><strong>Failed: {}.</strong></p>\n", escaped(why));
  text += "<h2>Results</h2>\n" + results_table(report) + latency_table(report);
  if (report.levels.size() > 1) text += sweep_plots(report);
  text +=
      share_plot(report, "Time to the first token, ms, from the fastest to the slowest", &LoadSummary::ttft);
  text += share_plot(report, "Between tokens, ms, from the fastest to the slowest", &LoadSummary::itl);
  text += share_plot(report, "End to end, ms, from the fastest to the slowest", &LoadSummary::e2e);
  text += failure_table(report);
  text +=
      "<p class=\"note\">Latencies are those of whole answers. A first token is the first of content or "
      "reasoning. Per token: the time after the first over the tokens after the first. Between tokens: what "
      "arrives at one moment is spread evenly over its tokens.</p>\n";
  return page("serve, " + report.model, text);
}

}  // namespace gossamer::apps
