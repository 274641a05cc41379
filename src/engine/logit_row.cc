#include "engine/logit_row.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>

#include "base/check.h"
#include "base/every_width.h"

namespace gossamer {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr auto kStripSize = static_cast<std::size_t>(LogitRow::kStrip);

// A strip of which nothing may be chosen.
constexpr std::array<float, kStripSize> kNothing = [] {
  std::array<float, kStripSize> strip{};
  strip.fill(-kInfinity);
  return strip;
}();

constexpr std::array<uint32_t, 32> kBits = [] {
  std::array<uint32_t, 32> bits{};
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = uint32_t{1} << i;
  return bits;
}();

// From a float's bits to signed integers in the same order; NaN comes after +infinity or before
// -infinity. Compilers make vectors of integer maxima, but not of float maxima, which NaN makes dependent on
// the order.
GOSSAMER_INTO_EVERY_WIDTH int32_t ordered(int32_t bits) {
  return bits ^ static_cast<int32_t>(static_cast<uint32_t>(bits >> 31) >> 1);
}
constexpr int32_t kOrderedInfinity = 0x7f800000;
constexpr int32_t kOrderedMinusInfinity = ~kOrderedInfinity;

// Each strip's largest. False when one of them holds NaN or +infinity.
GOSSAMER_EVERY_WIDTH
bool find_maxima(const float* const* strips, std::size_t count, float* maxima) {
  bool fine = true;
  for (std::size_t s = 0; s < count; ++s) {
    const float* strip = strips[s];
    int32_t greatest = std::numeric_limits<int32_t>::min();
    int32_t least = std::numeric_limits<int32_t>::max();
    for (std::size_t i = 0; i < kStripSize; ++i) {
      const int32_t key = ordered(std::bit_cast<int32_t>(strip[i]));
      greatest = key > greatest ? key : greatest;
      least = key < least ? key : least;
    }
    fine = fine && greatest < kOrderedInfinity && least >= kOrderedMinusInfinity;
    maxima[s] = std::bit_cast<float>(ordered(greatest));  // it undoes itself
  }
  return fine;
}

GOSSAMER_EVERY_WIDTH
void mark_hits(const float* strip, float threshold, uint32_t* hits) {
  for (std::size_t word = 0; word < kStripSize / 32; ++word) {
    uint32_t bits = 0;
    for (std::size_t i = 0; i < 32; ++i) bits |= strip[word * 32 + i] >= threshold ? kBits[i] : 0;
    hits[word] = bits;
  }
}

GOSSAMER_EVERY_WIDTH
void keep_marked(const float* strip, const uint32_t* marks, float* kept) {
  for (std::size_t word = 0; word < kStripSize / 32; ++word) {
    const uint32_t bits = marks[word];
    for (std::size_t i = 0; i < 32; ++i) {
      kept[word * 32 + i] = (bits & kBits[i]) != 0 ? strip[word * 32 + i] : -kInfinity;
    }
  }
}

GOSSAMER_EVERY_WIDTH
int32_t count_larger(const float* strip, float value) {
  int32_t count = 0;
  for (std::size_t i = 0; i < kStripSize; ++i) count += strip[i] > value ? 1 : 0;
  return count;
}

// exp(x) for x <= 0, and exp(-87) below -87. With x = n ln 2 + r, |r| <= 0.3466: 2^n times Taylor's
// polynomial of degree 7, whose remainder is below 8e-9 of exp(r); what is left are a few roundings, 1.5e-7
// together.
GOSSAMER_INTO_EVERY_WIDTH float exp_of_negative(float x) {
  constexpr float kRounder = 12582912.0F;   // added, leaves the nearest integer in the lowest bits
  constexpr float kLn2High = 0.693359375F;  // nine bits: its products with n are exact
  constexpr float kLn2Low = -2.12194440e-4F;
  const float bounded = x > -87.0F ? x : -87.0F;
  const float shifted = bounded * 1.44269504F + kRounder;
  const float n = shifted - kRounder;
  const float r = (bounded - n * kLn2High) - n * kLn2Low;
  float sum = 1.0F / 5040.0F;
  sum = sum * r + 1.0F / 720.0F;
  sum = sum * r + 1.0F / 120.0F;
  sum = sum * r + 1.0F / 24.0F;
  sum = sum * r + 1.0F / 6.0F;
  sum = sum * r + 0.5F;
  sum = sum * r + 1.0F;
  sum = sum * r + 1.0F;
  return sum * std::bit_cast<float>((std::bit_cast<uint32_t>(shifted) << 23) + 0x3f800000U);
}

template <std::size_t kHalf, typename T>
GOSSAMER_INTO_EVERY_WIDTH void fold(T* terms) {
  for (std::size_t i = 0; i < kHalf; ++i) terms[i] += terms[i + kHalf];
}

// Each logit's exp((logit - largest) * scale); 0 for those below `least`.
GOSSAMER_EVERY_WIDTH
void exp_terms(const float* strip, float largest, float least, float scale, float* terms) {
  for (std::size_t i = 0; i < kStripSize; ++i) {
    const float term = exp_of_negative((strip[i] - largest) * scale);
    terms[i] = strip[i] >= least ? term : 0.0F;
  }
}

// Overwrites the terms.
GOSSAMER_EVERY_WIDTH
double sum_terms(float* terms) {
  fold<128>(terms);
  fold<64>(terms);
  alignas(64) double sums[32];
  for (std::size_t i = 0; i < 32; ++i) {
    sums[i] = static_cast<double>(terms[i]) + static_cast<double>(terms[i + 32]);
  }
  fold<16>(sums);
  fold<8>(sums);
  fold<4>(sums);
  fold<2>(sums);
  return sums[0] + sums[1];
}

}  // namespace

LogitRow::LogitRow(int64_t size) : size_(size) {
  GOSSAMER_CHECK_GT(size, 0);
  const auto count = static_cast<std::size_t>((size + kStrip - 1) / kStrip);
  strips_.resize(count);
  maxima_.resize(count);
}

std::optional<int64_t> LogitRow::reset(std::span<const float> logits, std::span<const float> maxima) {
  GOSSAMER_CHECK_GE(static_cast<int64_t>(logits.size()), size_);
  for (std::size_t strip = 0; strip < strips_.size(); ++strip)
    strips_[strip] = logits.data() + strip * kStripSize;
  if (size_ % kStrip != 0) {
    last_.assign(kStripSize, -kInfinity);
    std::copy(strips_.back(), logits.data() + size_, last_.begin());
    strips_.back() = last_.data();
  }
  changed_.clear();
  bool fine = true;
  if (maxima.empty()) {
    fine = find_maxima(strips_.data(), strips_.size(), maxima_.data());
  } else {
    std::copy_n(maxima.begin(), maxima_.size(), maxima_.begin());
    fine = std::all_of(maxima_.begin(), maxima_.end() - 1, [](float largest) { return largest < kInfinity; });
    // Of the last one's numbers some may be beyond `size`.
    fine = find_maxima(&strips_.back(), 1, &maxima_.back()) && fine;
  }
  if (!fine) {
    const auto end = logits.begin() + size_;
    return std::find_if(logits.begin(), end, [](float logit) { return !(logit < kInfinity); }) -
           logits.begin();
  }
  update_maxima();
  return std::nullopt;
}

float* LogitRow::own(std::size_t strip) {
  own_.resize(strips_.size() * kStripSize);  // once
  float* const copy = own_.data() + strip * kStripSize;
  if (strips_[strip] != copy) {
    std::copy_n(strips_[strip], kStripSize, copy);
    strips_[strip] = copy;
    changed_.push_back(strip);
  }
  return copy;
}

float& LogitRow::change(int32_t id) { return own(strip_of(id))[place_of(id)]; }

void LogitRow::allow_only(std::span<const uint64_t> mask) {
  GOSSAMER_CHECK_GE(static_cast<int64_t>(mask.size()) * 64, size_);
  for (std::size_t strip = 0; strip < strips_.size(); ++strip) {
    uint32_t marks[kHitWords] = {};
    uint32_t any = 0;
    uint32_t all = ~uint32_t{0};
    for (std::size_t i = 0; i < kHitWords; ++i) {
      const std::size_t word = (strip * kHitWords + i) / 2;
      if (word < mask.size()) marks[i] = static_cast<uint32_t>(mask[word] >> (i % 2 * 32));
      any |= marks[i];
      all &= marks[i];
    }
    if (all == ~uint32_t{0}) continue;
    if (any == 0) {
      strips_[strip] = kNothing.data();
      changed_.push_back(strip);
      continue;
    }
    float kept[kStripSize];
    keep_marked(strips_[strip], marks, kept);
    std::copy_n(kept, kStripSize, own(strip));
  }
}

void LogitRow::update_maxima() {
  for (const std::size_t strip : changed_) {
    const bool fine = find_maxima(&strips_[strip], 1, &maxima_[strip]);
    GOSSAMER_CHECK(fine);
  }
  changed_.clear();
  largest_strip_ =
      static_cast<std::size_t>(std::max_element(maxima_.begin(), maxima_.end()) - maxima_.begin());
}

int32_t LogitRow::first_largest() const {
  const float* strip = strips_[largest_strip_];
  const auto place = std::find(strip, strip + kStripSize, largest()) - strip;
  return static_cast<int32_t>(static_cast<int64_t>(largest_strip_) * kStrip + place);
}

float LogitRow::reached_by(int64_t count) const {
  GOSSAMER_CHECK_GT(count, 0);
  if (count > num_strips()) return -kInfinity;
  std::vector<float> maxima = maxima_;
  const auto place = maxima.begin() + (count - 1);
  std::nth_element(maxima.begin(), place, maxima.end(), std::greater<>());
  return *place;
}

int64_t LogitRow::count_above(float value) const {
  int64_t count = 0;
  for (std::size_t strip = 0; strip < strips_.size(); ++strip) {
    if (maxima_[strip] > value) count += count_larger(strips_[strip], value);
  }
  return count;
}

double LogitRow::sum_exp(float least, float scale) {
  GOSSAMER_CHECK_GT(largest(), -kInfinity);
  sums_.assign(strips_.size(), 0.0);
  double total = 0.0;
  alignas(64) float terms[kStripSize];
  for (std::size_t strip = 0; strip < strips_.size(); ++strip) {
    if (maxima_[strip] < least) continue;
    exp_terms(strips_[strip], largest(), least, scale, terms);
    sums_[strip] = sum_terms(terms);
    total += sums_[strip];
  }
  return total;
}

int32_t LogitRow::id_at(double share, float least, float scale) const {
  double total = 0.0;
  for (const double sum : sums_) total += sum;
  double target = share * total;
  std::size_t strip = 0;
  for (std::size_t i = 0; i < sums_.size(); ++i) {
    if (sums_[i] == 0.0) continue;
    strip = i;  // rounding may leave a little at the end: it is the last one's
    if (target < sums_[i]) break;
    target -= sums_[i];
  }
  alignas(64) float terms[kStripSize];
  exp_terms(strips_[strip], largest(), least, scale, terms);
  std::size_t place = 0;
  for (std::size_t i = 0; i < kStripSize; ++i) {
    if (terms[i] == 0.0F) continue;
    place = i;
    if (target < terms[i]) break;
    target -= terms[i];
  }
  return static_cast<int32_t>(strip * kStripSize + place);
}

void LogitRow::find_hits(const float* strip, float threshold, uint32_t* hits) {
  mark_hits(strip, threshold, hits);
}

}  // namespace gossamer
