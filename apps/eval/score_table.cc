#include "apps/eval/score_table.h"

#include <fmt/format.h>

#include <algorithm>

namespace gossamer::apps {

json::object ScoreTable::add(const std::string& name, std::size_t count, double score,
                             const Interval& interval, const char* method) {
  constexpr double kPercent = 100.0;
  lines_.push_back({.name = name,
                    .score = Score{.count = count,
                                   .percent = kPercent * score,
                                   .interval = {kPercent * interval.low, kPercent * interval.high}}});
  return {{"questions", count},
          {"score", score},
          {"interval_95", {interval.low, interval.high}},
          {"interval_method", method}};
}

json::object ScoreTable::add_share(const std::string& name, std::size_t right, std::size_t total) {
  const double share = total == 0 ? 0.0 : static_cast<double>(right) / static_cast<double>(total);
  return add(name, total, share, wilson_interval(right, total), "Wilson");
}

json::object ScoreTable::add_mean(const std::string& name, const std::vector<std::vector<double>>& groups) {
  std::size_t count = 0;
  std::vector<double> means;
  for (const std::vector<double>& group : groups) {
    if (group.empty()) continue;
    count += group.size();
    means.push_back(mean(group));
  }
  return add(name, count, mean(means), bootstrap_interval(groups), "bootstrap");
}

std::string ScoreTable::text() const {
  std::size_t width = 0;
  for (const Line& line : lines_) {
    if (line.score) width = std::max(width, line.name.size());
  }
  std::string text = title_ + "\n";
  for (const Line& line : lines_) {
    text += line.score ? fmt::format("  {:<{}}  {:>6}  {:>7.2f}  [{:.2f}, {:.2f}]\n", line.name, width,
                                     line.score->count, line.score->percent, line.score->interval.low,
                                     line.score->interval.high)
                       : fmt::format("  {}\n", line.name);
  }
  return text;
}

std::string ScoreTable::page(const std::vector<Row>& facts) const {
  std::vector<Row> rows;
  std::vector<Bar> bars;
  std::string notes;
  for (const Line& line : lines_) {
    if (!line.score) {
      notes += fmt::format("<p class=\"note\">{}</p>\n", escaped(line.name));
      continue;
    }
    const Score& score = *line.score;
    rows.push_back({line.name, std::to_string(score.count), fmt::format("{:.2f}", score.percent),
                    fmt::format("[{:.2f}, {:.2f}]", score.interval.low, score.interval.high)});
    bars.push_back({.name = line.name,
                    .value = score.percent,
                    .least = score.interval.low,
                    .most = score.interval.high});
  }
  std::string body;
  if (!bars.empty())
    body = bar_plot(bars, 0.0, "%") + table({"", "Questions", "Score, %", "95 % interval"}, rows);
  return apps::page(title_, body + notes + table({}, facts));
}

}  // namespace gossamer::apps
