#include "apps/report/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace gossamer::apps {
namespace {

constexpr const char* kStyle = R"(
:root { color-scheme: light dark; --text: #222; --ground: #fff; --soft: #555; --line: #ddd }
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e4e4; --ground: #16181b; --soft: #a8adb3; --line: #3a3f45 } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--ground); max-width: 60rem;
       margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--line) }
td { overflow-wrap: anywhere }
th:first-child, td:first-child { text-align: left } th { font-weight: 600; color: var(--soft) }
svg { width: 100%; height: auto } svg text { font: 12px system-ui, sans-serif; fill: var(--soft) }
.note { color: var(--soft) })";

constexpr const char* kColours[] = {"#2f6f9f", "#c26a2d", "#4b8b4b", "#8a5a9e", "#a8443f", "#6b6b6b"};

// The smallest of 1, 2, 5, 10, 20, ... that is not below `value`.
double nice_ceiling(double value) {
  if (!(value > 0.0)) return 1.0;
  const double power = std::pow(10.0, std::floor(std::log10(value)));
  for (const double step : {1.0, 2.0, 5.0}) {
    if (value <= step * power) return step * power;
  }
  return 10 * power;
}

}  // namespace

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

std::string short_number(double value) {
  return std::abs(value) >= 100.0 ? fmt::format("{:.0f}", value) : fmt::format("{:.3g}", value);
}

std::string bar_plot(const std::vector<Bar>& bars, double reference, const std::string& unit) {
  constexpr double kLeft = 190;
  constexpr double kWidth = 560;
  constexpr double kRow = 26;
  double most = reference;
  for (const Bar& bar : bars) most = std::max(most, bar.most);
  const double scale = kWidth / (reference > 0.0 ? 1.1 * most : nice_ceiling(most));
  const double height = kRow * static_cast<double>(bars.size()) + 10;
  std::string svg = fmt::format("<svg viewBox=\"0 0 880 {}\" role=\"img\">\n", height);
  double y = 5;
  for (const Bar& bar : bars) {
    const double middle = y + kRow / 2;
    svg += fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>", kLeft - 8, middle + 4,
                       escaped(bar.name));
    svg += fmt::format(
        "<rect x=\"{}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{}\" fill=\"{}\" fill-opacity=\".75\"/>",
        kLeft, y + 4, bar.value * scale, kRow - 8, kColours[0]);
    svg += fmt::format(
        "<path d=\"M{0:.1f} {1:.1f}H{2:.1f}M{0:.1f} {3:.1f}v8M{2:.1f} {3:.1f}v8\" "
        "stroke=\"currentColor\" fill=\"none\"/>",
        kLeft + bar.least * scale, middle, kLeft + bar.most * scale, middle - 4);
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\">{} {}</text>\n", kLeft + bar.most * scale + 8,
                       middle + 4, short_number(bar.value), unit);
    y += kRow;
  }
  if (reference > 0.0) {
    svg += fmt::format("<path d=\"M{:.1f} 0v{}\" stroke=\"{}\" stroke-dasharray=\"4 3\"/>\n",
                       kLeft + reference * scale, height, kColours[4]);
  }
  return svg + "</svg>\n";
}

std::string column_plot(const std::vector<Bar>& columns, const std::string& x_name) {
  constexpr double kLeft = 70;
  constexpr double kTop = 15;
  constexpr double kWidth = 760;
  constexpr double kHeight = 200;
  double most = 0.0;
  for (const Bar& column : columns) most = std::max(most, column.value);
  const double top = nice_ceiling(most);
  const double step = kWidth / std::max(static_cast<double>(columns.size()), 1.0);
  std::string svg = "<svg viewBox=\"0 0 880 265\" role=\"img\">\n";
  for (int i = 0; i <= 4; ++i) {
    const double y = kTop + kHeight * (1 - i / 4.0);
    svg += fmt::format(
        "<path d=\"M{} {:.1f}h{}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1f}\" "
        "text-anchor=\"end\">{}</text>\n",
        kLeft, y, kWidth, kLeft - 8, y + 4, short_number(top * i / 4));
  }
  double x = kLeft;
  for (const Bar& column : columns) {
    const double height = kHeight * column.value / top;
    svg += fmt::format(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\" "
        "fill-opacity=\".75\"/><text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n",
        x + 1, kTop + kHeight - height, step - 2, height, kColours[0], x + step / 2, kTop + kHeight + 18,
        escaped(column.name));
    x += step;
  }
  svg += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", kLeft + kWidth / 2,
                     kTop + kHeight + 40, escaped(x_name));
  return svg + "</svg>\n";
}

std::string line_plot(const std::map<std::string, std::vector<Point>>& lines, const std::string& x_name) {
  constexpr double kLeft = 70;
  constexpr double kTop = 15;
  constexpr double kWidth = 640;
  constexpr double kHeight = 260;
  double most_x = 0.0;
  double most_y = 0.0;
  for (const auto& [name, points] : lines) {
    for (const Point& point : points) {
      most_x = std::max(most_x, point.x);
      most_y = std::max(most_y, point.y);
    }
  }
  const double top = nice_ceiling(most_y);
  const auto place_x = [&](double x) { return kLeft + kWidth * x / std::max(most_x, 1.0); };
  const auto place_y = [&](double y) { return kTop + kHeight * (1 - y / top); };
  std::string svg = "<svg viewBox=\"0 0 880 330\" role=\"img\">\n";
  for (int i = 0; i <= 4; ++i) {
    const double y = top * i / 4;
    svg += fmt::format(
        "<path d=\"M{} {:.1f}h{}\" style=\"stroke: var(--line)\"/><text x=\"{}\" y=\"{:.1f}\" "
        "text-anchor=\"end\">{}</text>\n",
        kLeft, place_y(y), kWidth, kLeft - 8, place_y(y) + 4, short_number(y));
    const double x = most_x * i / 4;
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{:.0f}</text>\n", place_x(x),
                       kTop + kHeight + 18, x);
  }
  svg += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", kLeft + kWidth / 2,
                     kTop + kHeight + 38, escaped(x_name));
  std::size_t colour = 0;
  for (const auto& [name, points] : lines) {
    const char* stroke = kColours[colour % std::size(kColours)];
    std::string path;
    for (const Point& point : points) {
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", place_x(point.x), place_y(point.y));
      svg += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>", place_x(point.x),
                         place_y(point.y), stroke);
    }
    svg += fmt::format("<path d=\"{}\" stroke=\"{}\" stroke-width=\"2\" fill=\"none\"/>", path, stroke);
    const double y = kTop + 16 * static_cast<double>(colour + 1);
    svg += fmt::format(
        "<rect x=\"730\" y=\"{:.1f}\" width=\"12\" height=\"4\" fill=\"{}\"/><text x=\"748\" "
        "y=\"{:.1f}\">{}</text>\n",
        y - 6, stroke, y, escaped(name));
    ++colour;
  }
  return svg + "</svg>\n";
}

std::string table(const Row& head, const std::vector<Row>& rows) {
  std::string text = "<table>\n";
  const auto add = [&](const Row& row, const char* cell) {
    text += "<tr>";
    for (const std::string& field : row) text += fmt::format("<{0}>{1}</{0}>", cell, escaped(field));
    text += "</tr>\n";
  };
  if (!head.empty()) add(head, "th");
  for (const Row& row : rows) add(row, "td");
  return text + "</table>\n";
}

std::string page(const std::string& title, const std::string& body) {
  std::string text = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n";
  text += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  text += fmt::format("<title>gossamer: {0}</title><style>{1}</style></head><body>\n<h1>{0}</h1>\n",
                      escaped(title), kStyle);
  return text + body + "</body></html>\n";
}

}  // namespace gossamer::apps
