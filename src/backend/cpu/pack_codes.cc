#include "backend/cpu/pack_codes.h"

#include <algorithm>
#include <cstring>

#include "backend/cpu/kernel_table.h"
#include "base/check.h"
#include "base/half.h"

namespace gossamer::cpu {
namespace {

// Scales between which every code is a normal bf16, and the tile kernels' subtraction stays in range.
constexpr uint8_t kMinTileScale = 2;
constexpr uint8_t kMaxTileScale = 250;

// Where column `i` of a run of 8 lies among the two words of a row: byte `place` of the eight.
constexpr int kPlaceInRun[8] = {0, 2, 4, 6, 1, 3, 5, 7};

// Four rows' words, one of each.
using Words = uint32_t __attribute__((vector_size(16)));

Words load_words(const std::byte* address) {
  Words words;
  std::memcpy(&words, address, sizeof(words));
  return words;
}

void transpose(Words (&w)[4]) {
  const Words a = __builtin_shufflevector(w[0], w[1], 0, 4, 1, 5);
  const Words b = __builtin_shufflevector(w[2], w[3], 0, 4, 1, 5);
  const Words c = __builtin_shufflevector(w[0], w[1], 2, 6, 3, 7);
  const Words d = __builtin_shufflevector(w[2], w[3], 2, 6, 3, 7);
  w[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
  w[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
  w[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
  w[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
}

// Eight codes in ascending order to even ones low, odd ones high.
Words split_even_odd(Words codes) {
  const auto gather = [](Words nibbles) {  // nibbles 0, 2, 4, 6 of the word to its low half
    nibbles &= 0x0f0f0f0fU;
    nibbles = (nibbles | nibbles >> 4) & 0x00ff00ffU;
    return (nibbles | nibbles >> 8) & 0x0000ffffU;
  };
  return gather(codes) | gather(codes >> 4) << 16;
}

uint8_t* integer_codes(Format format, uint8_t* panel, int64_t group) {
  switch (format) {
    case Format::kInt8:
      return panel + kInt8ScaleBytes + group * kGroupCols * kPanelRows;
    case Format::kInt8Group:
      return panel + group * kInt8GroupBytes + kGroupScaleBytes;
    case Format::kInt4:
      return panel + group * kInt4GroupBytes + kGroupScaleBytes;
    default:
      GOSSAMER_CHECK(false);
  }
}

}  // namespace

bool pack_mxfp4(const PanelSource& from, uint8_t* panel) {
  constexpr int64_t kRowsAtOnce = 4;
  constexpr int64_t kWords = kGroupCols / 8;  // of one row and group
  static_assert(kWords == kRowsAtOnce);
  const int64_t groups = from.source.cols / kGroupCols;
  bool tiles = true;
  for (int64_t row = 0; row < from.rows; row += kRowsAtOnce) {
    const std::byte* codes[kRowsAtOnce];
    const std::byte* scales[kRowsAtOnce];
    for (int64_t r = 0; r < kRowsAtOnce; ++r) {
      const int64_t source_row = from.first_row + std::min(row + r, from.rows - 1);
      codes[r] = from.source.row_codes(from.expert, source_row);
      scales[r] = from.source.row_scales(from.expert, source_row);
    }
    const int64_t count = std::min(kRowsAtOnce, from.rows - row);
    for (int64_t group = 0; group < groups; ++group) {
      Words words[kRowsAtOnce];
      for (int64_t r = 0; r < kRowsAtOnce; ++r) {
        words[r] = r < count ? load_words(codes[r] + group * kWords * 4) : Words{};
      }
      Words nonzero[kRowsAtOnce];
      for (int64_t r = 0; r < kRowsAtOnce; ++r) nonzero[r] = words[r] & 0x77777777U;
      transpose(words);
      uint8_t* out = panel + mxfp4_codes_at(group) + row * 4;
      for (int64_t w = 0; w < kWords; ++w) {
        const Words split = split_even_odd(words[w]);
        std::memcpy(out + w * kPanelRows * 4, &split, sizeof(split));
      }
      for (int64_t r = 0; r < count; ++r) {
        const auto scale = static_cast<uint8_t>(scales[r][group]);
        panel[mxfp4_scales_at(group) + row + r] = scale;
        if (scale >= kMinTileScale && scale <= kMaxTileScale) continue;
        // A group of zeros is 0 under any scale but NaN.
        const bool zero = (nonzero[r][0] | nonzero[r][1] | nonzero[r][2] | nonzero[r][3]) == 0;
        tiles &= zero && scale <= kMaxTileScale;
      }
    }
  }
  return tiles;
}

void pack_integer_row(Format format, int64_t cols, const int8_t* codes, const float* scales, int64_t row,
                      uint8_t* panel) {
  for (int64_t group = 0; group < groups_of(cols); ++group, codes += kGroupCols) {
    uint8_t* out = integer_codes(format, panel, group) + row * 4;
    if (format == Format::kInt8) {
      if (group == 0) std::memcpy(panel + row * 4, scales, 4);
    } else {
      const uint16_t scale = float_to_bf16(scales[group]);
      std::memcpy(out - row * 4 - kGroupScaleBytes + row * 2, &scale, sizeof(scale));
    }
    for (int run = 0; run < kGroupCols / 8; ++run) {
      uint8_t bytes[8];
      for (int i = 0; i < 8; ++i) bytes[kPlaceInRun[i]] = static_cast<uint8_t>(codes[run * 8 + i]);
      if (format == Format::kInt4) {
        for (int i = 0; i < 4; ++i) {
          out[run * kPanelRows * 4 + i] =
              static_cast<uint8_t>(((bytes[i] + 8U) & 0xfU) | ((bytes[i + 4] + 8U) & 0xfU) << 4);
        }
      } else {
        std::memcpy(out + run * 2 * kPanelRows * 4, bytes, 4);
        std::memcpy(out + (run * 2 + 1) * kPanelRows * 4, bytes + 4, 4);
      }
    }
  }
}

IntegerNumber unpack_integer(Format format, const uint8_t* panel, int64_t row, int64_t col) {
  const int64_t group = col / kGroupCols;
  const int64_t run = col % kGroupCols / 8;
  const int place = kPlaceInRun[col % 8];
  const uint8_t* codes = integer_codes(format, const_cast<uint8_t*>(panel), group);
  if (format == Format::kInt8) {
    float scale;
    std::memcpy(&scale, panel + row * 4, sizeof(scale));
    return {static_cast<int8_t>(codes[((run * 2 + place / 4) * kPanelRows + row) * 4 + place % 4]), scale};
  }
  uint16_t scale;
  std::memcpy(&scale, codes - kGroupScaleBytes + row * 2, sizeof(scale));
  if (format == Format::kInt4) {
    const uint8_t byte = codes[(run * kPanelRows + row) * 4 + place % 4];
    return {(place < 4 ? byte & 0xf : byte >> 4) - 8, bf16_to_float(scale)};
  }
  return {static_cast<int8_t>(codes[((run * 2 + place / 4) * kPanelRows + row) * 4 + place % 4]),
          bf16_to_float(scale)};
}

}  // namespace gossamer::cpu
