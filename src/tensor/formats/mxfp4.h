// MXFP4: groups of 32 four-bit numbers (e2m1) under one power-of-two scale (e8m0).
// OCP Microscaling Formats (MX) Specification 1.0, sections 5.3.3 and 5.4.1; layout as in GPT-OSS
// checkpoints:
//   codes  [rows, groups, 16] u8: byte j of a group holds number 2j in its low and 2j + 1 in its high half
//   scales [rows, groups]     u8: the group's numbers are multiplied by 2^(scale - 127); 255 is NaN
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <limits>

namespace gossamer::mxfp4 {

inline constexpr int kGroupSize = 32;
inline constexpr int kGroupBytes = 16;
inline constexpr int kScaleBias = 127;
inline constexpr uint8_t kNanScale = 255;

inline constexpr std::array<float, 16> kValues = {0.0F,  0.5F,  1.0F,  1.5F,  2.0F,  3.0F,  4.0F,  6.0F,
                                                  -0.0F, -0.5F, -1.0F, -1.5F, -2.0F, -3.0F, -4.0F, -6.0F};

// 2^(scale - 127); scale 0 is the subnormal 2^-127.
inline float decode_scale(uint8_t scale) {
  if (scale == kNanScale) return std::numeric_limits<float>::quiet_NaN();
  return scale == 0 ? 0x1p-127F : std::bit_cast<float>(static_cast<uint32_t>(scale) << 23);
}

// Number `index` (0..31) of the group whose 16 code bytes start at `codes`, before scaling.
inline float decode_code(const uint8_t* codes, int index) {
  const uint8_t byte = codes[index / 2];
  return kValues[index % 2 == 0 ? byte & 0x0fU : byte >> 4];
}

}  // namespace gossamer::mxfp4
