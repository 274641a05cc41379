// ScoreTable: the scores of an evaluation, one under the other, as text for the terminal and as a page.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/report/page.h"
#include "base/json.h"
#include "eval/statistics.h"

namespace gossamer::apps {

class ScoreTable {
 public:
  explicit ScoreTable(std::string title) : title_(std::move(title)) {}

  // A share of right answers, with Wilson's interval. What it says in JSON.
  json::object add_share(const std::string& name, std::size_t right, std::size_t total);
  // The mean of the groups' means, with a bootstrap interval.
  json::object add_mean(const std::string& name, const std::vector<std::vector<double>>& groups);
  void add_line(const std::string& line) { lines_.push_back({.name = line, .score = {}}); }

  // In percent.
  std::string text() const;
  // The same with a plot; `facts` are rows of two cells.
  std::string page(const std::vector<Row>& facts) const;

 private:
  struct Score {
    std::size_t count = 0;  // of questions
    double percent = 0.0;
    Interval interval;  // in percent
  };
  struct Line {
    std::string name;
    std::optional<Score> score;  // none: only words
  };
  json::object add(const std::string& name, std::size_t count, double score, const Interval& interval,
                   const char* method);

  std::string title_;
  std::vector<Line> lines_;
};

}  // namespace gossamer::apps
