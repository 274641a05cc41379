#include "base/repeated_memory.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

namespace gossamer {
namespace {

TEST(RepeatedMemory, EveryByteIsThePatternsAlsoAfterRelease) {
  std::vector<std::byte> pattern(std::size_t{64} << 10);  // whole pages of any common size
  for (std::size_t i = 0; i < pattern.size(); ++i) pattern[i] = static_cast<std::byte>(i * 7 + i / 251);
  const std::size_t size = 5 * pattern.size() / 2;
  const RepeatedMemory memory(pattern, size);
  ASSERT_EQ(memory.bytes().size(), 3 * pattern.size());
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < memory.bytes().size(); ++i) {
      ASSERT_EQ(memory.bytes()[i], pattern[i % pattern.size()]) << i;
    }
    memory.release(memory.bytes().subspan(100, size));
  }
}

}  // namespace
}  // namespace gossamer
