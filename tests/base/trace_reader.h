// A trace as `--profile` writes it, read back: its complete events, each with the event that it lies in. That
// no two events of a thread overlap without one lying in the other is checked while reading.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"

namespace gossamer::test {

struct TraceEvent {
  std::string name;
  std::string category;
  int64_t thread = 0;  // tid
  int64_t begin = 0;   // nanoseconds
  int64_t end = 0;
  int parent = -1;  // index of the event that it lies in
  json::object args;

  double number(const char* key) const { return args.at(key).to_number<double>(); }
};

inline std::vector<TraceEvent> read_trace(const json::value& trace) {
  std::vector<TraceEvent> events;
  std::map<int64_t, std::vector<int>> open;  // by thread: the events around the next one
  for (const json::value& value : trace.at("traceEvents").as_array()) {
    if (value.at("ph") != "X") continue;
    EXPECT_EQ(value.at("pid").to_number<int>(), 1);
    const auto nanoseconds = [&value](const char* key) {
      return std::llround(value.at(key).to_number<double>() * 1000.0);
    };
    TraceEvent event{.name = std::string(value.at("name").as_string()),
                     .category = std::string(value.at("cat").as_string()),
                     .thread = value.at("tid").to_number<int64_t>(),
                     .begin = nanoseconds("ts"),
                     .end = nanoseconds("ts") + nanoseconds("dur")};
    if (value.as_object().contains("args")) event.args = value.at("args").as_object();
    EXPECT_LE(event.begin, event.end) << event.name;
    std::vector<int>& around = open[event.thread];
    while (!around.empty() && events[static_cast<std::size_t>(around.back())].end <= event.begin)
      around.pop_back();
    if (!around.empty()) {
      const TraceEvent& parent = events[static_cast<std::size_t>(around.back())];
      EXPECT_GE(event.begin, parent.begin) << event.name << " begins before " << parent.name;
      EXPECT_LE(event.end, parent.end) << event.name << " ends after " << parent.name;
      event.parent = around.back();
    }
    around.push_back(static_cast<int>(events.size()));
    events.push_back(std::move(event));
  }
  return events;
}

// The category of what it lies in; "" of what lies in nothing.
inline std::string parent_category(const std::vector<TraceEvent>& events, const TraceEvent& event) {
  return event.parent < 0 ? "" : events[static_cast<std::size_t>(event.parent)].category;
}

}  // namespace gossamer::test
