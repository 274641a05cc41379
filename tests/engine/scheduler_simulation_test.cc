// The scheduler without a model: 100,000 requests of random lengths, cancels and deadlines against a pool a
// tenth of what they want at once.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "engine/scheduler.h"

namespace gossamer {
namespace {

struct Simulated {
  std::unique_ptr<Sequence> sequence;
  int64_t output_size = 0;   // tokens after which it ends
  int64_t cancel_after = 0;  // steps; 0: never
  int64_t start_within = 0;  // steps: a deadline for leaving the queue; 0: none
  int64_t end_within = 0;    // for all of it
  int64_t arrived = 0;       // step
  bool has_run = false;
};

class Simulation {
 public:
  Simulation(const SchedulerLimits& limits, int64_t num_pages, uint32_t seed)
      : pages_({{.num_layers = 1, .window = 0, .num_pages = num_pages},
                {.num_layers = 1, .window = 128, .num_pages = num_pages / 2}},
               true),
        scheduler_(limits, pages_),
        random_(seed) {}

  int64_t random(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }

  void arrive() {
    Simulated one;
    one.sequence = std::make_unique<Sequence>();
    Sequence& sequence = *one.sequence;
    sequence.id = next_++;
    sequence.request = request_;
    sequence.rank = {.due = EngineClock::time_point() + std::chrono::milliseconds(step_),
                     .serial = sequence.id};
    // Mostly short, some long; a third begins with one of ten shared prefixes.
    const int64_t size = random(0, 9) == 0 ? random(1000, 3000) : random(1, 400);
    const int64_t shared = random(0, 2) == 0 ? random(0, size) : 0;
    const int64_t prefix = random(0, 9);
    for (int64_t i = 0; i < size; ++i) {
      sequence.tokens.push_back(static_cast<int32_t>(i < shared ? prefix * 10000 + i : random(0, 1000)));
    }
    sequence.prompt_size = size;
    one.output_size = random(1, 200);
    one.cancel_after = random(0, 9) == 0 ? random(1, 300) : 0;
    one.start_within = random(0, 9) == 0 ? random(1, 1000) : 0;
    one.end_within = random(0, 9) == 0 ? random(1, 1500) : 0;
    one.arrived = step_;
    scheduler_.add(sequence);
    const RequestId id = sequence.id;
    live_.emplace(id, std::move(one));
  }

  void step() {
    ++step_;
    std::vector<RequestId> ending;
    for (const auto& [id, one] : live_) {
      const int64_t age = step_ - one.arrived;
      const bool cancelled = one.cancel_after > 0 && age >= one.cancel_after;
      const bool late = (one.start_within > 0 && !one.has_run && age >= one.start_within) ||
                        (one.end_within > 0 && age >= one.end_within);
      num_cancelled_ += cancelled ? 1 : 0;
      num_late_ += late && !cancelled ? 1 : 0;
      if (cancelled || late) ending.push_back(id);
    }
    for (const RequestId id : ending) end(id);
    const auto start = std::chrono::steady_clock::now();
    const StepPlan plan = scheduler_.plan();
    plan_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    ASSERT_EQ(plan.entries.empty(), live_.empty()) << "somebody always gets on";
    for (const StepPlan::Entry& entry : plan.entries) {
      Sequence& sequence = *entry.sequence;
      Simulated& one = live_.at(sequence.id);
      if (!one.has_run) longest_wait_ = std::max(longest_wait_, step_ - one.arrived);
      one.has_run = true;
      scheduler_.commit(sequence, entry.num_tokens);
      num_tokens_ += entry.num_tokens;
      if (sequence.num_to_run() > 0) continue;
      sequence.tokens.push_back(static_cast<int32_t>(random(0, 1000)));
      if (sequence.num_output() == one.output_size) end(sequence.id);
    }
  }

  void check_integrity() const {
    std::vector<const SequencePages*> owners;
    for (const auto& [id, one] : live_) owners.push_back(&one.sequence->pages);
    pages_.check_integrity(owners);
  }

  void end(RequestId id) {
    const auto found = live_.find(id);
    scheduler_.remove(*found->second.sequence);
    live_.erase(found);
    ++num_ended_;
  }

  KvPages pages_;
  Scheduler scheduler_;
  std::mt19937 random_;
  std::shared_ptr<const Request> request_ = std::make_shared<const Request>();
  std::map<RequestId, Simulated> live_;
  RequestId next_ = 0;
  int64_t step_ = 0;
  int64_t num_ended_ = 0;
  int64_t num_cancelled_ = 0;
  int64_t num_late_ = 0;
  int64_t num_tokens_ = 0;
  int64_t longest_wait_ = 0;
  double plan_seconds_ = 0.0;
};

TEST(SchedulerSimulation, EveryOfAHundredThousandRequestsEndsInAPoolTenTimesTooSmall) {
  constexpr int64_t kRequests = 100000;
  // 64 sequences of up to 3,200 tokens would like 6,400 pages.
  Simulation simulation(
      {.max_batched_tokens = 2048, .max_num_seqs = 64, .max_logit_rows = 64, .chunk_tokens = 512}, 640, 1);
  while (simulation.num_ended_ < kRequests) {
    while (simulation.next_ < kRequests && simulation.live_.size() < 256) simulation.arrive();
    simulation.step();
    if (testing::Test::HasFatalFailure()) return;
    if (simulation.step_ % 1000 == 0) simulation.check_integrity();
  }
  simulation.check_integrity();
  EXPECT_EQ(simulation.num_ended_, kRequests);
  EXPECT_EQ(simulation.pages_.num_available(0), 640);
  EXPECT_EQ(simulation.pages_.num_available(1), 320);
  EXPECT_GT(simulation.scheduler_.num_preemptions(), 50);
  EXPECT_GT(simulation.num_cancelled_, kRequests / 50);
  EXPECT_GT(simulation.num_late_, kRequests / 100);
  // 256 requests live at once: nobody waits longer than all before it take.
  EXPECT_LT(simulation.longest_wait_, 5000);
  std::printf(
      "%ld cancelled, %ld late, %ld steps, %ld preemptions, longest wait %ld steps, %.1f us of policy a "
      "step\n",
      static_cast<long>(simulation.num_cancelled_), static_cast<long>(simulation.num_late_),
      static_cast<long>(simulation.step_), static_cast<long>(simulation.scheduler_.num_preemptions()),
      static_cast<long>(simulation.longest_wait_),
      simulation.plan_seconds_ / static_cast<double>(simulation.step_) * 1e6);
}

TEST(SchedulerSimulation, AStepsPolicyIsCheapWith256RunningAnd10000Waiting) {
  Simulation simulation(
      {.max_batched_tokens = 2048, .max_num_seqs = 256, .max_logit_rows = 256, .chunk_tokens = 512}, 40000,
      2);
  for (int i = 0; i < 10256; ++i) simulation.arrive();
  for (int i = 0; i < 300 && simulation.scheduler_.running().size() < 256; ++i) {
    simulation.arrive();
    simulation.step();
  }
  simulation.plan_seconds_ = 0.0;
  const int64_t before = simulation.step_;
  for (int i = 0; i < 1000; ++i) {
    while (simulation.scheduler_.num_waiting() < 10000) simulation.arrive();
    simulation.step();
  }
  // A claim about speed is no test; the figure is printed, and only a runaway fails.
  const double us = simulation.plan_seconds_ / static_cast<double>(simulation.step_ - before) * 1e6;
  std::printf("%zu running, %ld waiting: %.1f us of policy a step\n", simulation.scheduler_.running().size(),
              static_cast<long>(simulation.scheduler_.num_waiting()), us);
  EXPECT_LT(us, 5000.0);
}

}  // namespace
}  // namespace gossamer
