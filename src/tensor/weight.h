// A weight matrix before and after preparation.
//   WeightSource  how a checkpoint stores it: views of mapped files; what Backend::prepare reads
//   Weight        how one backend keeps it: opaque to everybody else
// Both stand for the same logical matrix [rows, cols] (output features, input features; y = x W^T), or for
// num_experts such matrices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "tensor/format.h"
#include "tensor/tensor.h"

namespace gossamer {

// The element type of a checkpoint's tensor that holds such codes; of the formats that checkpoints have.
DType stored_dtype(Format format);

// Rows stored together. Several parts are stacked in order (q, k and v of one fused product).
struct WeightPart {
  int64_t rows = 0;
  ConstTensor codes;  // dense: [num_experts, rows, cols], or [num_experts, cols, rows] when transposed;
                      // mxfp4: [num_experts, rows, cols / 32, 16] u8. num_experts may be absent when it is 1.
  ConstTensor scales;  // mxfp4: [num_experts, rows, cols / 32] u8
};

struct WeightSource {
  std::string name;  // for messages
  Format format = Format::kF32;
  int64_t num_experts = 1;
  int64_t rows = 0;
  int64_t cols = 0;
  bool transposed = false;  // dense formats only: stored [cols, rows] (GPT-2's Conv1D, BF16 GPT-OSS experts)
  // When not empty: logical row i is stored row row_order[i] (of the stacked parts). Borrowed from the model.
  std::span<const int32_t> row_order;
  // When not empty: column j stands for its stored numbers times col_scales[j] (model/smoothing.h). Not with
  // mxfp4 as it is stored, whose codes take no factor of a column.
  std::span<const float> col_scales;
  std::vector<WeightPart> parts;

  // Called with bytes that will not be read again, so that the source and its prepared copy are never both
  // resident.
  std::function<void(const std::byte* begin, std::size_t size)> release;

  // Checks that the parts' shapes and dtypes fit the fields above; a mismatch is our own bug.
  void check() const;

  // Copies one logical row of one expert as floats, decoded by the format's scalar rule. [cols]
  void decode_row(int64_t expert, int64_t row, float* out) const;

  // The largest |number| of each column over all rows and experts, without col_scales; 0 where none is
  // finite. [cols]
  std::vector<float> column_maxima() const;

  // The stored bytes of one logical row, for formats that a backend repacks without decoding. Not transposed.
  const std::byte* row_codes(int64_t expert, int64_t row) const;   // cols * bits / 8 bytes
  const std::byte* row_scales(int64_t expert, int64_t row) const;  // mxfp4: cols / 32 bytes

  // Tells `release` about all bytes of one expert.
  void release_expert(int64_t expert) const;

 private:
  struct Location {
    const WeightPart* part;
    int64_t row;  // within the part
  };
  Location locate(int64_t row) const;
  // Without col_scales.
  void decode_stored_row(int64_t expert, int64_t row, float* out) const;
};

// A prepared weight as bytes, to be written to a file and used from there: Backend::image and Backend::adopt.
struct WeightImage {
  Format format = Format::kF32;
  int64_t num_experts = 1;
  int64_t rows = 0;
  int64_t cols = 0;
  uint32_t flags = 0;  // the backend's own
  std::span<const std::byte> bytes;
};

class Weight {
 public:
  virtual ~Weight() = default;

  Format format() const { return format_; }
  int64_t num_experts() const { return num_experts_; }
  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }

  // Bytes held on the device, padding included.
  virtual std::size_t size_bytes() const = 0;

 protected:
  Weight(Format format, int64_t num_experts, int64_t rows, int64_t cols)
      : format_(format), num_experts_(num_experts), rows_(rows), cols_(cols) {}

 private:
  Format format_;
  int64_t num_experts_;
  int64_t rows_;
  int64_t cols_;
};

}  // namespace gossamer
