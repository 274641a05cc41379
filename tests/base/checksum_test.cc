#include "base/checksum.h"

#include <gtest/gtest.h>

namespace gossamer {
namespace {

// As `xxhsum -H3` prints them.
TEST(Checksum, IsXxh3OfSixtyFourBits) {
  EXPECT_EQ(format_checksum(checksum("")), "2d06800538d394c2");
  EXPECT_EQ(format_checksum(checksum("a")), "e6c632b61e964e1f");
  EXPECT_NE(checksum("ab"), checksum("ba"));
}

}  // namespace
}  // namespace gossamer
