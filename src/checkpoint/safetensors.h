// The safetensors container: 8 bytes of header length (little endian), a JSON header, then the tensors' bytes
// without holes. Read by checkpoint.cc; written by safetensors_writer.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/shape.h"

namespace gossamer {

inline constexpr std::string_view kSafetensorsSuffix = ".safetensors";
// The format's own limit on the header, kept so that a damaged length is not believed.
inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;

// One tensor of a file's header. `begin` and `end` count from the start of the file and lie within it.
struct SafetensorsEntry {
  std::string name;
  std::string dtype;  // as written; not necessarily one that tensor/dtype.h knows
  Shape shape;
  uint64_t begin = 0;
  uint64_t end = 0;
};

// Reads and checks the header of a whole file: its length, JSON, dtypes, extents, and that the tensors lie
// one behind the other up to the last byte of the file. A dtype that is not known here (F4, F6_...) is only
// checked for its place, since its size cannot be known. The entries are in the order of their data. Throws
// Error naming `where` (the file), tensor, expected and found.
std::vector<SafetensorsEntry> parse_safetensors(std::span<const std::byte> file, const std::string& where);

// A name from outside as messages show it: control characters escaped, cut after 200 bytes.
std::string printable_name(std::string_view name);

}  // namespace gossamer
