// --profile on the commands that run a model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "tests/base/trace_reader.h"
#include "tests/checkpoint/test_folder.h"
#include "tests/e2e/program.h"

namespace gossamer::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(Profile, OfTheDemoModelCoversItsSteps) {
  const TestFolder folder;
  Arguments arguments = {"generate",         "demo", "--prompt",  "What is the capital of France?",
                         "--max-new-tokens", "24",   "--threads", "2",
                         "--temperature",    "0"};
  const ProgramRun plain = run_program(arguments);
  arguments.insert(arguments.end(), {"--profile", folder / "p.json"});
  const ProgramRun run = run_program(arguments);
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.out, plain.out);
  EXPECT_THAT(run.err, AllOf(HasSubstr("linear"), HasSubstr("attention"), HasSubstr("in no operation"),
                             HasSubstr("GB/s"), HasSubstr("GFLOP/s"), HasSubstr(folder / "p.json")));

  const json::value trace = read_json_file(folder / "p.json");
  const std::vector<TraceEvent> events = read_trace(trace);
  std::map<std::string, int64_t> nanoseconds;  // by category
  for (const TraceEvent& event : events) nanoseconds[event.category] += event.end - event.begin;
  std::vector<double> covered;  // of each step, by its operations
  for (const TraceEvent& event : events) {
    const auto share = static_cast<double>(event.end - event.begin);
    if (event.category == "step") covered.push_back(0.0);
    if (event.category != "operation") continue;
    int step = event.parent;
    while (events[static_cast<std::size_t>(step)].category != "step") {
      step = events[static_cast<std::size_t>(step)].parent;
    }
    const TraceEvent& around = events[static_cast<std::size_t>(step)];
    covered.back() += share / static_cast<double>(around.end - around.begin);
  }
  ASSERT_EQ(covered.size(), 24U);
  // Operations take microseconds here, and a processor that is lent to others between two of them costs one
  // step a thousand times that: the middle step.
  std::sort(covered.begin(), covered.end());
  EXPECT_LE(covered.back(), 1.0 + 1e-9);
  EXPECT_GT(covered[covered.size() / 2], 0.6);

  const json::object& summary = trace.at("otherData").as_object();
  EXPECT_EQ(summary.at("dropped_spans"), 0);
  EXPECT_EQ(summary.at("spans").to_number<std::size_t>(), events.size());
  EXPECT_NEAR(summary.at("step_ms").to_number<double>(), static_cast<double>(nanoseconds["step"]) * 1e-6,
              1e-3);
  EXPECT_EQ(summary.at("threads").as_array().size(), 2U);
}

TEST(Profile, OfABenchmarkTellsWhatItDropped) {
  const TestFolder folder;
  const ProgramRun run =
      run_program({"bench", "engine", "demo", "--requests", "2", "--input-tokens", "8", "--output-tokens",
                   "8", "--threads", "1", "--profile", folder / "p.json", "--profile-spans", "50"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.err, AllOf(HasSubstr("50 spans in"), HasSubstr("--profile-spans 50 were full")));
  EXPECT_EQ(read_trace(read_json_file(folder / "p.json")).size(), 50U);
}

TEST(Profile, WhereItCannotBeWrittenNothingIsLoaded) {
  const ProgramRun folder =
      run_program({"generate", "demo", "--prompt", "x", "--profile", "/no/such/folder/p.json"});
  EXPECT_EQ(folder.exit_code, 1);
  EXPECT_THAT(folder.err, HasSubstr("/no/such/folder/p.json: cannot write"));
  const ProgramRun inspect = run_program({"inspect", "demo", "--profile", "p.json"});
  EXPECT_EQ(inspect.exit_code, 1);
  EXPECT_THAT(inspect.err, HasSubstr("inspect runs no model"));
}

}  // namespace
}  // namespace gossamer::test
