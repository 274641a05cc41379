// Format: how stored numbers decode. One header per format in formats/ gives its layout and its scalar
// decode; kernels are faster ways to do the same and are tested against it.
#pragma once

#include <cstdint>
#include <string_view>

namespace gossamer {

enum class Format : uint8_t { kF32, kBf16, kF16, kMxfp4 };

struct FormatInfo {
  std::string_view name;  // "mxfp4", as in reports and flags
  int bits_per_code = 0;  // bits of one stored number
  int group_size = 1;  // consecutive numbers along the inner dimension that share a scale; a matrix is never
                       // cut inside one
  int bytes_per_scale = 0;  // 0: no scales
};

const FormatInfo& format_info(Format format);

// Bytes of one row of `cols` numbers, codes and scales together. `cols` is a multiple of the group size.
int64_t format_row_bytes(Format format, int64_t cols);

}  // namespace gossamer
