// Packing: from a checkpoint's rows to the panels of packed_weight.h. Called by CpuBackend::do_prepare.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "backend/cpu/kernel_table.h"
#include "backend/cpu/pack_codes.h"
#include "backend/cpu/packed_weight.h"
#include "base/check.h"
#include "base/half.h"
#include "base/numa.h"
#include "tensor/quantize.h"

namespace gossamer::cpu {
namespace {

// Columns packed at a time: 32 rows of this many fit in the first-level cache on both sides.
constexpr int64_t kColumnTile = 128;
// Source bytes between two releases of what has been read.
constexpr int64_t kReleaseBytes = int64_t{64} << 20;

template <typename T>
T load(const std::byte* address) {  // mapped files promise no alignment
  T value;
  std::memcpy(&value, address, sizeof(value));
  return value;
}

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
    default:
      GOSSAMER_CHECK(false);
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
void read_transposed(const PanelSource& from, float* rows) {
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
      rows[r * source.cols + col] = load_number<kStored>(first[r] + col * stride[r]);
    }
  }
  for (int64_t r = 0; r < from.rows && !source.col_scales.empty(); ++r) {
    for (int64_t col = 0; col < source.cols; ++col) {
      rows[r * source.cols + col] *= source.col_scales[static_cast<std::size_t>(col)];
    }
  }
}

// The panel's numbers as floats. [from.rows, cols]
void read_rows(const PanelSource& from, float* rows) {
  const WeightSource& source = from.source;
  if (source.transposed) {
    switch (source.format) {
      case Format::kF32:
        return read_transposed<Format::kF32>(from, rows);
      case Format::kF16:
        return read_transposed<Format::kF16>(from, rows);
      case Format::kBf16:
        return read_transposed<Format::kBf16>(from, rows);
      default:
        GOSSAMER_CHECK(false);
    }
  }
  for (int64_t r = 0; r < from.rows; ++r) {
    source.decode_row(from.expert, from.first_row + r, rows + r * source.cols);
  }
}

// What one thread needs while it converts.
struct Conversion {
  std::vector<float> rows;    // [kPanelRows, cols]
  std::vector<int8_t> codes;  // [cols rounded up to whole groups]
  std::vector<float> scales;  // of one row

  explicit Conversion(int64_t cols)
      : rows(static_cast<std::size_t>(kPanelRows * cols)),
        codes(static_cast<std::size_t>(groups_of(cols) * kGroupCols)),
        scales(static_cast<std::size_t>(groups_of(cols))) {}
};

// Any format to any dense or integer one, through floats.
void convert(const PanelSource& from, Format format, Conversion& work, uint8_t* panel) {
  const int64_t cols = from.source.cols;
  read_rows(from, work.rows.data());
  for (int64_t r = 0; r < from.rows; ++r) {
    const float* row = work.rows.data() + r * cols;
    if (is_dense(format)) {
      for (int64_t col = 0; col < cols; ++col) put(format, panel, col, r, row[col]);
    } else {
      quantize_row(format, row, cols, work.codes.data(), work.scales.data());
      pack_integer_row(format, cols, work.codes.data(), work.scales.data(), r, panel);
    }
  }
}

// Dense and not transposed, without a change of format.
void move_dense(const PanelSource& from, uint8_t* panel) {
  const WeightSource& source = from.source;
  switch (source.format) {
    case Format::kF32:
      return transpose_words<uint32_t>(from, source.cols, panel);
    case Format::kF16:
      return transpose_words<uint16_t>(from, source.cols, panel);
    case Format::kBf16:
      transpose_words<uint32_t>(from, source.cols / 2, panel);
      if (source.cols % 2 == 1) {
        for (int64_t r = 0; r < from.rows; ++r) {
          const std::byte* row = source.row_codes(from.expert, from.first_row + r);
          put(Format::kBf16, panel, source.cols - 1, r,
              bf16_to_float(load<uint16_t>(row + 2 * (source.cols - 1))));
        }
      }
      return;
    default:
      GOSSAMER_CHECK(false);
  }
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

std::unique_ptr<PackedWeight> pack_weight(const WeightSource& source, Format format, bool int8_activations,
                                          std::span<const int> nodes, ThreadPool& pool) {
  auto weight = std::make_unique<PackedWeight>(format, source.num_experts, source.rows, source.cols);
  // Once for the backend the system was asked whether it does this: a refusal here only costs speed.
  if (!nodes.empty()) (void)interleave_memory(weight->panel(0, 0), weight->size_bytes(), nodes);
  const bool converts = format != source.format || source.transposed || !source.col_scales.empty();
  std::vector<Conversion> work(converts ? static_cast<std::size_t>(pool.num_threads()) : 0,
                               Conversion(converts ? source.cols : 0));
  std::atomic<bool> exact{true};
  const int64_t row_bytes = std::max<int64_t>(1, source.cols * format_info(source.format).bits_per_code / 8);
  const int64_t panels_per_release = std::max<int64_t>(1, kReleaseBytes / (row_bytes * kPanelRows));
  const bool in_order = !source.transposed && source.row_order.empty();
  for (int64_t expert = 0; expert < source.num_experts; ++expert) {
    for (int64_t begin = 0; begin < weight->num_panels(); begin += panels_per_release) {
      const int64_t end = std::min(weight->num_panels(), begin + panels_per_release);
      pool.parallel_for(end - begin, [&](int64_t task, int thread) {
        const int64_t first_row = (begin + task) * kPanelRows;
        const PanelSource from{source, expert, first_row,
                               std::min<int64_t>(kPanelRows, source.rows - first_row)};
        uint8_t* panel = weight->panel(expert, begin + task);
        if (converts) {
          convert(from, format, work[static_cast<std::size_t>(thread)], panel);
        } else if (format != Format::kMxfp4) {
          move_dense(from, panel);
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
  weight->set_tiles(has_bf16_codes(format) && source.cols % kGroupCols == 0 && exact.load());
  weight->set_int8_activations(int8_activations && !is_dense(format));
  return weight;
}

}  // namespace gossamer::cpu
