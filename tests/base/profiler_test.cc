#include "base/profiler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/profile_report.h"
#include "base/thread_pool.h"
#include "tests/base/trace_reader.h"

namespace gossamer {
namespace {

using testing::HasSubstr;

std::string name_of(uint64_t key) { return "operation \"" + std::to_string(key) + "\""; }

void run_operation(Profiler& profiler, uint64_t key, const Profiler::Cost& cost = {}) {
  const Profiler::Open open = profiler.open(Profiler::Kind::kOperation, profiler.label(key, name_of), 1);
  profiler.close(open, cost);
}

// Two layers of two operations.
void run_step(Profiler& profiler) {
  const ProfileSpan step(&profiler, Profiler::kStep, 3);
  for (int layer = 0; layer < 2; ++layer) {
    const ProfileSpan span(&profiler, Profiler::kLayer, layer);
    run_operation(profiler, 7, {.bytes = 10, .activation_bytes = 2, .flops = 100});
    run_operation(profiler, 8);
  }
}

json::value trace_of(const Profiler& profiler) {
  std::ostringstream text;
  write_trace(profiler, "a \"model\"", text);
  return parse_json(text.str(), "trace");
}

TEST(Profiler, SpansLieInLayersAndLayersInSteps) {
  Profiler profiler(1, 100);
  for (int i = 0; i < 3; ++i) run_step(profiler);
  const json::value trace = trace_of(profiler);
  const std::vector<test::TraceEvent> events = test::read_trace(trace);
  ASSERT_EQ(events.size(), 3U * 7);
  for (const test::TraceEvent& event : events) {
    const std::string parent = test::parent_category(events, event);
    if (event.category == "step") {
      EXPECT_EQ(parent, "");
    }
    if (event.category == "section") {
      EXPECT_EQ(parent, "step");
    }
    if (event.category == "operation") {
      EXPECT_EQ(parent, "section");
    }
  }
  EXPECT_EQ(events[0].number("tokens"), 3);
  EXPECT_EQ(events[4].name, "layer 1");
  EXPECT_EQ(events[5].name, "operation \"7\"");
  EXPECT_EQ(events[5].number("bytes"), 10);
  EXPECT_EQ(events[5].number("flops"), 100);
  EXPECT_EQ(trace.at("otherData").at("steps"), 3);
}

TEST(Profiler, TellsWhatDidNotFitAndCountsItAllTheSame) {
  Profiler profiler(1, 10);  // a step and three spans of the next
  for (int i = 0; i < 4; ++i) run_step(profiler);
  const json::value trace = trace_of(profiler);
  EXPECT_EQ(test::read_trace(trace).size(), 10U);
  EXPECT_EQ(trace.at("otherData").at("dropped_spans"), 4 * 7 - 10);
  int told = 0;
  for (const json::value& event : trace.at("traceEvents").as_array()) {
    if (event.at("ph") != "i") continue;
    EXPECT_EQ(event.at("args").at("dropped"), 4 * 7 - 10);
    ++told;
  }
  EXPECT_EQ(told, 1);

  const ProfileSummary summary = summarize(profiler);
  EXPECT_EQ(summary.num_steps, 4);
  EXPECT_EQ(summary.num_spans, 10U);
  EXPECT_EQ(summary.num_dropped, 4 * 7 - 10);
  for (const ProfileRow& row : summary.operations) {
    EXPECT_EQ(row.total.count, 8) << row.name;
    if (row.name == name_of(7)) {
      EXPECT_EQ(row.total.cost.bytes, 80);
    }
  }
}

TEST(Profiler, OperationsBeyondTheMostLabelsShareOne) {
  Profiler profiler(1, 10);
  for (uint64_t key = 1; key <= 2 * Profiler::kMaxLabels; ++key) run_operation(profiler, key);
  const ProfileSummary summary = summarize(profiler);
  EXPECT_EQ(summary.operations.size(), Profiler::kMaxLabels - Profiler::kNumFixed + 1);
  int64_t count = 0;
  for (const ProfileRow& row : summary.operations) count += row.total.count;
  EXPECT_EQ(count, 2 * int64_t{Profiler::kMaxLabels});
}

TEST(Profiler, TheTableSaysRatesAndTheShareOfNoOperation) {
  ProfileSummary summary{.num_steps = 2, .step_nanoseconds = 4'000'000, .operation_nanoseconds = 3'000'000};
  summary.operations.push_back(
      {.name = "linear",
       .total = {
           .count = 4, .nanoseconds = 2'000'000, .fastest = 400'000, .cost = {.bytes = 8e6, .flops = 3e6}}});
  const std::string text = to_text(summary);
  EXPECT_THAT(text,
              testing::ContainsRegex("linear +4 +2\\.000 +50\\.0 % +500\\.00 +400\\.00 +4\\.00 +1\\.50"));
  EXPECT_THAT(text, testing::ContainsRegex("in no operation +2 +1\\.000 +25\\.0 %"));
}

TEST(ProfiledPool, EveryTaskIsInOnePartOfItsOperation) {
  constexpr int kThreads = 3;
  Profiler profiler(kThreads, 10000);
  ThreadPool pool(kThreads);
  pool.parallel_for(50, [](int64_t, int) {});  // not recorded
  pool.set_profiler(&profiler);
  for (int i = 0; i < 200; ++i) {
    const ProfileSpan step(&profiler, Profiler::kStep);
    const Profiler::Open open =
        profiler.open(Profiler::Kind::kOperation, profiler.label(1 + i % 2, name_of), 1);
    pool.parallel_for(20 + i % 2, [](int64_t, int) {});
    profiler.close(open);
  }
  pool.set_profiler(nullptr);
  pool.parallel_for(50, [](int64_t, int) {});

  const std::vector<test::TraceEvent> events = test::read_trace(trace_of(profiler));
  std::vector<test::TraceEvent> operations;
  for (const test::TraceEvent& event : events) {
    if (event.category == "operation") operations.push_back(event);
  }
  std::vector<double> tasks(operations.size());
  for (const test::TraceEvent& event : events) {
    if (event.category == "wait") {
      EXPECT_EQ(event.thread, 1);
      EXPECT_EQ(test::parent_category(events, event), "operation");
    }
    if (event.category != "part") continue;
    // The operation that was open at the time, whichever thread ran the part.
    std::size_t at = 0;
    while (at < operations.size() && operations[at].end < event.end) ++at;
    ASSERT_LT(at, operations.size());
    EXPECT_LE(operations[at].begin, event.begin);
    EXPECT_EQ(event.name, operations[at].name);
    tasks[at] += event.number("tasks");
    if (event.thread != 1) {
      EXPECT_GE(event.number("waited_us"), 0.0);
    }
  }
  for (std::size_t i = 0; i < tasks.size(); ++i) EXPECT_EQ(tasks[i], 20 + static_cast<double>(i % 2));
}

TEST(ProfiledPool, SaysHowLongAThreadWaitedForTheOthers) {
  Profiler profiler(2, 100);
  ThreadPool pool(2);
  pool.set_profiler(&profiler);
  std::atomic<int> begun{0};
  // A task for each thread: the worker's takes longer.
  pool.parallel_for(2, [&](int64_t, int thread) {
    ++begun;
    while (begun.load() < 2) std::this_thread::yield();
    if (thread != 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  });
  const Profiler::Total& waited = profiler.total(Profiler::kWait);
  EXPECT_EQ(waited.count, 1);
  EXPECT_GE(waited.nanoseconds, 10'000'000);
  EXPECT_GE(profiler.track(1).part_nanoseconds, 20'000'000);
  EXPECT_LT(profiler.track(0).part_nanoseconds + waited.nanoseconds,
            profiler.track(1).part_nanoseconds + 1'000'000'000);
}

}  // namespace
}  // namespace gossamer
