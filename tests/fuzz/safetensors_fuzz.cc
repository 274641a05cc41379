// Any bytes as a safetensors file: an Error, or entries that lie one behind the other within the file. The
// first byte chooses between the raw bytes and the bytes as a header under a right length, which is what
// mutation would hardly ever find.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/check.h"
#include "base/error.h"
#include "checkpoint/safetensors.h"

namespace gossamer {
namespace {

void parse(std::span<const std::byte> file) {
  try {
    uint64_t end = 0;
    for (const SafetensorsEntry& entry : parse_safetensors(file, "fuzz.safetensors")) {
      GOSSAMER_CHECK_LE(end, entry.begin);
      GOSSAMER_CHECK_LE(entry.begin, entry.end);
      GOSSAMER_CHECK_LE(entry.end, file.size());
      end = entry.end;
      GOSSAMER_CHECK(!printable_name(entry.name).empty() || entry.name.empty());
    }
  } catch (const Error&) {
  }
}

}  // namespace
}  // namespace gossamer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::span<const std::byte> input = std::as_bytes(std::span(data, size)).subspan(1);
  if (data[0] % 2 == 0) {
    gossamer::parse(input);
    return 0;
  }
  // Up to 255 bytes of data behind the header.
  std::string file(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) file[i] = static_cast<char>(uint64_t{input.size()} >> (8 * i) & 0xff);
  file.append(reinterpret_cast<const char*>(input.data()), input.size()).append(data[0] / 2, 'x');
  gossamer::parse(std::as_bytes(std::span(file)));
  return 0;
}
