// What a profile says (docs/profiler.md): a trace for Perfetto and chrome://tracing, and a table of the
// operations. Called when nothing runs any more.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/profiler.h"

namespace gossamer {

struct ProfileRow {
  std::string name;
  Profiler::Total total;
};

// Of one thread. Waiting is the time in steps without a part; of thread 0, that for the others' parts.
struct ProfileThread {
  std::string name;
  int64_t num_parts = 0;
  int64_t busy_nanoseconds = 0;
  int64_t waiting_nanoseconds = 0;
  int64_t num_dropped = 0;
};

// Dropped spans count here like all others.
struct ProfileSummary {
  int64_t num_steps = 0;
  int64_t step_nanoseconds = 0;
  int64_t operation_nanoseconds = 0;
  std::vector<ProfileRow> operations;  // the longest first
  std::vector<ProfileRow> sections;    // of steps, as they come
  std::vector<ProfileThread> threads;
  std::size_t num_spans = 0;  // kept, of all threads
  int64_t num_dropped = 0;
};

ProfileSummary summarize(const Profiler& profiler);

// Lines that end with newlines.
std::string to_text(const ProfileSummary& summary);
json::object to_json(const ProfileSummary& summary);

// {"traceEvents": [...], ...}: spans that were kept as complete events, in microseconds since the profiler
// was made; the summary under "otherData". Where spans of a thread were dropped, an event says how many.
// `process`: what ran.
void write_trace(const Profiler& profiler, const std::string& process, std::ostream& out);

}  // namespace gossamer
