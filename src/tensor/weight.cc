#include "tensor/weight.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/half.h"
#include "tensor/formats/mxfp4.h"

namespace gossamer {
namespace {

// Mapped files promise no alignment, hence memcpy.
template <typename T>
T load(const std::byte* address) {
  T value;
  __builtin_memcpy(&value, address, sizeof(T));
  return value;
}

float decode_dense(Format format, const std::byte* numbers, int64_t index) {
  switch (format) {
    case Format::kF32:
      return load<float>(numbers + 4 * index);
    case Format::kBf16:
      return bf16_to_float(load<uint16_t>(numbers + 2 * index));
    case Format::kF16:
      return f16_to_float(load<uint16_t>(numbers + 2 * index));
    default:
      GOSSAMER_CHECK(false);
  }
}

}  // namespace

DType stored_dtype(Format format) {
  switch (format) {
    case Format::kF32:
      return DType::kF32;
    case Format::kBf16:
      return DType::kBf16;
    case Format::kF16:
      return DType::kF16;
    case Format::kMxfp4:
      return DType::kU8;
    default:  // the integer formats are made here, never read from a checkpoint
      GOSSAMER_CHECK(false);
  }
}

void WeightSource::check() const {
  const FormatInfo& info = format_info(format);
  GOSSAMER_CHECK_EQ(cols % info.group_size, 0);
  GOSSAMER_CHECK(!(transposed && info.group_size > 1));
  int64_t stacked = 0;
  for (const WeightPart& part : parts) {
    GOSSAMER_CHECK(part.codes.dtype() == stored_dtype(format));
    GOSSAMER_CHECK_EQ(static_cast<int64_t>(part.codes.size_bytes()),
                      num_experts * part.rows * cols * info.bits_per_code / 8);
    if (info.bytes_per_scale > 0) {
      GOSSAMER_CHECK_EQ(static_cast<int64_t>(part.scales.size_bytes()),
                        num_experts * part.rows * (cols / info.group_size) * info.bytes_per_scale);
    }
    stacked += part.rows;
  }
  GOSSAMER_CHECK_EQ(stacked, rows);
  if (!row_order.empty()) GOSSAMER_CHECK_EQ(static_cast<int64_t>(row_order.size()), rows);
  if (!col_scales.empty()) GOSSAMER_CHECK_EQ(static_cast<int64_t>(col_scales.size()), cols);
}

WeightSource::Location WeightSource::locate(int64_t row) const {
  int64_t stored = row_order.empty() ? row : row_order[static_cast<std::size_t>(row)];
  for (const WeightPart& part : parts) {
    if (stored < part.rows) return {&part, stored};
    stored -= part.rows;
  }
  GOSSAMER_CHECK(false);
}

const std::byte* WeightSource::row_codes(int64_t expert, int64_t row) const {
  GOSSAMER_CHECK(!transposed);
  const Location at = locate(row);
  const int64_t row_bytes = cols * format_info(format).bits_per_code / 8;
  return at.part->codes.bytes() + (expert * at.part->rows + at.row) * row_bytes;
}

const std::byte* WeightSource::row_scales(int64_t expert, int64_t row) const {
  const Location at = locate(row);
  const FormatInfo& info = format_info(format);
  const int64_t row_bytes = cols / info.group_size * info.bytes_per_scale;
  return at.part->scales.bytes() + (expert * at.part->rows + at.row) * row_bytes;
}

void WeightSource::decode_row(int64_t expert, int64_t row, float* out) const {
  decode_stored_row(expert, row, out);
  for (std::size_t col = 0; col < col_scales.size(); ++col) out[col] *= col_scales[col];
}

std::vector<float> WeightSource::column_maxima() const {
  std::vector<float> maxima(static_cast<std::size_t>(cols), 0.0F);
  const auto take = [&maxima](int64_t col, float value) {
    float& largest = maxima[static_cast<std::size_t>(col)];
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  };
  std::vector<float> numbers(static_cast<std::size_t>(cols));
  for (int64_t expert = 0; expert < num_experts; ++expert) {
    if (!transposed) {
      for (int64_t row = 0; row < rows; ++row) {
        decode_stored_row(expert, row, numbers.data());
        for (int64_t col = 0; col < cols; ++col) take(col, numbers[static_cast<std::size_t>(col)]);
      }
      continue;
    }
    for (const WeightPart& part : parts) {  // in the order in which it lies: a row would touch every page
      for (int64_t col = 0; col < cols; ++col) {
        const int64_t begin = (expert * cols + col) * part.rows;
        for (int64_t row = 0; row < part.rows; ++row) {
          take(col, decode_dense(format, part.codes.bytes(), begin + row));
        }
      }
    }
  }
  return maxima;
}

void WeightSource::decode_stored_row(int64_t expert, int64_t row, float* out) const {
  if (format == Format::kMxfp4) {
    const auto* codes = reinterpret_cast<const uint8_t*>(row_codes(expert, row));
    const auto* scales = reinterpret_cast<const uint8_t*>(row_scales(expert, row));
    for (int64_t col = 0; col < cols; ++col) {
      const int64_t group = col / mxfp4::kGroupSize;
      out[col] =
          mxfp4::decode_code(codes + group * mxfp4::kGroupBytes, static_cast<int>(col % mxfp4::kGroupSize)) *
          mxfp4::decode_scale(scales[group]);
    }
    return;
  }
  const Location at = locate(row);
  const int64_t expert_begin = expert * at.part->rows * cols;
  for (int64_t col = 0; col < cols; ++col) {
    const int64_t index = transposed ? col * at.part->rows + at.row : at.row * cols + col;
    out[col] = decode_dense(format, at.part->codes.bytes(), expert_begin + index);
  }
}

void WeightSource::release_expert(int64_t expert) const {
  if (!release) return;
  for (const WeightPart& part : parts) {
    for (const ConstTensor& tensor : {part.codes, part.scales}) {
      if (tensor.empty()) continue;
      const std::size_t size = tensor.size_bytes() / static_cast<std::size_t>(num_experts);
      release(tensor.bytes() + static_cast<std::size_t>(expert) * size, size);
    }
  }
}

}  // namespace gossamer
