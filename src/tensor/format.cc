#include "tensor/format.h"

#include <array>

#include "base/check.h"

namespace gossamer {
namespace {

constexpr std::array<FormatInfo, 4> kFormats = {{
    {.name = "f32", .bits_per_code = 32},
    {.name = "bf16", .bits_per_code = 16},
    {.name = "f16", .bits_per_code = 16},
    {.name = "mxfp4", .bits_per_code = 4, .group_size = 32, .bytes_per_scale = 1},
}};

}  // namespace

const FormatInfo& format_info(Format format) {
  const auto index = static_cast<std::size_t>(format);
  GOSSAMER_CHECK_LT(index, kFormats.size());
  return kFormats[index];
}

int64_t format_row_bytes(Format format, int64_t cols) {
  const FormatInfo& info = format_info(format);
  GOSSAMER_CHECK_EQ(cols % info.group_size, 0);
  return cols * info.bits_per_code / 8 + cols / info.group_size * info.bytes_per_scale;
}

}  // namespace gossamer
