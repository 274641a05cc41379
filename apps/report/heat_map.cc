#include "apps/report/heat_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/report/page.h"

namespace gossamer::apps {
namespace {

struct Colour {
  double red = 0.0;
  double green = 0.0;
  double blue = 0.0;
};

// Vermilion, a pale grey in the middle, blue: apart for every kind of colour blindness, and on light and dark
// ground alike.
Colour heat_colour(double value) {
  constexpr Colour kBad = {213, 94, 0};
  constexpr Colour kMiddle = {228, 222, 214};
  constexpr Colour kGood = {0, 104, 166};
  const double share = std::clamp(value, 0.0, 1.0) * 2;
  const Colour& from = share < 1 ? kBad : kMiddle;
  const Colour& to = share < 1 ? kMiddle : kGood;
  const double part = share < 1 ? share : share - 1;
  const auto mix = [part](double a, double b) { return a + part * (b - a); };
  return {mix(from.red, to.red), mix(from.green, to.green), mix(from.blue, to.blue)};
}

}  // namespace

std::string heat_map(const HeatMap& map) {
  constexpr double kLeft = 100;
  constexpr double kTop = 10;
  constexpr double kWidth = 760;
  constexpr double kLine = 15;           // of text
  constexpr double kReadableWidth = 56;  // of a cell with text
  const double width = kWidth / static_cast<double>(std::max<std::size_t>(map.columns.size(), 1));
  const bool with_text = width >= kReadableWidth;
  const double height = with_text ? 48 : 22;
  const double bottom = kTop + height * static_cast<double>(map.rows.size());
  std::string svg = fmt::format("<svg viewBox=\"0 0 880 {:.0f}\" role=\"img\">\n", bottom + 50);
  // Names that would touch are left out.
  const auto every = static_cast<std::size_t>(std::ceil(kReadableWidth / width));
  for (std::size_t column = 0; column < map.columns.size(); column += every) {
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n",
                       kLeft + width * (static_cast<double>(column) + 0.5), bottom + 18,
                       escaped(map.columns[column]));
  }
  svg += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n", kLeft + kWidth / 2,
                     bottom + 40, escaped(map.x_name));
  svg +=
      fmt::format("<text transform=\"translate(16 {:.1f}) rotate(-90)\" text-anchor=\"middle\">{}</text>\n",
                  (kTop + bottom) / 2, escaped(map.y_name));
  for (std::size_t row = 0; row < map.rows.size(); ++row) {
    const double y = kTop + height * static_cast<double>(row);
    svg += fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", kLeft - 8,
                       y + height / 2 + 4, escaped(map.rows[row]));
    for (std::size_t column = 0; column < map.cells[row].size(); ++column) {
      const HeatCell& cell = map.cells[row][column];
      const double x = kLeft + width * static_cast<double>(column);
      std::string fill = "none";
      std::string ink = "#000";
      std::string frame = "var(--line)";
      if (cell.value) {
        const Colour colour = heat_colour(*cell.value);
        fill = fmt::format("rgb({:.0f},{:.0f},{:.0f})", colour.red, colour.green, colour.blue);
        // As light as the eye sees it: black reads from about here on.
        if (0.3 * colour.red + 0.59 * colour.green + 0.11 * colour.blue < 110) ink = "#fff";
        if (*cell.value < 1.0) frame = "var(--text)";
      }
      svg += fmt::format(
          "<g><title>{}</title><rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" "
          "fill=\"{}\" pointer-events=\"all\" style=\"stroke: {}; stroke-width: 2\"/>",
          escaped(cell.about), x + 2, y + 2, width - 4, height - 4, fill, frame);
      double line_y = y + height / 2 + 4 - kLine / 2 * (static_cast<double>(cell.lines.size()) - 1);
      for (const std::string& line : cell.lines) {
        if (!with_text) break;
        svg +=
            fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\" style=\"fill: {}\">{}</text>",
                        x + width / 2, line_y, ink, escaped(line));
        line_y += kLine;
      }
      svg += "</g>\n";
    }
  }
  return svg + "</svg>\n";
}

}  // namespace gossamer::apps
