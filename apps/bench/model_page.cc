// The page of `gossamer bench model --html`: one file, plots as inline SVG, no scripts.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "apps/bench/model_report.h"
#include "base/system_memory.h"

namespace gossamer::apps {
namespace {

constexpr const char* kStyle = R"(
body { font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 60rem; margin: 2rem auto;
       padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left } th { font-weight: 600; color: #555 }
svg { width: 100%; height: auto } svg text { font: 12px system-ui, sans-serif; fill: #444 }
.note { color: #666 })";

constexpr const char* kColours[] = {"#2f6f9f", "#c26a2d", "#4b8b4b", "#8a5a9e", "#a8443f", "#6b6b6b"};

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

// The smallest of 1, 2, 5, 10, 20, ... that is not below `value`.
double nice_ceiling(double value) {
  if (!(value > 0.0)) return 1.0;
  const double power = std::pow(10.0, std::floor(std::log10(value)));
  for (const double step : {1.0, 2.0, 5.0}) {
    if (value <= step * power) return step * power;
  }
  return 10 * power;
}

// A number with three significant digits.
std::string short_number(double value) {
  return std::abs(value) >= 100.0 ? fmt::format("{:.0f}", value) : fmt::format("{:.3g}", value);
}

struct Bar {
  std::string name;
  Spread value;
};

// Lying bars, one below the other, with their spread; `reference` > 0 draws a line across.
std::string bar_plot(const std::vector<Bar>& bars, double reference, const std::string& unit) {
  constexpr double kLeft = 190;
  constexpr double kWidth = 560;
  constexpr double kRow = 26;
  double most = reference;
  for (const Bar& bar : bars) most = std::max(most, bar.value.max);
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
        kLeft, y + 4, bar.value.median * scale, kRow - 8, kColours[0]);
    svg += fmt::format(
        "<path d=\"M{0:.1f} {1:.1f}H{2:.1f}M{0:.1f} {3:.1f}v8M{2:.1f} {3:.1f}v8\" "
        "stroke=\"#222\" fill=\"none\"/>",
        kLeft + bar.value.min * scale, middle, kLeft + bar.value.max * scale, middle - 4);
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\">{} {}</text>\n", kLeft + bar.value.max * scale + 8,
                       middle + 4, short_number(bar.value.median), unit);
    y += kRow;
  }
  if (reference > 0.0) {
    svg += fmt::format("<path d=\"M{:.1f} 0v{}\" stroke=\"{}\" stroke-dasharray=\"4 3\"/>\n",
                       kLeft + reference * scale, height, kColours[4]);
  }
  return svg + "</svg>\n";
}

struct Point {
  double x;
  double y;
};

// Lines over depths, one for each number of sequences.
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
        "<path d=\"M{} {:.1f}h{}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1f}\" "
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

using Row = std::vector<std::string>;

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

std::string machine_table(const ModelReport& report) {
  std::vector<Row> rows = {
      {"Memory, read", fmt::format("{:.1f} GB/s", report.ceilings.read_bytes_per_s * 1e-9)}};
  for (const Ceilings::Rate& rate : report.ceilings.rates) {
    rows.push_back({fmt::format("{} dot product, {} ({})", peak::operand_name(rate.instruction.loop.operand),
                                rate.instruction.loop.instruction, rate.instruction.level),
                    fmt::format("{:.0f} GOP/s", rate.operations_per_s * 1e-9)});
  }
  return table({"Ceiling", fmt::format("{} threads", report.ceilings.num_threads)}, rows);
}

std::string model_table(const ModelReport& report) {
  const auto bytes = [](double value) { return format_bytes(static_cast<std::size_t>(value)); };
  return table(
      {}, {{"Architecture", fmt::format("{}, {} layers", report.info.architecture, report.info.num_layers)},
           {"Backend", report.backend},
           {"Weights in memory", bytes(report.weight_bytes)},
           {"Operations of one token, without attention",
            fmt::format("{:.3f} G", report.operations_per_token * 1e-9)},
           {"Load time", fmt::format("{:.2f} s", report.load_seconds)},
           {"Peak resident memory while loading", format_bytes(report.loaded_resident_bytes)},
           {"Peak resident memory", format_bytes(report.peak_resident_bytes)}});
}

std::string results_table(const ModelReport& report) {
  std::vector<Row> rows;
  for (const ModelResult& result : report.results) {
    rows.push_back({result_name(result), short_number(result.tokens_per_s.median),
                    fmt::format("{} to {}", short_number(result.tokens_per_s.min),
                                short_number(result.tokens_per_s.max)),
                    short_number(result.cost.bytes() * 1e-9),
                    short_number(result.operations_per_token * 1e-9),
                    fmt::format("{:.1f} %", 100 * result.share_of_limit.median),
                    result.prefill ? "dot product" : "memory"});
  }
  return table({"Work", "tokens/s", "spread", "GB a step", "GOP a token", "of the limit", "limit"}, rows);
}

std::string plots(const ModelReport& report) {
  std::string text;
  std::vector<Bar> shares;
  for (const bool prefill : {true, false}) {
    std::vector<Bar> speeds;
    for (const ModelResult& result : report.results) {
      if (result.prefill != prefill) continue;
      speeds.push_back({result_name(result), result.tokens_per_s});
      const Spread& share = result.share_of_limit;
      shares.push_back({result_name(result), {100 * share.median, 100 * share.min, 100 * share.max}});
    }
    if (speeds.empty()) continue;
    text += fmt::format("<h2>{}: tokens a second</h2>\n", prefill ? "Prefill" : "Decode");
    text += bar_plot(speeds, 0.0, "");
  }
  text += "<h2>Share of the limit</h2>\n" + bar_plot(shares, 100.0, "%");
  std::map<std::string, std::vector<Point>> by_depth;
  std::size_t longest = 0;
  for (const ModelResult& result : report.results) {
    if (result.prefill) continue;
    std::vector<Point>& line = by_depth[fmt::format("{:>4} at once", result.sequences)];
    line.push_back({static_cast<double>(result.depth), result.tokens_per_s.median});
    longest = std::max(longest, line.size());
  }
  if (longest > 1)
    text += "<h2>Decode by depth: tokens a second</h2>\n" + line_plot(by_depth, "depth, tokens");
  return text;
}

}  // namespace

std::string to_html(const ModelReport& report) {
  const json::value* cpu = report.machine.if_contains("cpu");
  std::string text = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n";
  text += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
  text += fmt::format("<title>gossamer bench: {}</title><style>{}</style></head><body>\n",
                      escaped(report.model), kStyle);
  text += fmt::format("<h1>{}</h1>\n<p>{}</p>\n", escaped(report.model),
                      cpu != nullptr ? escaped(std::string(cpu->as_string())) : "");
  text += plots(report);
  text += "<h2>Results</h2>\n" + results_table(report);
  text +=
      "<p class=\"note\">Medians and spread over the runs. The limit of decode is the time that reading the "
      "step's weights, keys and values takes at the bandwidth measured next to the run; the limit of prefill "
      "is the time of its operations at the dot-product peak measured next to the run.</p>\n";
  text += "<h2>Model</h2>\n" + model_table(report) + "<h2>Machine</h2>\n" + machine_table(report);
  return text + "</body></html>\n";
}

}  // namespace gossamer::apps
