// A persistent pool of threads for the CPU backend and for loading: one parallel region at a time, the
// caller takes part. Between regions workers spin briefly, then sleep, so that a step's hundreds of small
// regions cost microseconds each and an idle server costs nothing.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

#include "base/profiler.h"

namespace gossamer {

class ThreadPool {
 public:
  // `num_threads` includes the caller; at least 1. `thread_cpus`: empty, or the CPUs where each thread may
  // run. The caller's own thread is never pinned: it is not ours, and threads that it makes later would
  // inherit that.
  explicit ThreadPool(int num_threads, std::vector<std::vector<int>> thread_cpus = {});
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const { return static_cast<int>(workers_.size()) + 1; }

  // From here on every thread's part of a region, and the caller's wait for the others, is recorded there;
  // null: nowhere. The profiler has num_threads() threads and outlives that. Between regions.
  void set_profiler(Profiler* profiler);

  // Calls body(task, thread) for every task in [0, count), in any order, thread in [0, num_threads());
  // returns when all are done. The body must not throw and must not call parallel_for of the same pool.
  // Callers on several threads take turns.
  template <typename Body>
  void parallel_for(int64_t count, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    run(count, const_cast<void*>(static_cast<const void*>(&body)),
        [](void* opaque, int64_t task, int thread) { (*static_cast<Plain*>(opaque))(task, thread); });
  }

 private:
  using Function = void (*)(void* body, int64_t task, int thread);

  void run(int64_t count, void* body, Function function);
  void work(int thread);  // a worker's life
  // Takes tasks of the region that `ticket` belongs to until there are none left.
  void take_tasks(uint64_t ticket, int thread);
  void finish_tasks(uint32_t num_tasks, int thread, Profiler* profiler, int64_t begin);

  std::mutex callers_;
  // Region number in the high and next task in the low 32 bits. A task is claimed by incrementing, which
  // fails once the region is over: a worker that wakes late can therefore never touch a body that is gone.
  alignas(64) std::atomic<uint64_t> ticket_{0};
  alignas(64) std::atomic<uint32_t> num_done_{0};
  // Of the current region; written only between regions.
  alignas(64) std::atomic<void*> body_{nullptr};
  std::atomic<Function> function_{nullptr};
  std::atomic<uint32_t> count_{0};
  std::atomic<Profiler*> profiler_{nullptr};
  // What sleeping workers wait for.
  alignas(64) std::atomic<uint32_t> region_{0};
  std::atomic<int> num_sleeping_{0};
  std::atomic<bool> stop_{false};
  std::vector<std::thread> workers_;
};

}  // namespace gossamer
