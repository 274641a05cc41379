#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

namespace gossamer {
namespace {

constexpr SchedulerLimits kLimits = {
    .max_batched_tokens = 64, .max_num_seqs = 8, .max_logit_rows = 16, .chunk_tokens = 32};

// A scheduler with sequences that get a token whenever their logits would be there.
class Rig {
 public:
  explicit Rig(const SchedulerLimits& limits = kLimits, int64_t num_pages = 1000, bool keep_prefixes = false)
      : pages({{.num_layers = 1, .window = 0, .num_pages = num_pages}}, keep_prefixes),
        scheduler(limits, pages) {}

  // Without an end, unless the request has one.
  Sequence& add(int64_t prompt_size, Request request = {.max_new_tokens = int64_t{1} << 30}) {
    auto sequence = std::make_unique<Sequence>();
    sequence->id = static_cast<RequestId>(sequences.size());
    sequence->rank = {.due = EngineClock::time_point() + request.priority * kPrioritySeconds,
                      .serial = static_cast<int64_t>(sequences.size())};
    sequence->request = std::make_shared<const Request>(std::move(request));
    sequence->prompt_size = prompt_size;
    for (int64_t i = 0; i < prompt_size; ++i) {
      sequence->tokens.push_back(static_cast<int32_t>(i + 10000 * sequence->id));
    }
    sequences.push_back(std::move(sequence));
    scheduler.add(*sequences.back());
    return *sequences.back();
  }

  // Runs one step; what ran, as {id, tokens}.
  std::vector<std::pair<int64_t, int64_t>> step() {
    std::vector<std::pair<int64_t, int64_t>> ran;
    for (const StepPlan::Entry& entry : scheduler.plan().entries) {
      ran.emplace_back(entry.sequence->id, entry.num_tokens);
      scheduler.commit(*entry.sequence, entry.num_tokens - entry.num_drafts);
      if (entry.sequence->num_to_run() == 0) entry.sequence->tokens.push_back(7);
    }
    return ran;
  }

  KvPages pages;
  Scheduler scheduler;
  std::vector<std::unique_ptr<Sequence>> sequences;
};
using Ran = std::vector<std::pair<int64_t, int64_t>>;

TEST(Scheduler, PlansNothingForNothing) {
  Rig rig;
  EXPECT_TRUE(rig.step().empty());
}

TEST(Scheduler, CutsALongPromptIntoChunks) {
  Rig rig;
  rig.add(100);
  EXPECT_EQ(rig.step(), (Ran{{0, 32}}));
  EXPECT_EQ(rig.step(), (Ran{{0, 32}}));
  EXPECT_EQ(rig.step(), (Ran{{0, 32}}));
  EXPECT_EQ(rig.step(), (Ran{{0, 4}}));
  EXPECT_EQ(rig.step(), (Ran{{0, 1}}));
}

TEST(Scheduler, LetsAPromptInThatFillsThePoolAndWantsNoTokenBehindIt) {
  for (const int64_t max_new_tokens : {0, 1}) {
    Rig rig(kLimits, /*num_pages=*/2);
    rig.add(2 * kPageTokens, {.max_new_tokens = max_new_tokens});
    EXPECT_EQ(rig.step(), (Ran{{0, 32}})) << max_new_tokens;
    EXPECT_EQ(rig.step(), (Ran{{0, 32}})) << max_new_tokens;
  }
}

TEST(Scheduler, DecodesEveryRunningSequenceBesideALongPrompt) {
  Rig rig;
  rig.add(10);
  rig.add(20);
  EXPECT_EQ(rig.step(), (Ran{{0, 10}, {1, 20}}));
  rig.add(1000);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(rig.step(), (Ran{{0, 1}, {1, 1}, {2, 32}}));
}

TEST(Scheduler, ServesPromptsInOrderOfArrivalWhileTheBudgetLasts) {
  Rig rig;
  for (const int64_t size : {32, 40, 50}) rig.add(size);
  EXPECT_EQ(rig.step(), (Ran{{0, 32}, {1, 32}}));
  EXPECT_EQ(rig.step(), (Ran{{0, 1}, {1, 8}, {2, 32}}));
}

TEST(Scheduler, AHigherPriorityGoesFirstButNobodyWaitsForEver) {
  Rig rig({.max_batched_tokens = 32, .max_num_seqs = 1, .max_logit_rows = 1, .chunk_tokens = 32});
  rig.add(3, {.priority = 1});
  rig.add(3, {.priority = 0});
  EXPECT_EQ(rig.step(), (Ran{{1, 3}}));
  rig.scheduler.remove(*rig.sequences[1]);
  Sequence& late = rig.add(3, {.priority = 0});
  rig.scheduler.remove(late);
  late.rank.due += 2 * kPrioritySeconds;  // arrived so much later
  rig.scheduler.add(late);
  EXPECT_EQ(rig.step(), (Ran{{0, 3}})) << "a level is worth kPrioritySeconds, no more";
}

TEST(Scheduler, NeverRunsMoreSequencesThanMayRun) {
  SchedulerLimits limits = kLimits;
  limits.max_num_seqs = 2;
  Rig rig(limits);
  for (const int64_t size : {3, 4, 5}) rig.add(size);
  EXPECT_EQ(rig.step(), (Ran{{0, 3}, {1, 4}}));
  rig.scheduler.remove(*rig.sequences[0]);
  EXPECT_EQ(rig.step(), (Ran{{1, 1}, {2, 5}}));
}

TEST(Scheduler, KeepsToTheLogitRowsWhenEveryPositionIsWanted) {
  Rig rig;
  rig.add(3);
  rig.step();
  rig.add(100, {.prompt_logprobs = 0});
  EXPECT_EQ(rig.step(), (Ran{{0, 1}, {1, 15}}));
}

TEST(Scheduler, DraftsTakeWhatTheOthersLeave) {
  Rig rig;
  rig.add(3);
  rig.step();
  rig.sequences[0]->draft = {1, 2, 3, 4};
  EXPECT_EQ(rig.step(), (Ran{{0, 5}}));
  SchedulerLimits limits = kLimits;
  limits.max_logit_rows = 8;
  Rig tight(limits);
  for (int i = 0; i < 7; ++i) tight.add(3);
  tight.step();
  for (const auto& sequence : tight.sequences) sequence->draft = {1, 2, 3, 4};
  EXPECT_EQ(tight.step(), (Ran{{0, 2}, {1, 1}, {2, 1}, {3, 1}, {4, 1}, {5, 1}, {6, 1}}));
}

TEST(Scheduler, TheYoungestGivesItsPagesToTheOldestAndComesBack) {
  Rig rig(kLimits, 4);  // 128 tokens
  rig.add(50);
  rig.add(50);
  rig.step();
  rig.step();
  ASSERT_EQ(rig.scheduler.running().size(), 2U);
  int64_t steps = 0;
  while (rig.sequences[0]->num_known() < 100) {
    rig.step();
    rig.pages.check_integrity({&rig.sequences[0]->pages, &rig.sequences[1]->pages});
    ASSERT_LT(++steps, 200);
  }
  EXPECT_EQ(rig.sequences[1]->times.preemptions, 1);
  EXPECT_FALSE(rig.sequences[1]->is_running) << "it is not let in to be thrown out again";
  rig.scheduler.remove(*rig.sequences[0]);
  rig.step();
  EXPECT_TRUE(rig.sequences[1]->is_running);
}

TEST(Scheduler, ASequenceWaitsForThePrefixThatAnotherIsComputing) {
  Rig rig(kLimits, 1000, true);
  Sequence& first = rig.add(100);
  Sequence& same = rig.add(100);
  Sequence& stranger = rig.add(10);
  same.tokens = first.tokens;
  same.tokens.back() = -1;
  EXPECT_EQ(rig.step(), (Ran{{0, 32}, {2, 10}})) << "a stranger need not wait for it";
  EXPECT_EQ(stranger.num_known(), 11);
  rig.step();
  EXPECT_EQ(rig.step(), (Ran{{0, 32}, {2, 1}}));
  EXPECT_EQ(rig.step(), (Ran{{0, 4}, {1, 4}, {2, 1}})) << "three pages were there";
  EXPECT_EQ(same.times.cached_tokens, 96);
}

}  // namespace
}  // namespace gossamer
