#include "base/half.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace gossamer {
namespace {

TEST(Half, EveryF16SurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits <= 0xffffU; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = f16_to_float(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(f16_to_float(float_to_f16(value))));
    } else {
      EXPECT_EQ(float_to_f16(value), half) << value;
    }
  }
}

TEST(Half, EveryBf16SurvivesTheRoundTrip) {
  for (uint32_t bits = 0; bits <= 0xffffU; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = bf16_to_float(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(value))));
    } else {
      EXPECT_EQ(float_to_bf16(value), half) << value;
    }
  }
}

TEST(Half, RoundsTiesToEven) {
  EXPECT_EQ(float_to_bf16(1.0F + 0x1p-8F), 0x3f80);      // halfway between 1 and 1 + 2^-7: even is 1
  EXPECT_EQ(float_to_bf16(1.0F + 3 * 0x1p-8F), 0x3f82);  // halfway, even is above
  EXPECT_EQ(float_to_f16(1.0F + 0x1p-11F), 0x3c00);
  EXPECT_EQ(float_to_f16(1.0F + 3 * 0x1p-11F), 0x3c02);
  EXPECT_EQ(float_to_f16(0x1p-25F), 0x0000);  // half of the smallest subnormal: even is 0
  EXPECT_EQ(float_to_f16(3 * 0x1p-25F), 0x0002);
}

TEST(Half, OverflowsToInfinity) {
  EXPECT_EQ(float_to_f16(65519.0F), 0x7bff);
  EXPECT_EQ(float_to_f16(65520.0F), 0x7c00);
  EXPECT_EQ(float_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
}

}  // namespace
}  // namespace gossamer
