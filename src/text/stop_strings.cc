#include "text/stop_strings.h"

#include <algorithm>
#include <utility>

namespace gossamer {

StopStrings::StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::string StopStrings::push(std::string_view text) {
  if (found_) return {};
  held_ += text;
  // Of several the one that ends first, as if the text had come character by character: how tokens cut it
  // must make no difference.
  std::size_t cut = std::string::npos;
  std::size_t first_end = std::string::npos;
  for (const std::string& stop : stops_) {
    const std::size_t begin = held_.find(stop);
    if (begin == std::string::npos) continue;
    const std::size_t end = begin + stop.size();
    if (end < first_end || (end == first_end && begin < cut)) {
      cut = begin;
      first_end = end;
    }
  }
  if (cut != std::string::npos) {
    found_ = true;
    held_.resize(cut);
    return std::exchange(held_, {});
  }
  // Held back: the longest end that is the beginning of a stop string.
  std::size_t keep = 0;
  for (const std::string& stop : stops_) {
    for (std::size_t length = std::min(stop.size() - 1, held_.size()); length > keep; --length) {
      if (held_.ends_with(std::string_view(stop).substr(0, length))) keep = length;
    }
  }
  std::string certain = held_.substr(0, held_.size() - keep);
  held_.erase(0, certain.size());
  return certain;
}

std::string StopStrings::flush() { return std::exchange(held_, {}); }

}  // namespace gossamer
