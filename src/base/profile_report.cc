#include "base/profile_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

namespace gossamer {
namespace {

using Kind = Profiler::Kind;

double milliseconds(int64_t nanoseconds) { return static_cast<double>(nanoseconds) * 1e-6; }

double share_of(int64_t part, int64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

// In thousands of millions, as everything per nanosecond is.
double per_nanosecond(double amount, int64_t nanoseconds) {
  return nanoseconds > 0 ? amount / static_cast<double>(nanoseconds) : 0.0;
}

// A number for the table; nothing where there is none.
std::string rate_text(double amount, int64_t nanoseconds) {
  return amount > 0.0 ? fmt::format("{:.2f}", per_nanosecond(amount, nanoseconds)) : "";
}

std::string thread_name(int thread) {
  return thread == 0 ? "thread 0 (steps)" : fmt::format("thread {}", thread);
}

const char* category(Kind kind) {
  switch (kind) {
    case Kind::kStep:
      return "step";
    case Kind::kSection:
      return "section";
    case Kind::kOperation:
      return "operation";
    case Kind::kPart:
      return "part";
    case Kind::kWait:
      return "wait";
  }
  return "";
}

// Events of one process, a line each.
class TraceWriter {
 public:
  TraceWriter(const Profiler& profiler, std::ostream& out) : profiler_(profiler), out_(out) {
    for (const std::string& name : profiler.names()) names_.push_back(json::serialize(json::string(name)));
  }

  void write_metadata(const std::string& what, int thread, const std::string& name) {
    begin_event();
    add(R"({{"name":"{}","ph":"M","pid":1,"tid":{},"args":{{"name":{}}}}})", what, thread + 1,
        json::serialize(json::string(name)));
  }

  void write_thread(int thread) {
    const Profiler::Track& track = profiler_.track(thread);
    int64_t last_end = 0;
    auto step = steps_.begin();
    int64_t waiting_since = 0;
    for (std::size_t i = 0; i < track.num_spans; ++i) {
      const Profiler::Span& span = track.spans[i];
      last_end = std::max(last_end, span.end);
      if (thread == 0 && span.kind == Kind::kStep) steps_.push_back(span);
      begin_event();
      add(R"({{"name":)");
      if (span.label == Profiler::kLayer) {
        add(R"("layer {}")", span.number);
      } else {
        add("{}", names_[span.label]);
      }
      add(R"(,"cat":"{}","ph":"X","pid":1,"tid":{},"ts":{}.{:03},"dur":{}.{:03})", category(span.kind),
          thread + 1, span.begin / 1000, span.begin % 1000, (span.end - span.begin) / 1000,
          (span.end - span.begin) % 1000);
      if (span.kind == Kind::kOperation) {
        const Profiler::Cost& cost = track.costs[i];
        add(R"(,"args":{{"tokens":{},"bytes":{:.0f},"activation_bytes":{:.0f},"flops":{:.0f}}})", span.number,
            cost.bytes, cost.activation_bytes, cost.flops);
      } else if (span.kind == Kind::kStep) {
        add(R"(,"args":{{"tokens":{}}})", span.number);
      } else if (span.kind == Kind::kPart && thread == 0) {
        add(R"(,"args":{{"tasks":{}}})", span.number);
      } else if (span.kind == Kind::kPart) {
        // What came between two steps is not waiting.
        while (step != steps_.end() && step->end < span.begin) ++step;
        if (step != steps_.end()) waiting_since = std::max(waiting_since, step->begin);
        add(R"(,"args":{{"tasks":{},"waited_us":{:.3f}}})", span.number,
            static_cast<double>(std::max<int64_t>(0, span.begin - waiting_since)) * 1e-3);
        waiting_since = span.end;
      }
      add("}}");
    }
    if (track.num_dropped > 0) {
      begin_event();
      add(R"({{"name":"full: {} later spans are not in this trace","cat":"dropped","ph":"i","s":"t",)"
          R"("pid":1,"tid":{},"ts":{}.{:03},"args":{{"dropped":{}}}}})",
          track.num_dropped, thread + 1, last_end / 1000, last_end % 1000, track.num_dropped);
    }
    flush();
  }

  void flush() {
    out_.write(text_.data(), static_cast<std::streamsize>(text_.size()));
    text_.clear();
  }

 private:
  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
  }
  void begin_event() {
    constexpr std::size_t kChunk = std::size_t{1} << 20;
    if (text_.size() > kChunk) flush();
    add("{}", first_ ? "\n" : ",\n");
    first_ = false;
  }

  const Profiler& profiler_;
  std::ostream& out_;
  std::vector<std::string> names_;     // by label, as JSON
  std::vector<Profiler::Span> steps_;  // thread 0's, once it is written
  std::string text_;
  bool first_ = true;
};

}  // namespace

ProfileSummary summarize(const Profiler& profiler) {
  ProfileSummary summary;
  for (std::size_t label = 0; label < profiler.names().size(); ++label) {
    const Profiler::Total& total = profiler.total(static_cast<Profiler::Label>(label));
    if (total.count == 0) continue;
    if (total.kind == Kind::kStep) {
      summary.num_steps = total.count;
      summary.step_nanoseconds = total.nanoseconds;
    } else if (total.kind == Kind::kSection) {
      summary.sections.push_back({.name = profiler.names()[label], .total = total});
    } else if (total.kind == Kind::kOperation) {
      summary.operations.push_back({.name = profiler.names()[label], .total = total});
      summary.operation_nanoseconds += total.nanoseconds;
    }
  }
  std::stable_sort(
      summary.operations.begin(), summary.operations.end(),
      [](const ProfileRow& a, const ProfileRow& b) { return a.total.nanoseconds > b.total.nanoseconds; });
  const int64_t waited = profiler.total(Profiler::kWait).nanoseconds;
  for (int thread = 0; thread < profiler.num_threads(); ++thread) {
    const Profiler::Track& track = profiler.track(thread);
    const int64_t busy = thread == 0 ? summary.step_nanoseconds - waited : track.part_nanoseconds;
    summary.threads.push_back({.name = thread_name(thread),
                               .num_parts = track.num_parts,
                               .busy_nanoseconds = busy,
                               .waiting_nanoseconds = summary.step_nanoseconds - busy,
                               .num_dropped = track.num_dropped});
    summary.num_spans += track.num_spans;
    summary.num_dropped += track.num_dropped;
  }
  return summary;
}

std::string to_text(const ProfileSummary& summary) {
  std::size_t width = 18;
  for (const ProfileRow& row : summary.operations) width = std::max(width, row.name.size());
  std::string text = fmt::format("{:<{}} {:>9} {:>11} {:>8} {:>10} {:>10} {:>9} {:>9}\n", "operation", width,
                                 "count", "total ms", "share", "mean us", "fastest us", "GB/s", "GFLOP/s");
  const auto add = [&](const std::string& name, const Profiler::Total& total) {
    text += fmt::format(
        "{:<{}} {:>9} {:>11.3f} {:>6.1f} % {:>10.2f} {:>10.2f} {:>9} {:>9}\n", name, width, total.count,
        milliseconds(total.nanoseconds), 100 * share_of(total.nanoseconds, summary.step_nanoseconds),
        share_of(total.nanoseconds, total.count) * 1e-3, static_cast<double>(total.fastest) * 1e-3,
        rate_text(total.cost.bytes, total.nanoseconds), rate_text(total.cost.flops, total.nanoseconds));
  };
  for (const ProfileRow& row : summary.operations) add(row.name, row.total);
  Profiler::Total steps{.count = summary.num_steps, .nanoseconds = summary.step_nanoseconds};
  const int64_t rest = summary.step_nanoseconds - summary.operation_nanoseconds;
  const auto add_line = [&](const std::string& name, int64_t count, int64_t nanoseconds) {
    text += fmt::format("{:<{}} {:>9} {:>11.3f} {:>6.1f} % {:>10.2f}\n", name, width, count,
                        milliseconds(nanoseconds), 100 * share_of(nanoseconds, summary.step_nanoseconds),
                        share_of(nanoseconds, count) * 1e-3);
  };
  add_line("in no operation", steps.count, rest);
  for (const ProfileRow& row : summary.sections) {
    if (row.name == "prepare" || row.name == "finish") {
      add_line("  of it in " + row.name, row.total.count, row.total.nanoseconds);
    }
  }
  add_line("steps", steps.count, steps.nanoseconds);
  if (summary.threads.size() > 1) {
    text += fmt::format("\n{:<{}} {:>9} {:>11} {:>8} {:>10}\n", "in steps", width, "parts", "busy ms",
                        "share", "waiting ms");
    for (const ProfileThread& thread : summary.threads) {
      text += fmt::format("{:<{}} {:>9} {:>11.3f} {:>6.1f} % {:>10.3f}\n", thread.name, width,
                          thread.num_parts, milliseconds(thread.busy_nanoseconds),
                          100 * share_of(thread.busy_nanoseconds, summary.step_nanoseconds),
                          milliseconds(thread.waiting_nanoseconds));
    }
  }
  return text;
}

json::object to_json(const ProfileSummary& summary) {
  json::array operations;
  for (const ProfileRow& row : summary.operations) {
    const Profiler::Total& total = row.total;
    operations.push_back({{"operation", row.name},
                          {"count", total.count},
                          {"total_ms", milliseconds(total.nanoseconds)},
                          {"share", share_of(total.nanoseconds, summary.step_nanoseconds)},
                          {"fastest_us", static_cast<double>(total.fastest) * 1e-3},
                          {"bytes", total.cost.bytes},
                          {"activation_bytes", total.cost.activation_bytes},
                          {"flops", total.cost.flops},
                          {"bytes_per_second", 1e9 * per_nanosecond(total.cost.bytes, total.nanoseconds)},
                          {"flops_per_second", 1e9 * per_nanosecond(total.cost.flops, total.nanoseconds)}});
  }
  json::array sections;
  for (const ProfileRow& row : summary.sections) {
    sections.push_back({{"section", row.name},
                        {"count", row.total.count},
                        {"total_ms", milliseconds(row.total.nanoseconds)}});
  }
  json::array threads;
  for (const ProfileThread& thread : summary.threads) {
    threads.push_back({{"thread", thread.name},
                       {"parts", thread.num_parts},
                       {"busy_ms", milliseconds(thread.busy_nanoseconds)},
                       {"waiting_ms", milliseconds(thread.waiting_nanoseconds)},
                       {"dropped_spans", thread.num_dropped}});
  }
  return {{"steps", summary.num_steps},
          {"step_ms", milliseconds(summary.step_nanoseconds)},
          {"operation_ms", milliseconds(summary.operation_nanoseconds)},
          {"spans", summary.num_spans},
          {"dropped_spans", summary.num_dropped},
          {"operations", std::move(operations)},
          {"sections", std::move(sections)},
          {"threads", std::move(threads)}};
}

void write_trace(const Profiler& profiler, const std::string& process, std::ostream& out) {
  out << R"({"displayTimeUnit":"ms","otherData":)" << json::serialize(to_json(summarize(profiler)))
      << R"(,"traceEvents":[)";
  TraceWriter writer(profiler, out);
  writer.write_metadata("process_name", 0, process);
  for (int thread = 0; thread < profiler.num_threads(); ++thread) {
    writer.write_metadata("thread_name", thread, thread_name(thread));
  }
  for (int thread = 0; thread < profiler.num_threads(); ++thread) writer.write_thread(thread);
  out << "\n]}\n";
}

}  // namespace gossamer
