// Packing the formats whose codes are integers (packed_weight.h). Called by pack.cc.
#pragma once

#include <cstdint>

#include "tensor/weight.h"

namespace gossamer::cpu {

// One panel's place in the source: `rows` <= kPanelRows rows starting at first_row.
struct PanelSource {
  const WeightSource& source;
  int64_t expert;
  int64_t first_row;
  int64_t rows;
};

// MXFP4 as it is stored. Returns whether every number is a normal bf16 once its scale is applied.
bool pack_mxfp4(const PanelSource& from, uint8_t* panel);

// Row `row` of an integer panel from its codes [cols rounded up to whole groups; zeros at the end] and its
// scales [format_scales_per_row].
void pack_integer_row(Format format, int64_t cols, const int8_t* codes, const float* scales, int64_t row,
                      uint8_t* panel);

// The reverse, for one column: code and scale.
struct IntegerNumber {
  int code;
  float scale;
};
IntegerNumber unpack_integer(Format format, const uint8_t* panel, int64_t row, int64_t col);

}  // namespace gossamer::cpu
