#include "backend/cpu/packed_weight.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "backend/cpu/kernel_table.h"
#include "backend/cpu/pack_codes.h"
#include "base/check.h"
#include "base/error.h"
#include "base/half.h"
#include "base/numa.h"
#include "tensor/formats/integer.h"
#include "tensor/formats/mxfp4.h"

namespace gossamer::cpu {
namespace {

static_assert(mxfp4::kGroupSize == kGroupCols && integer::kGroupSize == kGroupCols);

// Of WeightImage::flags.
constexpr uint32_t kTilesFlag = 1;
constexpr uint32_t kInt8ActivationsFlag = 2;

// read(col) -> float, for one row of one panel.
template <typename Read>
void read_columns(int64_t cols, bool add, float* out, Read read) {
  for (int64_t col = 0; col < cols; ++col) out[col] = add ? out[col] + read(col) : read(col);
}

}  // namespace

int64_t packed_panel_bytes(Format format, int64_t cols) {
  switch (format) {
    case Format::kF32:
      return cols * kPanelRows * 4;
    case Format::kF16:
      return cols * kPanelRows * 2;
    case Format::kBf16:
      return (cols + 1) / 2 * kPanelRows * 4;
    case Format::kMxfp4:
      return (cols / kGroupCols + 1) / 2 * kMxfp4PairBytes;
    case Format::kInt8:
      return kInt8ScaleBytes + groups_of(cols) * kGroupCols * kPanelRows;
    case Format::kInt8Group:
      return groups_of(cols) * kInt8GroupBytes;
    case Format::kInt4:
      return groups_of(cols) * kInt4GroupBytes;
  }
  GOSSAMER_CHECK(false);
}

std::size_t packed_bytes(Format format, int64_t num_experts, int64_t rows, int64_t cols) {
  const int64_t panels = (rows + kPanelRows - 1) / kPanelRows;
  return static_cast<std::size_t>(num_experts * panels * packed_panel_bytes(format, cols));
}

PackedWeight::PackedWeight(Format format, int64_t num_experts, int64_t rows, int64_t cols)
    : Weight(format, num_experts, rows, cols),
      memory_(Buffer::allocate_host(packed_bytes(format, num_experts, rows, cols))),
      num_panels_((rows + kPanelRows - 1) / kPanelRows),
      panel_bytes_(packed_panel_bytes(format, cols)) {}

PackedWeight::PackedWeight(const WeightImage& image, Buffer memory)
    : Weight(image.format, image.num_experts, image.rows, image.cols),
      memory_(std::move(memory)),
      num_panels_((image.rows + kPanelRows - 1) / kPanelRows),
      panel_bytes_(packed_panel_bytes(image.format, image.cols)),
      tiles_((image.flags & kTilesFlag) != 0),
      int8_activations_((image.flags & kInt8ActivationsFlag) != 0) {
  // What the kernels rely on.
  const bool whole_groups = image.cols % kGroupCols == 0;
  const bool tiles_suit = has_bf16_codes(image.format) && whole_groups;
  if ((tiles_ && !tiles_suit) || (int8_activations_ && is_dense(image.format)) ||
      (image.format == Format::kMxfp4 && !whole_groups) ||
      (image.flags & ~(kTilesFlag | kInt8ActivationsFlag)) != 0) {
    throw Error("expected flags and columns that suit {}, found {:#x} and {}", format_info(image.format).name,
                image.flags, image.cols);
  }
}

WeightImage PackedWeight::image() const {
  return {.format = format(),
          .num_experts = num_experts(),
          .rows = rows(),
          .cols = cols(),
          .flags = (tiles_ ? kTilesFlag : 0) | (int8_activations_ ? kInt8ActivationsFlag : 0),
          .bytes = {static_cast<const std::byte*>(memory_.data()), memory_.size()}};
}

void PackedWeight::replicate(std::span<const int> nodes, ThreadPool& pool) {
  constexpr std::size_t kPiece = std::size_t{4} << 20;
  for (const int node : nodes) {
    Buffer copy = Buffer::allocate_host(memory_.size());
    // The system was asked once whether it does this (placement.cc): a refusal here only costs speed.
    (void)interleave_memory(copy.data(), copy.size(), std::span(&node, 1));
    const auto pieces = static_cast<int64_t>((copy.size() + kPiece - 1) / kPiece);
    pool.parallel_for(pieces, [&](int64_t piece, int) {
      const std::size_t begin = static_cast<std::size_t>(piece) * kPiece;
      std::memcpy(static_cast<std::byte*>(copy.data()) + begin,
                  static_cast<const std::byte*>(memory_.data()) + begin,
                  std::min(kPiece, copy.size() - begin));
    });
    copies_.push_back(std::move(copy));
  }
}

void PackedWeight::read_row(int64_t row, bool add, float* out) const {
  GOSSAMER_CHECK(row >= 0 && row < rows());
  const uint8_t* panel = expert(0) + row / kPanelRows * panel_bytes_;
  const int64_t lane = row % kPanelRows;
  switch (format()) {
    case Format::kF32: {
      const float* numbers = reinterpret_cast<const float*>(panel) + lane;
      return read_columns(cols(), add, out, [=](int64_t col) { return numbers[col * kPanelRows]; });
    }
    case Format::kF16: {
      const uint16_t* numbers = reinterpret_cast<const uint16_t*>(panel) + lane;
      return read_columns(cols(), add, out,
                          [=](int64_t col) { return f16_to_float(numbers[col * kPanelRows]); });
    }
    case Format::kBf16: {
      const uint16_t* numbers = reinterpret_cast<const uint16_t*>(panel) + 2 * lane;
      return read_columns(cols(), add, out, [=](int64_t col) {
        return bf16_to_float(numbers[col / 2 * 2 * kPanelRows + col % 2]);
      });
    }
    case Format::kMxfp4: {
      return read_columns(cols(), add, out, [=](int64_t col) {
        const int64_t group = col / kGroupCols;
        const int64_t in_group = col % kGroupCols;
        const auto* words = reinterpret_cast<const uint32_t*>(panel + mxfp4_codes_at(group)) + lane;
        const uint32_t code = words[in_group / 8 * kPanelRows] >> (in_group % 8 / 2 * 4 + in_group % 2 * 16);
        return mxfp4::kValues[code & 0xfU] * mxfp4::decode_scale(panel[mxfp4_scales_at(group) + lane]);
      });
    }
    case Format::kInt8:
    case Format::kInt8Group:
    case Format::kInt4:
      return read_columns(cols(), add, out, [=, this](int64_t col) {
        const IntegerNumber number = unpack_integer(format(), panel, lane, col);
        return static_cast<float>(number.code) * number.scale;
      });
  }
  GOSSAMER_CHECK(false);
}

}  // namespace gossamer::cpu
