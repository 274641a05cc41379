#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

namespace gossamer {
namespace {

constexpr SchedulerLimits kLimits = {
    .max_batched_tokens = 64, .max_num_seqs = 8, .max_logit_rows = 16, .chunk_tokens = 32};

ScheduledSequence decoding(int64_t length) {
  return {.num_computed = length - 1, .num_known = length, .admitted = true};
}
ScheduledSequence prompt(int64_t length, int64_t computed = 0) {
  return {.num_computed = computed, .num_known = length, .admitted = true};
}

std::vector<std::pair<int64_t, int64_t>> entries(const StepPlan& plan) {
  std::vector<std::pair<int64_t, int64_t>> list;
  for (const StepPlan::Entry& entry : plan.entries) list.emplace_back(entry.index, entry.num_tokens);
  return list;
}
using Entries = std::vector<std::pair<int64_t, int64_t>>;

TEST(Scheduler, PlansNothingForNothing) {
  EXPECT_TRUE(plan_step({}, kLimits).entries.empty());
  EXPECT_TRUE(plan_step({prompt(5, 5)}, kLimits).entries.empty());
  EXPECT_TRUE(plan_step({{.num_known = 5}}, kLimits).entries.empty()) << "not admitted";
}

TEST(Scheduler, CutsALongPromptIntoChunks) {
  EXPECT_EQ(entries(plan_step({prompt(100)}, kLimits)), (Entries{{0, 32}}));
  EXPECT_EQ(entries(plan_step({prompt(100, 96)}, kLimits)), (Entries{{0, 4}}));
}

TEST(Scheduler, DecodesEveryRunningSequenceBesideALongPrompt) {
  const StepPlan plan = plan_step({prompt(1000), decoding(10), decoding(20)}, kLimits);
  EXPECT_EQ(entries(plan), (Entries{{0, 32}, {1, 1}, {2, 1}}));
}

TEST(Scheduler, ServesPromptsInOrderOfArrivalWhileTheBudgetLasts) {
  const StepPlan plan = plan_step({prompt(32), prompt(40), prompt(50)}, kLimits);
  EXPECT_EQ(entries(plan), (Entries{{0, 32}, {1, 32}}));
  SchedulerLimits small = kLimits;
  small.max_batched_tokens = 10;
  EXPECT_EQ(entries(plan_step({prompt(32), decoding(5)}, small)), (Entries{{0, 9}, {1, 1}}));
}

TEST(Scheduler, NeverStartsMoreSequencesThanMayRun) {
  SchedulerLimits small = kLimits;
  small.max_num_seqs = 2;
  EXPECT_EQ(entries(plan_step({prompt(3), prompt(4), prompt(5)}, small)), (Entries{{0, 3}, {1, 4}}));
}

TEST(Scheduler, KeepsToTheLogitRowsWhenEveryPositionIsWanted) {
  ScheduledSequence wants_all = prompt(100);
  wants_all.wants_all_logits = true;
  EXPECT_EQ(entries(plan_step({wants_all}, kLimits)), (Entries{{0, 16}}));
  EXPECT_EQ(entries(plan_step({decoding(3), wants_all, decoding(4)}, kLimits)),
            (Entries{{0, 1}, {1, 14}, {2, 1}}));
}

// The limits hold whatever the queue looks like, and some sequence always gets on.
TEST(Scheduler, StaysWithinEveryLimitAndAlwaysProceeds) {
  std::mt19937 generator(1);
  const auto random = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(generator);
  };
  for (int trial = 0; trial < 5000; ++trial) {
    SchedulerLimits limits;
    limits.max_num_seqs = random(1, 6);
    limits.max_batched_tokens = random(limits.max_num_seqs, 40);
    limits.max_logit_rows = random(limits.max_num_seqs, 12);
    limits.chunk_tokens = random(1, limits.max_batched_tokens);
    std::vector<ScheduledSequence> sequences(static_cast<std::size_t>(random(1, 10)));
    int64_t num_admitted = 0;
    for (ScheduledSequence& sequence : sequences) {
      sequence.num_known = random(1, 60);
      sequence.num_computed = random(0, sequence.num_known - 1);
      sequence.admitted = num_admitted < limits.max_num_seqs && random(0, 3) > 0;
      num_admitted += sequence.admitted ? 1 : 0;
      sequence.wants_all_logits = random(0, 3) == 0;
    }
    const StepPlan plan = plan_step(sequences, limits);
    int64_t tokens = 0;
    int64_t rows = 0;
    int64_t last = -1;
    for (const StepPlan::Entry& entry : plan.entries) {
      ASSERT_GT(entry.index, last);
      last = entry.index;
      const ScheduledSequence& sequence = sequences[static_cast<std::size_t>(entry.index)];
      ASSERT_TRUE(sequence.admitted);
      ASSERT_GT(entry.num_tokens, 0);
      ASSERT_LE(entry.num_tokens, std::min(limits.chunk_tokens, sequence.num_known - sequence.num_computed));
      tokens += entry.num_tokens;
      rows += sequence.wants_all_logits ? entry.num_tokens : 1;
    }
    ASSERT_LE(tokens, limits.max_batched_tokens);
    ASSERT_LE(rows, limits.max_logit_rows);
    ASSERT_LE(static_cast<int64_t>(plan.entries.size()), limits.max_num_seqs);
    ASSERT_EQ(plan.entries.empty(), num_admitted == 0);
  }
}

}  // namespace
}  // namespace gossamer
