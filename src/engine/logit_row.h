// A row of logits for those who look for its largest (Sampler, compute_logprobs): cut into strips
// whose maxima are found in one pass, so that a strip which lies deep below the largest is not looked at
// again. Changing some logits copies their strips, never the row.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "backend/backend.h"

namespace gossamer {

class LogitRow {
 public:
  static constexpr int64_t kStrip = kMaximaGroup;

  explicit LogitRow(int64_t size);
  LogitRow(LogitRow&&) = default;
  LogitRow& operator=(LogitRow&&) = default;

  // Takes the first `size` numbers of `logits`, which stay where and as they are while the row is used.
  // `maxima`: empty, or what Backend::linear_with_maxima noted of them, which spares the pass. Returns the
  // place of the first logit that is NaN or +infinity, if any: nothing else may be asked of the row then.
  std::optional<int64_t> reset(std::span<const float> logits, std::span<const float> maxima = {});

  // Changes: afterwards, before anything below is asked, update_maxima() once. No NaN, no +infinity.
  float& change(int32_t id);
  // -infinity where the bit (of token_constraint.h) is zero.
  void allow_only(std::span<const uint64_t> mask);
  void update_maxima();

  int64_t size() const { return size_; }
  int64_t num_strips() const { return static_cast<int64_t>(strips_.size()); }
  float operator[](int32_t id) const { return strips_[strip_of(id)][place_of(id)]; }
  float largest() const { return maxima_[largest_strip_]; }
  int32_t first_largest() const;  // the lowest id of those that have it

  // A number that at least `count` logits reach, and not many more if chance has laid them out: the maximum
  // of that rank. -infinity when there are fewer strips. count > 0.
  float reached_by(int64_t count) const;
  // How many logits are larger.
  int64_t count_above(float value) const;
  // Sum of exp((logit - largest) * scale) over the logits >= least, in an order that depends on `size` alone.
  // A term exp(-d) is wrong by at most (3e-7 + 1.8e-7 d) of itself, or by (3e-7 + 6e-8 d) where scale is 1;
  // beyond d = 87 it counts as exp(-87). The largest and `least` must be finite, scale too.
  double sum_exp(float least, float scale);
  // The token in which `share`, from [0, 1), of the last sum_exp(least, scale) lies, lower ids first.
  int32_t id_at(double share, float least, float scale) const;

  // Calls found(id, logit) for every logit >= threshold, lower ids first.
  template <typename Found>
  void for_each_from(float threshold, const Found& found) const;

 private:
  static constexpr std::size_t kHitWords = kStrip / 32;
  static std::size_t strip_of(int32_t id) { return static_cast<std::size_t>(id / kStrip); }
  static std::size_t place_of(int32_t id) { return static_cast<std::size_t>(id % kStrip); }
  // One bit for each logit of the strip: it is >= threshold.
  static void find_hits(const float* strip, float threshold, uint32_t* hits);
  float* own(std::size_t strip);

  int64_t size_;
  std::vector<const float*> strips_;  // each kStrip long: of the row, of own_ or of last_
  std::vector<float> maxima_;         // [num_strips]
  std::vector<float> last_;           // [kStrip] the row's end, filled up with -infinity
  std::vector<float> own_;  // [num_strips * kStrip] the changed strips; empty before the first change
  std::vector<std::size_t> changed_;  // their numbers
  std::size_t largest_strip_ = 0;     // the first that has the largest
  std::vector<double> sums_;          // [num_strips] of sum_exp
};

template <typename Found>
void LogitRow::for_each_from(float threshold, const Found& found) const {
  for (std::size_t strip = 0; strip < strips_.size(); ++strip) {
    if (maxima_[strip] < threshold) continue;
    uint32_t hits[kHitWords];
    find_hits(strips_[strip], threshold, hits);
    for (std::size_t word = 0; word < kHitWords; ++word) {
      for (uint32_t left = hits[word]; left != 0; left &= left - 1) {
        const std::size_t place = word * 32 + static_cast<std::size_t>(std::countr_zero(left));
        const int64_t id = static_cast<int64_t>(strip) * kStrip + static_cast<int64_t>(place);
        if (id >= size_) return;
        found(static_cast<int32_t>(id), strips_[strip][place]);
      }
    }
  }
}

}  // namespace gossamer
