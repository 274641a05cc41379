#include "tensor/format.h"

#include "base/check.h"

namespace gossamer {
namespace {

constexpr std::array<FormatInfo, kNumFormats> kFormats = {{
    {.name = "f32", .bits_per_code = 32},
    {.name = "bf16", .bits_per_code = 16},
    {.name = "f16", .bits_per_code = 16},
    {.name = "mxfp4", .bits_per_code = 4, .group_size = 32, .bytes_per_scale = 1},
    {.name = "int8", .bits_per_code = 8, .group_size = 0, .bytes_per_scale = 4},
    {.name = "int8g32", .bits_per_code = 8, .group_size = 32, .bytes_per_scale = 2},
    {.name = "int4", .bits_per_code = 4, .group_size = 32, .bytes_per_scale = 2},
}};

}  // namespace

const FormatInfo& format_info(Format format) {
  const auto index = static_cast<std::size_t>(format);
  GOSSAMER_CHECK_LT(index, kFormats.size());
  return kFormats[index];
}

std::optional<Format> find_format(std::string_view name) {
  for (const Format format : kAllFormats) {
    if (format_info(format).name == name) return format;
  }
  return std::nullopt;
}

int64_t format_scales_per_row(Format format, int64_t cols) {
  const int group = format_info(format).group_size;
  if (group == 1) return 0;
  return group == 0 ? 1 : (cols + group - 1) / group;
}

int64_t format_row_bytes(Format format, int64_t cols) {
  const FormatInfo& info = format_info(format);
  return (cols * info.bits_per_code + 7) / 8 + format_scales_per_row(format, cols) * info.bytes_per_scale;
}

}  // namespace gossamer
