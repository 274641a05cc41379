// The integer formats: a number is code * scale, symmetric around 0.
//   int8     codes -127..127, one f32 scale for a row (an output channel)
//   int8g32  codes -127..127, a bf16 scale for every 32 columns
//   int4     codes -8..7, a bf16 scale for every 32 columns
// Scales are bf16 rather than f16 because f16 has no numbers small enough for the weights of some layers;
// codes are chosen for the rounded scale, so its eight bits cost nothing.
#pragma once

#include <cstdint>

#include "tensor/format.h"

namespace gossamer::integer {

inline constexpr int64_t kGroupSize = 32;

struct Range {
  int least = 0;
  int greatest = 0;
};
inline constexpr Range range_of(Format format) {
  return format == Format::kInt4 ? Range{-8, 7} : Range{-127, 127};
}

// Activations as int8: one scale for a token (tensor/quantize.h).
inline constexpr int kMaxActivationCode = 127;

}  // namespace gossamer::integer
