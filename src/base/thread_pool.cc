#include "base/thread_pool.h"

#include <chrono>
#include <utility>

#include "base/check.h"
#include "base/cpu_info.h"

namespace gossamer {
namespace {

// How long a worker looks for the next region before it sleeps, and the caller for the last task before it
// yields. Long enough to span the serial work between two regions of a step; waking a sleeper costs about
// as much (50 us under a hypervisor).
constexpr auto kSpinTime = std::chrono::microseconds(100);
constexpr int kPausesPerClockRead = 32;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Spins until `ready()` or the time is up; returns whether it is ready.
template <typename Ready>
bool spin_until(Ready ready) {
  for (int i = 0; i < kPausesPerClockRead; ++i) {
    if (ready()) return true;
    pause();
  }
  const auto deadline = std::chrono::steady_clock::now() + kSpinTime;
  while (std::chrono::steady_clock::now() < deadline) {
    for (int i = 0; i < kPausesPerClockRead; ++i) {
      if (ready()) return true;
      pause();
    }
  }
  return ready();
}

constexpr uint32_t region_of(uint64_t ticket) { return static_cast<uint32_t>(ticket >> 32); }
constexpr uint32_t task_of(uint64_t ticket) { return static_cast<uint32_t>(ticket); }

// A task number beyond every count.
constexpr uint64_t kNoTask = 0xffffffff;

}  // namespace

ThreadPool::ThreadPool(int num_threads, std::vector<std::vector<int>> thread_cpus) {
  GOSSAMER_CHECK_GE(num_threads, 1);
  thread_cpus.resize(static_cast<std::size_t>(num_threads));
  workers_.reserve(static_cast<std::size_t>(num_threads - 1));
  for (int thread = 1; thread < num_threads; ++thread) {
    workers_.emplace_back([this, thread, cpus = std::move(thread_cpus[static_cast<std::size_t>(thread)])] {
      if (!cpus.empty()) pin_this_thread(cpus);
      work(thread);
    });
  }
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  region_.fetch_add(1);
  region_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run(int64_t count, void* body, Function function) {
  GOSSAMER_CHECK(count >= 0 && count < INT64_C(0xffffffff));
  const std::lock_guard<std::mutex> one_region_at_a_time(callers_);
  if (workers_.empty() || count <= 1) {
    for (int64_t task = 0; task < count; ++task) function(body, task, 0);
    return;
  }
  const uint64_t ticket = static_cast<uint64_t>(region_of(ticket_.load(std::memory_order_relaxed)) + 1) << 32;
  // First no ticket fits any more, then the region is described, then its tickets are given out. A worker
  // that reads part of the new description (acquire) while it holds an old ticket is therefore sure to fail
  // its claim.
  ticket_.store(ticket | kNoTask);
  body_.store(body, std::memory_order_release);
  function_.store(function, std::memory_order_release);
  count_.store(static_cast<uint32_t>(count), std::memory_order_release);
  num_done_.store(0, std::memory_order_relaxed);
  ticket_.store(ticket, std::memory_order_release);
  // Either the worker going to sleep sees the new region, or we see the sleeper: both orders are
  // sequentially consistent.
  region_.store(region_of(ticket));
  if (num_sleeping_.load() > 0) region_.notify_all();

  take_tasks(ticket, 0);
  const auto all_done = [this, count] {
    return num_done_.load(std::memory_order_acquire) == static_cast<uint32_t>(count);
  };
  Profiler* const profiler = profiler_.load(std::memory_order_relaxed);
  const int64_t wait_begin = profiler != nullptr ? profiler->now() : 0;
  // A worker that holds the last task may have lost its processor to somebody else: let it have ours.
  while (!spin_until(all_done)) std::this_thread::yield();
  if (profiler != nullptr) profiler->add_wait(wait_begin);
}

void ThreadPool::set_profiler(Profiler* profiler) {
  const std::lock_guard<std::mutex> no_region(callers_);
  GOSSAMER_CHECK(profiler == nullptr || profiler->num_threads() == num_threads());
  profiler_.store(profiler, std::memory_order_release);
}

void ThreadPool::take_tasks(uint64_t ticket, int thread) {
  const uint32_t region = region_of(ticket);
  // Read before the first claim: if it succeeds, the region had not ended and these are its own; and it does
  // not end while tasks that were claimed here are not counted as done.
  void* body = body_.load(std::memory_order_acquire);
  const Function function = function_.load(std::memory_order_acquire);
  const uint32_t count = count_.load(std::memory_order_acquire);
  Profiler* const profiler = profiler_.load(std::memory_order_acquire);
  int64_t begin = 0;
  for (uint32_t num_tasks = 0;; ++num_tasks) {
    do {
      if (region_of(ticket) != region || task_of(ticket) >= count)
        return finish_tasks(num_tasks, thread, profiler, begin);
    } while (!ticket_.compare_exchange_weak(ticket, ticket + 1, std::memory_order_acq_rel,
                                            std::memory_order_acquire));
    if (profiler != nullptr && num_tasks == 0) begin = profiler->now();
    function(body, task_of(ticket), thread);
    ticket = ticket_.load(std::memory_order_acquire);
  }
}

// Recorded before the tasks count as done: when the region has ended, nobody writes into the profiler.
void ThreadPool::finish_tasks(uint32_t num_tasks, int thread, Profiler* profiler, int64_t begin) {
  if (num_tasks == 0) return;
  if (profiler != nullptr) profiler->add_part(thread, begin, profiler->now(), num_tasks);
  num_done_.fetch_add(num_tasks, std::memory_order_release);
}

void ThreadPool::work(int thread) {
  uint32_t seen = 0;
  for (;;) {
    const auto changed = [this, seen] { return region_.load(std::memory_order_acquire) != seen; };
    if (!spin_until(changed)) {
      num_sleeping_.fetch_add(1);
      region_.wait(seen);
      num_sleeping_.fetch_sub(1);
    }
    // In this order: a region number that the destructor has raised is never seen without its stop_.
    seen = region_.load();
    if (stop_.load()) return;
    take_tasks(ticket_.load(std::memory_order_acquire), thread);
  }
}

}  // namespace gossamer
