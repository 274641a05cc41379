// Profiler: what ran when, on which thread (`--profile`, docs/profiler.md). The engine's steps, the models'
// layers, the backends' operations and the threads of their pools record into it; profile_report.h reads it.
//
// Each thread writes into memory of its own that was made before: recording takes no lock and allocates
// nothing, but for the first time that an operation is seen. Memory that is full keeps what it has; what
// comes later is counted as dropped, and the totals go on.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace gossamer {

class Profiler {
 public:
  using Clock = std::chrono::steady_clock;
  using Label = uint16_t;

  // A step has sections, a section operations; operations that several threads share have a part for each of
  // them, and a wait of the thread that is done before the others.
  enum class Kind : uint8_t { kStep, kSection, kOperation, kPart, kWait };

  // What does not depend on the model; labels of operations follow.
  enum FixedLabel : Label { kOther, kStep, kPrepare, kEmbed, kLayer, kHead, kFinish, kWait, kNumFixed };

  // What an operation cannot avoid, as backend/operation_cost.h counts it.
  struct Cost {
    double bytes = 0.0;             // of weights, keys and values
    double activation_bytes = 0.0;  // of what goes in and comes out
    double flops = 0.0;             // a multiplication and an addition are two
  };

  // Times are nanoseconds since the profiler was made.
  struct Span {
    int64_t begin = 0;
    int64_t end = 0;
    int32_t number = 0;  // tokens of steps and operations, the layer's index, tasks of a part
    Label label = kOther;
    Kind kind = Kind::kStep;
  };

  // Over all spans of a label, dropped ones included.
  struct Total {
    int64_t count = 0;
    int64_t nanoseconds = 0;
    int64_t fastest = 0;  // nanoseconds of the shortest
    Cost cost;
    Kind kind = Kind::kStep;
  };

  // What one thread recorded. Spans are in the order of their beginnings, parents first.
  struct alignas(64) Track {
    std::vector<Span> spans;
    std::vector<Cost> costs;  // of spans; empty but for thread 0
    std::size_t num_spans = 0;
    int64_t num_dropped = 0;
    int64_t num_parts = 0;
    int64_t part_nanoseconds = 0;
  };

  // A span that has begun.
  struct Open {
    std::size_t slot = 0;
    int64_t begin = 0;
    Label label = kOther;
    Kind kind = Kind::kStep;
  };

  // `num_threads`: those of the pool, the thread that steps included (it is thread 0). `spans_per_thread` are
  // kept of each.
  Profiler(int num_threads, std::size_t spans_per_thread);

  // --- On thread 0, whichever that is at the time; one at a time
  // --------------------------------------------
  // The label of the operation that `key` stands for; `make_name(key)` is called the first time. Beyond
  // kMaxLabels different ones all share a label.
  Label label(uint64_t key, std::string (*make_name)(uint64_t key));
  Open open(Kind kind, Label label, int64_t number) { return open_at(kind, label, number, now()); }
  Open open_at(Kind kind, Label label, int64_t number, int64_t begin);
  void close(const Open& open, const Cost& cost);
  void close(const Open& open) { close(open, Cost{}); }
  // Thread 0 waited from `begin` until now for the other threads' parts.
  void add_wait(int64_t begin);

  // --- On any thread of the pool
  // ----------------------------------------------------------------------------
  // Its tasks of the operation that is open.
  void add_part(int thread, int64_t begin, int64_t end, int64_t num_tasks);

  int64_t now() const { return to_nanoseconds(Clock::now()); }
  int64_t to_nanoseconds(Clock::time_point time) const {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time - start_).count();
  }

  // --- When nothing runs
  // ------------------------------------------------------------------------------------
  int num_threads() const { return static_cast<int>(tracks_.size()); }
  const Track& track(int thread) const { return tracks_[static_cast<std::size_t>(thread)]; }
  const std::vector<std::string>& names() const { return names_; }  // by label
  const Total& total(Label label) const { return totals_[label]; }  // of thread 0's spans
  std::size_t spans_per_thread() const { return tracks_.front().spans.size(); }

  static constexpr std::size_t kMaxLabels = 256;

 private:
  struct KnownLabel {
    uint64_t key = 0;  // 0: none
    Label label = kOther;
  };

  // The place of a new span; beyond the last where there is none left.
  static std::size_t take_slot(Track& track, const Span& span);
  void add_to_total(Label label, Kind kind, int64_t nanoseconds, const Cost& cost);

  Clock::time_point start_ = Clock::now();
  std::vector<Track> tracks_;
  std::vector<std::string> names_;
  std::array<Total, kMaxLabels> totals_ = {};
  std::array<KnownLabel, 2 * kMaxLabels> known_ = {};  // a hash table, never full
  // The operation that is open, for parts: read by threads that have been handed tasks of it.
  alignas(64) std::atomic<Label> current_{kOther};
};

// A step or a section of one, while it lives. Without a profiler nothing.
class ProfileSpan {
 public:
  explicit ProfileSpan(Profiler* profiler, Profiler::FixedLabel label, int64_t number = 0)
      : profiler_(profiler) {
    if (profiler_ != nullptr) open_ = profiler_->open(kind_of(label), label, number);
  }
  // One that began before.
  ProfileSpan(Profiler* profiler, Profiler::FixedLabel label, int64_t number,
              Profiler::Clock::time_point begin)
      : profiler_(profiler) {
    if (profiler_ == nullptr) return;
    open_ = profiler_->open_at(kind_of(label), label, number, profiler_->to_nanoseconds(begin));
  }
  ~ProfileSpan() { end(); }
  ProfileSpan(const ProfileSpan&) = delete;
  ProfileSpan& operator=(const ProfileSpan&) = delete;

  // Before it goes.
  void end() {
    if (profiler_ != nullptr) profiler_->close(open_);
    profiler_ = nullptr;
  }

 private:
  static Profiler::Kind kind_of(Profiler::FixedLabel label) {
    return label == Profiler::kStep ? Profiler::Kind::kStep : Profiler::Kind::kSection;
  }

  Profiler* profiler_;
  Profiler::Open open_;
};

}  // namespace gossamer
