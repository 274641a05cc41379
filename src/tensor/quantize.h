// From floats to the integer formats (formats/integer.h). Plain arithmetic in a fixed order, so that a weight
// has the same codes on every machine. Called by backends when they prepare a weight, and for activations by
// the reference backend; the CPU's kernels do the latter with vector instructions, to the same bits.
#pragma once

#include <cstdint>

#include "tensor/format.h"

namespace gossamer {

// Quantizes one row of a weight, group by group: rounds to nearest with the scale that leaves the least
// squared error among a few candidates. A group with a number that is not finite gets the scale NaN, so that
// what is broken stays visible.
//   row [cols], codes [cols], scales [format_scales_per_row(format, cols)]
void quantize_row(Format format, const float* row, int64_t cols, int8_t* codes, float* scales);

// One token's activations: scale = max |x| / 127, codes to nearest (ties to even). All zero when the largest
// is below 2^-100; the scale is NaN when a number is not finite. x [cols], codes [cols]; returns the scale.
float quantize_activations(const float* x, int64_t cols, int8_t* codes);

// One head's key or value of one token, for an int8 cache: the scale is max |x| / 127 rounded to bf16, codes
// are to nearest for that scale. x [count], codes [count]; returns the scale's bf16 bits.
uint16_t quantize_kv(const float* x, int64_t count, int8_t* codes);

}  // namespace gossamer
