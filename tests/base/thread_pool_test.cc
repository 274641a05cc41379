#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "base/cpu_info.h"

namespace gossamer {
namespace {

class ThreadPoolOf : public testing::TestWithParam<int> {};

TEST_P(ThreadPoolOf, CallsEveryTaskExactlyOnce) {
  ThreadPool pool(GetParam());
  EXPECT_EQ(pool.num_threads(), GetParam());
  for (const int64_t count : {0, 1, 2, 7, 1000}) {
    std::vector<std::atomic<int>> calls(static_cast<std::size_t>(count));
    pool.parallel_for(count, [&](int64_t task, int thread) {
      EXPECT_GE(thread, 0);
      EXPECT_LT(thread, GetParam());
      ++calls[static_cast<std::size_t>(task)];
    });
    for (const auto& n : calls) EXPECT_EQ(n.load(), 1);
  }
}

// Plain (not atomic) data written in one region is read in the next: a missing happens-before shows under
// the thread sanitizer. Bodies live on the stack, so a worker that comes late must not touch an old one.
TEST_P(ThreadPoolOf, ManySmallRegionsSeeEachOthersWrites) {
  ThreadPool pool(GetParam());
  std::vector<int64_t> values(17, 0);
  for (int region = 0; region < 3000; ++region) {
    const int64_t increment = region % 5;
    pool.parallel_for(
        17, [&values, increment](int64_t task, int) { values[static_cast<std::size_t>(task)] += increment; });
  }
  for (const int64_t value : values) EXPECT_EQ(value, 600 * (0 + 1 + 2 + 3 + 4));
}

// A worker that looks at the next, larger region while it still holds the old one's ticket must not claim a
// task with the old body and the new count: every task runs with the body of its own region, and within its
// count.
TEST_P(ThreadPoolOf, RegionsOfChangingSizesNeverMixTheirTasks) {
  ThreadPool pool(GetParam());
  std::atomic<int64_t> current{0};
  std::atomic<int64_t> mixed{0};
  int64_t expected = 0;
  std::atomic<int64_t> calls{0};
  for (int64_t region = 1; region <= 100000; ++region) {
    const int64_t count = region % 2 == 0 ? 2 : 2 + region % 61;
    current.store(region);
    pool.parallel_for(count, [&, region, count](int64_t task, int) {
      if (current.load() != region || task >= count) ++mixed;
      ++calls;
    });
    expected += count;
  }
  EXPECT_EQ(mixed.load(), 0);
  EXPECT_EQ(calls.load(), expected);
}

TEST_P(ThreadPoolOf, WakesAfterSleeping) {
  ThreadPool pool(GetParam());
  std::atomic<int> calls{0};
  for (int i = 0; i < 3; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    pool.parallel_for(64, [&](int64_t, int) { ++calls; });
  }
  EXPECT_EQ(calls.load(), 3 * 64);
}

TEST_P(ThreadPoolOf, TakesTurnsBetweenCallers) {
  ThreadPool pool(GetParam());
  std::atomic<int64_t> sum{0};
  const auto caller = [&] {
    for (int i = 0; i < 200; ++i) pool.parallel_for(9, [&](int64_t task, int) { sum += task; });
  };
  std::thread other(caller);
  caller();
  other.join();
  EXPECT_EQ(sum.load(), 2 * 200 * 36);
}

INSTANTIATE_TEST_SUITE_P(Threads, ThreadPoolOf, testing::Values(1, 2, 3, 8));

// Its end may come while a worker is between its last region and its sleep.
TEST(ThreadPool, EndsWhateverItsWorkersAreDoing) {
  std::atomic<int64_t> sum{0};
  for (int i = 0; i < 3000; ++i) {
    ThreadPool pool(2 + i % 3);
    for (int region = 0; region < i % 5; ++region) {
      pool.parallel_for(3 + i % 7, [&](int64_t task, int) { sum += task; });
    }
    if (i % 97 == 0) std::this_thread::sleep_for(std::chrono::microseconds(150));  // asleep by then
  }
  EXPECT_GT(sum, 0);
}

TEST(CpuInfo, CountsAtLeastOneCore) { EXPECT_GE(num_physical_cores(), 1); }

std::vector<int> cpus_of_this_thread() {
  std::vector<int> cpus;
  for (const Core& core : allowed_cores()) cpus.insert(cpus.end(), core.cpus.begin(), core.cpus.end());
  return cpus;
}

TEST(ThreadPool, PinsItsWorkersAndNotItsCaller) {
  const std::vector<int> before = cpus_of_this_thread();
  const std::vector<int> last = {before.back()};
  ThreadPool pool(2, {{before.front()}, last});
  std::atomic<bool> worker_seen{false};
  for (int region = 0; region < 1000 && !worker_seen; ++region) {
    pool.parallel_for(2, [&](int64_t, int thread) {
      if (thread == 1) {
        EXPECT_EQ(cpus_of_this_thread(), last);
        worker_seen = true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    });
  }
  EXPECT_TRUE(worker_seen);
  EXPECT_EQ(cpus_of_this_thread(), before);
}

}  // namespace
}  // namespace gossamer
