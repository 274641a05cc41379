#include "tensor/quantize.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "base/check.h"
#include "base/every_width.h"
#include "base/half.h"
#include "tensor/formats/integer.h"

namespace gossamer {
namespace {

// Sums run in this many interleaved parts, which compilers turn into vectors of any width without changing a
// bit.
constexpr int64_t kParts = 16;
// Added and subtracted, rounds a float below 2^22 to the nearest integer, ties to even.
constexpr float kRounder = 12582912.0F;
// Candidate scales: the largest magnitude falls on the last code, or up to this many steps beyond or before
// it.
constexpr int kCandidatesEachSide = 4;

GOSSAMER_INTO_EVERY_WIDTH float round_to_code(float value, float least, float greatest) {
  return std::min(std::max((value + kRounder) - kRounder, least), greatest);
}

struct Products {
  float value_code = 0.0F;  // sum of value * code
  float code_code = 0.0F;   // sum of code * code
};

GOSSAMER_INTO_EVERY_WIDTH Products products(const float* values, int64_t count, float inverse_scale,
                                            float least, float greatest) {
  float value_code[kParts] = {};
  float code_code[kParts] = {};
  int64_t i = 0;
  for (; i + kParts <= count; i += kParts) {
    for (int64_t j = 0; j < kParts; ++j) {
      const float code = round_to_code(values[i + j] * inverse_scale, least, greatest);
      value_code[j] += values[i + j] * code;
      code_code[j] += code * code;
    }
  }
  for (int64_t j = 0; i + j < count; ++j) {
    const float code = round_to_code(values[i + j] * inverse_scale, least, greatest);
    value_code[j] += values[i + j] * code;
    code_code[j] += code * code;
  }
  for (int64_t half = kParts / 2; half > 0; half /= 2) {
    for (int64_t j = 0; j < half; ++j) {
      value_code[j] += value_code[j + half];
      code_code[j] += code_code[j + half];
    }
  }
  return {value_code[0], code_code[0]};
}

// The number of the largest magnitude; NaN when one is not finite.
GOSSAMER_INTO_EVERY_WIDTH float extreme(const float* values, int64_t count) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < count; ++i) {
    largest = std::max(largest, std::bit_cast<uint32_t>(values[i]) & 0x7fffffffU);
  }
  if (largest >= 0x7f800000U) return std::numeric_limits<float>::quiet_NaN();
  const auto magnitude = std::bit_cast<float>(largest);
  const bool positive = std::find(values, values + count, magnitude) != values + count;
  return positive ? magnitude : -magnitude;
}

GOSSAMER_INTO_EVERY_WIDTH float quantize_group(const float* values, int64_t count, integer::Range range,
                                               bool bf16_scale, int8_t* codes) {
  const float largest = extreme(values, count);
  if (std::isnan(largest) || std::abs(largest) < std::numeric_limits<float>::min() * 256.0F) {
    std::fill(codes, codes + count, int8_t{0});
    return std::isnan(largest) ? largest : 0.0F;
  }
  const auto least = static_cast<float>(range.least);
  const auto greatest = static_cast<float>(range.greatest);
  // The extreme gets the code that is largest in magnitude, which for int4 is the negative one.
  const float step = 0.025F * greatest;
  float best_scale = 0.0F;
  float best_gain = -1.0F;
  for (int k = -kCandidatesEachSide; k <= kCandidatesEachSide; ++k) {
    const float inverse_scale = (least - step * static_cast<float>(k)) / largest;
    const Products sums = products(values, count, inverse_scale, least, greatest);
    if (!(sums.code_code > 0.0F)) continue;
    // With the codes fixed, the best scale is vc / cc, and takes vc^2 / cc off the squared error.
    const float gain = sums.value_code * (sums.value_code / sums.code_code);
    if (gain > best_gain) {
      best_gain = gain;
      best_scale = sums.value_code / sums.code_code;
    }
  }
  if (bf16_scale) best_scale = bf16_to_float(float_to_bf16(best_scale));
  const float inverse_scale = 1.0F / best_scale;
  for (int64_t i = 0; i < count; ++i) {
    codes[i] = static_cast<int8_t>(round_to_code(values[i] * inverse_scale, least, greatest));
  }
  return best_scale;
}

GOSSAMER_EVERY_WIDTH
void quantize_groups(const float* row, int64_t cols, int64_t group, integer::Range range, bool bf16_scale,
                     int8_t* codes, float* scales) {
  for (int64_t begin = 0; begin < cols; begin += group) {
    const int64_t count = std::min(group, cols - begin);
    *scales++ = quantize_group(row + begin, count, range, bf16_scale, codes + begin);
  }
}

}  // namespace

void quantize_row(Format format, const float* row, int64_t cols, int8_t* codes, float* scales) {
  const bool whole_row = format == Format::kInt8;
  GOSSAMER_CHECK(whole_row || format == Format::kInt8Group || format == Format::kInt4);
  quantize_groups(row, cols, whole_row ? cols : integer::kGroupSize, integer::range_of(format), !whole_row,
                  codes, scales);
}

namespace {

constexpr auto kGreatest = static_cast<float>(integer::kMaxActivationCode);
// Below this a number is taken for zero.
constexpr float kSmallest = 0x1p-100F;

void round_codes(const float* x, int64_t count, float inverse_scale, int8_t* codes) {
  for (int64_t i = 0; i < count; ++i) {
    codes[i] = static_cast<int8_t>(round_to_code(x[i] * inverse_scale, -kGreatest, kGreatest));
  }
}

}  // namespace

float quantize_activations(const float* x, int64_t cols, int8_t* codes) {
  const float largest = std::abs(extreme(x, cols));
  if (!(largest >= kSmallest)) {
    std::fill(codes, codes + cols, int8_t{0});
    return std::isnan(largest) ? largest : 0.0F;
  }
  round_codes(x, cols, kGreatest / largest, codes);
  return largest / kGreatest;
}

uint16_t quantize_kv(const float* x, int64_t count, int8_t* codes) {
  const float largest = std::abs(extreme(x, count));
  if (!(largest >= kSmallest)) {
    std::fill(codes, codes + count, int8_t{0});
    return float_to_bf16(std::isnan(largest) ? largest : 0.0F);
  }
  const uint16_t scale = float_to_bf16(largest / kGreatest);
  round_codes(x, count, 1.0F / bf16_to_float(scale), codes);
  return scale;
}

}  // namespace gossamer
