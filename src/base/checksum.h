// XXH3 checksums (64 bits) of bytes. They find damage, not forgery. Used for packed model folders.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace gossamer {

uint64_t checksum(std::span<const std::byte> bytes);
inline uint64_t checksum(std::string_view text) { return checksum(std::as_bytes(std::span(text))); }

// 16 hexadecimal digits, as `xxhsum -H3` prints them.
std::string format_checksum(uint64_t checksum);

}  // namespace gossamer
