// Reports as pages (`--html` of bench, verify and eval): one file, plots as inline SVG, no scripts.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace gossamer::apps {

std::string escaped(const std::string& text);

// A number with three significant digits.
std::string short_number(double value);

struct Bar {
  std::string name;
  double value = 0.0;
  double least = 0.0;
  double most = 0.0;
};

// Lying bars, one below the other, with their spread; `reference` > 0 draws a line across.
std::string bar_plot(const std::vector<Bar>& bars, double reference, const std::string& unit);

// Standing bars without gaps, of counts: a histogram. `least` and `most` of a bar are not looked at.
std::string column_plot(const std::vector<Bar>& columns, const std::string& x_name);

struct Point {
  double x = 0.0;
  double y = 0.0;
};

// Lines from zero on, both ways, each with its name.
std::string line_plot(const std::map<std::string, std::vector<Point>>& lines, const std::string& x_name);

// The first cell of each row stands left, the others right.
using Row = std::vector<std::string>;
std::string table(const Row& head, const std::vector<Row>& rows);

// `body` as a whole page under a heading.
std::string page(const std::string& title, const std::string& body);

}  // namespace gossamer::apps
