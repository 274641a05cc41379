// The event stream standard, written down once more in the plainest way: the whole text at once.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "http/sse_parser.h"

namespace gossamer::test {

inline std::vector<std::string> sse_lines(std::string text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  std::string normal;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r') {
      normal += '\n';
      if (i + 1 < text.size() && text[i + 1] == '\n') ++i;
    } else {
      normal += text[i];
    }
  }
  std::vector<std::string> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; (at = normal.find('\n', begin)) != std::string::npos; begin = at + 1)
    lines.push_back(normal.substr(begin, at - begin));
  return lines;  // what has no end is no line
}

inline std::vector<SseEvent> sse_events(const std::string& text) {
  std::vector<SseEvent> events;
  std::string data;
  std::string type;
  std::string id;
  for (const std::string& line : sse_lines(text)) {
    if (line.empty()) {
      if (!data.empty()) events.push_back({.type = type, .data = data.substr(0, data.size() - 1), .id = id});
      data.clear();
      type.clear();
      continue;
    }
    const std::size_t colon = line.find(':');
    if (colon == 0) continue;
    const std::string name = line.substr(0, colon);
    std::string value = colon == std::string::npos ? "" : line.substr(colon + 1);
    if (!value.empty() && value[0] == ' ') value.erase(0, 1);
    if (name == "data") data += value + "\n";
    if (name == "event") type = value;
    if (name == "id" && value.find('\0') == std::string::npos) id = value;
  }
  return events;
}

inline bool same_event(const SseEvent& a, const SseEvent& b) {
  return a.type == b.type && a.data == b.data && a.id == b.id;
}

}  // namespace gossamer::test
