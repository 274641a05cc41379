#include "base/checksum.h"

#define XXH_INLINE_ALL  // header-only use, so that cross builds need no library
#include <fmt/format.h>
#include <xxhash.h>

namespace gossamer {

uint64_t checksum(std::span<const std::byte> bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

std::string format_checksum(uint64_t checksum) { return fmt::format("{:016x}", checksum); }

}  // namespace gossamer
