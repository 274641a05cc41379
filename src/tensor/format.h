// Format: how stored numbers decode. One header per format in formats/ gives its layout and its scalar
// decode; kernels are faster ways to do the same and are tested against it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace gossamer {

enum class Format : uint8_t {
  kF32,
  kBf16,
  kF16,
  kMxfp4,      // four bits, a power of two for every 32 (formats/mxfp4.h)
  kInt8,       // eight bits, one scale for a row, that is, for an output channel (formats/integer.h)
  kInt8Group,  // eight bits, a scale for every 32
  kInt4,       // four bits, a scale for every 32
};

inline constexpr std::array kAllFormats = {Format::kF32,  Format::kBf16,      Format::kF16, Format::kMxfp4,
                                           Format::kInt8, Format::kInt8Group, Format::kInt4};
inline constexpr std::size_t kNumFormats = kAllFormats.size();

struct FormatInfo {
  std::string_view name;  // "mxfp4", as in reports and flags
  int bits_per_code = 0;  // bits of one stored number
  int group_size = 1;  // consecutive numbers along the inner dimension that share a scale; a matrix is never
                       // cut inside one. 1: no scales; 0: one scale for a whole row
  int bytes_per_scale = 0;
};

const FormatInfo& format_info(Format format);
// The format of that name; nothing when there is none.
std::optional<Format> find_format(std::string_view name);

// f32, bf16, f16: every number stands for itself.
inline bool is_dense(Format format) { return format_info(format).group_size == 1; }

// Scales of one row of `cols` numbers; the last group may be partial.
int64_t format_scales_per_row(Format format, int64_t cols);
// Bytes of one row of `cols` numbers, codes and scales together.
int64_t format_row_bytes(Format format, int64_t cols);

}  // namespace gossamer
