#include "base/profiler.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace gossamer {

Profiler::Profiler(int num_threads, std::size_t spans_per_thread)
    : tracks_(static_cast<std::size_t>(num_threads)), names_{"other", "step", "prepare", "embed",
                                                             "layer", "head", "finish",  "wait"} {
  GOSSAMER_CHECK_GE(num_threads, 1);
  GOSSAMER_CHECK_EQ(names_.size(), std::size_t{kNumFixed});
  names_.reserve(kMaxLabels);
  for (Track& track : tracks_) track.spans.resize(spans_per_thread);  // written to: no page is new later
  tracks_.front().costs.resize(spans_per_thread);
}

Profiler::Label Profiler::label(uint64_t key, std::string (*make_name)(uint64_t key)) {
  GOSSAMER_CHECK(key != 0);
  constexpr uint64_t kGolden = 0x9e3779b97f4a7c15;
  for (std::size_t at = (key * kGolden) >> 32;; ++at) {
    KnownLabel& known = known_[at % known_.size()];
    if (known.key == key) return known.label;
    if (known.key != 0) continue;
    if (names_.size() == kMaxLabels) return kOther;
    known = {.key = key, .label = static_cast<Label>(names_.size())};
    names_.push_back(make_name(key));
    return known.label;
  }
}

std::size_t Profiler::take_slot(Track& track, const Span& span) {
  if (track.num_spans == track.spans.size()) {
    ++track.num_dropped;
    return track.num_spans;
  }
  track.spans[track.num_spans] = span;
  return track.num_spans++;
}

void Profiler::add_to_total(Label label, Kind kind, int64_t nanoseconds, const Cost& cost) {
  Total& total = totals_[label];
  total.fastest = total.count == 0 ? nanoseconds : std::min(total.fastest, nanoseconds);
  ++total.count;
  total.nanoseconds += nanoseconds;
  total.cost.bytes += cost.bytes;
  total.cost.activation_bytes += cost.activation_bytes;
  total.cost.flops += cost.flops;
  total.kind = kind;
}

Profiler::Open Profiler::open_at(Kind kind, Label label, int64_t number, int64_t begin) {
  // The pool hands out tasks with more than this order: whoever has one reads the label of its operation.
  if (kind == Kind::kOperation) current_.store(label, std::memory_order_relaxed);
  const std::size_t slot =
      take_slot(tracks_.front(),
                {.begin = begin, .number = static_cast<int32_t>(number), .label = label, .kind = kind});
  return {.slot = slot, .begin = begin, .label = label, .kind = kind};
}

void Profiler::close(const Open& open, const Cost& cost) {
  const int64_t end = now();
  if (open.kind == Kind::kOperation) current_.store(kOther, std::memory_order_relaxed);
  Track& track = tracks_.front();
  if (open.slot < track.spans.size()) {
    track.spans[open.slot].end = end;
    track.costs[open.slot] = cost;
  }
  add_to_total(open.label, open.kind, end - open.begin, cost);
}

void Profiler::add_wait(int64_t begin) {
  const int64_t end = now();
  take_slot(tracks_.front(), {.begin = begin, .end = end, .label = kWait, .kind = Kind::kWait});
  add_to_total(kWait, Kind::kWait, end - begin, Cost{});
}

void Profiler::add_part(int thread, int64_t begin, int64_t end, int64_t num_tasks) {
  Track& track = tracks_[static_cast<std::size_t>(thread)];
  take_slot(track, {.begin = begin,
                    .end = end,
                    .number = static_cast<int32_t>(num_tasks),
                    .label = current_.load(std::memory_order_relaxed),
                    .kind = Kind::kPart});
  ++track.num_parts;
  track.part_nanoseconds += end - begin;
}

}  // namespace gossamer
