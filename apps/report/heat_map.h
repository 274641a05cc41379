// A grid of measured values as inline SVG, for the pages of page.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace gossamer::apps {

struct HeatCell {
  std::optional<double> value;     // 0 (bad) to 1 (good); absent: not measured
  std::vector<std::string> lines;  // shown where there is room
  std::string about;               // shown under the pointer
};

struct HeatMap {
  std::string x_name;
  std::string y_name;
  std::vector<std::string> columns;
  std::vector<std::string> rows;
  std::vector<std::vector<HeatCell>> cells;  // by row
};

// Orange is bad and blue is good, which nobody confuses; what is below 1 has a frame besides.
std::string heat_map(const HeatMap& map);

}  // namespace gossamer::apps
