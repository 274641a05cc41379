// Packing: from a checkpoint's rows to the panels of packed_weight.h. Called by CpuBackend::do_prepare.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "backend/cpu/kernel_table.h"
#include "backend/cpu/packed_weight.h"
#include "base/check.h"
#include "base/half.h"

namespace gossamer::cpu {
namespace {

// Columns packed at a time: 32 rows of this many fit in the first-level cache on both sides.
constexpr int64_t kColumnTile = 128;
// Source bytes between two releases of what has been read.
constexpr int64_t kReleaseBytes = int64_t{64} << 20;
// Scales between which every code is a normal bf16, and the tile kernels' subtraction stays in range.
constexpr uint8_t kMinTileScale = 2;
constexpr uint8_t kMaxTileScale = 250;

template <typename T>
T load(const std::byte* address) {  // mapped files promise no alignment
  T value;
  std::memcpy(&value, address, sizeof(value));
  return value;
}

// One panel's place in the source: `rows` <= kPanelRows rows starting at first_row.
struct PanelSource {
  const WeightSource& source;
  int64_t expert;
  int64_t first_row;
  int64_t rows;
};

// Moves words of `Word` (one f32, one f16, or a pair of bf16) to [num_words][kPanelRows] as they are.
template <typename Word>
void transpose_words(const PanelSource& from, int64_t num_words, uint8_t* panel) {
  const std::byte* rows[kPanelRows];
  for (int64_t r = 0; r < from.rows; ++r) rows[r] = from.source.row_codes(from.expert, from.first_row + r);
  auto* out = reinterpret_cast<Word*>(panel);
  for (int64_t begin = 0; begin < num_words; begin += kColumnTile) {
    const int64_t end = std::min(num_words, begin + kColumnTile);
    for (int64_t r = 0; r < from.rows; ++r) {
      for (int64_t w = begin; w < end; ++w) {
        out[w * kPanelRows + r] = load<Word>(rows[r] + w * static_cast<int64_t>(sizeof(Word)));
      }
    }
  }
}

void put(Format format, uint8_t* panel, int64_t col, int64_t row, float value) {
  switch (format) {
    case Format::kF32:
      reinterpret_cast<float*>(panel)[col * kPanelRows + row] = value;
      return;
    case Format::kF16:
      reinterpret_cast<uint16_t*>(panel)[col * kPanelRows + row] = float_to_f16(value);
      return;
    case Format::kBf16:
      reinterpret_cast<uint16_t*>(panel)[(col / 2 * kPanelRows + row) * 2 + col % 2] = float_to_bf16(value);
      return;
    case Format::kMxfp4:
      break;
  }
  GOSSAMER_CHECK(false);
}

// Any dense format to any other through floats. Not transposed.
void convert_dense(const PanelSource& from, Format format, uint8_t* panel) {
  std::vector<float> row(static_cast<std::size_t>(from.source.cols));
  for (int64_t r = 0; r < from.rows; ++r) {
    from.source.decode_row(from.expert, from.first_row + r, row.data());
    for (int64_t col = 0; col < from.source.cols; ++col) {
      put(format, panel, col, r, row[static_cast<std::size_t>(col)]);
    }
  }
}

// A number as stored; half-precision numbers as floats.
template <Format kFormat>
float load_number(const std::byte* address) {
  if constexpr (kFormat == Format::kF32) return load<float>(address);
  if constexpr (kFormat == Format::kF16) return f16_to_float(load<uint16_t>(address));
  if constexpr (kFormat == Format::kBf16) return bf16_to_float(load<uint16_t>(address));
}

// Stored [cols, rows]: a panel's numbers of one column lie together, so column by column. Row by row, as
// decode_row would, costs a cache line per number.
template <Format kStored>
void convert_transposed(const PanelSource& from, Format format, uint8_t* panel) {
  const WeightSource& source = from.source;
  constexpr int64_t kBytes = kStored == Format::kF32 ? 4 : 2;
  const std::byte* first[kPanelRows];  // column 0 of every row
  int64_t stride[kPanelRows];          // bytes between columns: parts differ in their number of rows
  for (int64_t r = 0; r < from.rows; ++r) {
    const int64_t row = from.first_row + r;
    int64_t stored = source.row_order.empty() ? row : source.row_order[static_cast<std::size_t>(row)];
    const WeightPart* part = source.parts.data();
    while (stored >= part->rows) stored -= (part++)->rows;
    first[r] = part->codes.bytes() + (from.expert * part->rows * source.cols + stored) * kBytes;
    stride[r] = part->rows * kBytes;
  }
  for (int64_t col = 0; col < source.cols; ++col) {
    for (int64_t r = 0; r < from.rows; ++r) {
      put(format, panel, col, r, load_number<kStored>(first[r] + col * stride[r]));
    }
  }
}

void pack_dense(const PanelSource& from, Format format, uint8_t* panel) {
  const WeightSource& source = from.source;
  if (source.transposed) {
    switch (source.format) {
      case Format::kF32:
        return convert_transposed<Format::kF32>(from, format, panel);
      case Format::kF16:
        return convert_transposed<Format::kF16>(from, format, panel);
      case Format::kBf16:
        return convert_transposed<Format::kBf16>(from, format, panel);
      case Format::kMxfp4:
        break;
    }
    GOSSAMER_CHECK(false);
  }
  if (format != source.format) return convert_dense(from, format, panel);
  switch (format) {
    case Format::kF32:
      return transpose_words<uint32_t>(from, source.cols, panel);
    case Format::kF16:
      return transpose_words<uint16_t>(from, source.cols, panel);
    case Format::kBf16:
      transpose_words<uint32_t>(from, source.cols / 2, panel);
      if (source.cols % 2 == 1) {
        for (int64_t r = 0; r < from.rows; ++r) {
          const std::byte* row = source.row_codes(from.expert, from.first_row + r);
          put(format, panel, source.cols - 1, r, bf16_to_float(load<uint16_t>(row + 2 * (source.cols - 1))));
        }
      }
      return;
    case Format::kMxfp4:
      break;
  }
  GOSSAMER_CHECK(false);
}

// Eight codes in ascending order to even ones low, odd ones high.
uint32_t split_even_odd(uint32_t codes) {
  const auto gather = [](uint32_t nibbles) {  // nibbles 0, 2, 4, 6 of the word to its low half
    nibbles &= 0x0f0f0f0fU;
    nibbles = (nibbles | nibbles >> 4) & 0x00ff00ffU;
    return (nibbles | nibbles >> 8) & 0x0000ffffU;
  };
  return gather(codes) | gather(codes >> 4) << 16;
}

// Returns whether every number of the panel is a normal bf16 once its scale is applied.
bool pack_mxfp4(const PanelSource& from, uint8_t* panel) {
  constexpr int64_t kWords = kGroupCols / 8;  // of one row and group
  const int64_t groups = from.source.cols / kGroupCols;
  bool tiles = true;
  for (int64_t r = 0; r < from.rows; ++r) {
    const std::byte* codes = from.source.row_codes(from.expert, from.first_row + r);
    const std::byte* scales = from.source.row_scales(from.expert, from.first_row + r);
    for (int64_t group = 0; group < groups; ++group) {
      uint32_t magnitudes = 0;
      auto* words = reinterpret_cast<uint32_t*>(panel + mxfp4_codes_at(group));
      for (int64_t w = 0; w < kWords; ++w) {
        const auto word = load<uint32_t>(codes + (group * kWords + w) * 4);
        magnitudes |= word & 0x77777777U;
        words[w * kPanelRows + r] = split_even_odd(word);
      }
      const auto scale = static_cast<uint8_t>(scales[group]);
      panel[mxfp4_scales_at(group) + r] = scale;
      // A group of zeros is 0 under any scale but NaN.
      tiles &= (scale >= kMinTileScale || magnitudes == 0) && scale <= kMaxTileScale;
    }
  }
  return tiles;
}

// Gives rows [begin, end) of one expert back, as long runs of bytes. Only when they lie in order.
void release_rows(const WeightSource& source, int64_t expert, int64_t begin, int64_t end) {
  const int64_t row_bytes = source.cols * format_info(source.format).bits_per_code / 8;
  for (int64_t row = begin; row < end;) {
    const std::byte* run = source.row_codes(expert, row);
    int64_t length = 1;
    while (row + length < end && source.row_codes(expert, row + length) == run + length * row_bytes) ++length;
    source.release(run, static_cast<std::size_t>(length * row_bytes));
    row += length;
  }
}

}  // namespace

std::unique_ptr<PackedWeight> pack_weight(const WeightSource& source, Format format, ThreadPool& pool) {
  auto weight = std::make_unique<PackedWeight>(format, source.num_experts, source.rows, source.cols);
  std::atomic<bool> exact{true};
  const int64_t row_bytes = std::max<int64_t>(1, source.cols * format_info(source.format).bits_per_code / 8);
  const int64_t panels_per_release = std::max<int64_t>(1, kReleaseBytes / (row_bytes * kPanelRows));
  const bool in_order = !source.transposed && source.row_order.empty();
  for (int64_t expert = 0; expert < source.num_experts; ++expert) {
    for (int64_t begin = 0; begin < weight->num_panels(); begin += panels_per_release) {
      const int64_t end = std::min(weight->num_panels(), begin + panels_per_release);
      pool.parallel_for(end - begin, [&](int64_t task, int) {
        const int64_t first_row = (begin + task) * kPanelRows;
        const PanelSource from{source, expert, first_row,
                               std::min<int64_t>(kPanelRows, source.rows - first_row)};
        uint8_t* panel = weight->panel(expert, begin + task);
        if (format != Format::kMxfp4) {
          pack_dense(from, format, panel);
        } else if (!pack_mxfp4(from, panel)) {
          exact.store(false, std::memory_order_relaxed);
        }
      });
      if (source.release && in_order) {
        release_rows(source, expert, begin * kPanelRows, std::min(end * kPanelRows, source.rows));
      }
    }
    source.release_expert(expert);
  }
  const bool bf16_codes = format == Format::kBf16 || format == Format::kMxfp4;
  weight->set_tiles(bf16_codes && source.cols % kGroupCols == 0 && exact.load());
  return weight;
}

}  // namespace gossamer::cpu
