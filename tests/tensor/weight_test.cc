#include "tensor/weight.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <numeric>
#include <vector>

#include "tensor/formats/mxfp4.h"

namespace gossamer {
namespace {

std::vector<float> row_of(const WeightSource& source, int64_t expert, int64_t row) {
  std::vector<float> values(static_cast<std::size_t>(source.cols));
  source.decode_row(expert, row, values.data());
  return values;
}

TEST(Mxfp4, DecodesTheSpecificationsValues) {
  // e2m1: sign, two exponent bits with bias 1, one mantissa bit; exponent 0 is subnormal.
  for (int code = 0; code < 16; ++code) {
    const int exponent = (code >> 1) & 3;
    const double mantissa = (code & 1) / 2.0;
    const double magnitude = exponent == 0 ? mantissa : (1 + mantissa) * std::pow(2.0, exponent - 1);
    EXPECT_EQ(mxfp4::kValues[static_cast<std::size_t>(code)], code < 8 ? magnitude : -magnitude) << code;
  }
  EXPECT_EQ(mxfp4::decode_scale(127), 1.0F);
  EXPECT_EQ(mxfp4::decode_scale(0), 0x1p-127F);
  EXPECT_EQ(mxfp4::decode_scale(254), 0x1p127F);
  EXPECT_TRUE(std::isnan(mxfp4::decode_scale(255)));
}

TEST(WeightSource, Mxfp4PutsTheLowNibbleFirst) {
  std::array<uint8_t, 16> codes{};
  codes[0] = 0x72;  // numbers 0 and 1: codes 2 and 7
  const std::array<uint8_t, 1> scales = {128};
  WeightSource source{.name = "w", .format = Format::kMxfp4, .rows = 1, .cols = 32};
  source.parts.push_back({.rows = 1,
                          .codes = ConstTensor(codes.data(), DType::kU8, Shape{1, 1, 1, 16}),
                          .scales = ConstTensor(scales.data(), DType::kU8, Shape{1, 1, 1})});
  source.check();
  const auto row = row_of(source, 0, 0);
  EXPECT_EQ(row[0], 2.0F);
  EXPECT_EQ(row[1], 12.0F);
  EXPECT_EQ(std::accumulate(row.begin() + 2, row.end(), 0.0F), 0.0F);
}

TEST(WeightSource, StacksPartsAndReordersRows) {
  std::array<float, 4> top = {0, 1, 10, 11};
  std::array<float, 2> bottom = {20, 21};
  WeightSource source{.name = "qkv", .format = Format::kF32, .rows = 3, .cols = 2};
  source.parts.push_back({.rows = 2, .codes = ConstTensor(top.data(), DType::kF32, Shape{2, 2})});
  source.parts.push_back({.rows = 1, .codes = ConstTensor(bottom.data(), DType::kF32, Shape{1, 2})});
  source.check();
  EXPECT_EQ(row_of(source, 0, 2), (std::vector<float>{20, 21}));
  const std::vector<int32_t> row_order = {2, 0, 1};
  source.row_order = row_order;
  EXPECT_EQ(row_of(source, 0, 0), (std::vector<float>{20, 21}));
  EXPECT_EQ(row_of(source, 0, 2), (std::vector<float>{10, 11}));
}

TEST(WeightSource, TransposedExpertsDecodeByColumns) {
  std::vector<float> stored(2 * 3 * 2);  // [2 experts, 3 cols, 2 rows]
  std::iota(stored.begin(), stored.end(), 0.0F);
  WeightSource source{.name = "experts", .format = Format::kF32, .num_experts = 2, .rows = 2, .cols = 3};
  source.transposed = true;
  source.parts.push_back({.rows = 2, .codes = ConstTensor(stored.data(), DType::kF32, Shape{2, 3, 2})});
  source.check();
  EXPECT_EQ(row_of(source, 0, 1), (std::vector<float>{1, 3, 5}));
  EXPECT_EQ(row_of(source, 1, 0), (std::vector<float>{6, 8, 10}));
}

TEST(WeightSource, ReleasesEveryByteOfAnExpertOnce) {
  std::vector<float> stored(8);
  std::vector<std::pair<std::size_t, std::size_t>> released;  // offset, size
  WeightSource source{.name = "experts", .format = Format::kF32, .num_experts = 2, .rows = 2, .cols = 2};
  source.parts.push_back({.rows = 2, .codes = ConstTensor(stored.data(), DType::kF32, Shape{2, 2, 2})});
  source.release = [&](const std::byte* begin, std::size_t size) {
    released.emplace_back(begin - reinterpret_cast<const std::byte*>(stored.data()), size);
  };
  source.release_expert(0);
  source.release_expert(1);
  EXPECT_EQ(released, (std::vector<std::pair<std::size_t, std::size_t>>{{0, 16}, {16, 16}}));
}

TEST(WeightSource, RefusesPartsThatDoNotFit) {
  std::array<float, 4> values{};
  WeightSource source{.name = "w", .format = Format::kF32, .rows = 3, .cols = 2};
  source.parts.push_back({.rows = 2, .codes = ConstTensor(values.data(), DType::kF32, Shape{2, 2})});
  EXPECT_DEATH(source.check(), "check failed");
}

TEST(WeightSource, ColumnScalesMultiplyWhatIsDecodedButNotTheColumnMaxima) {
  // Two experts of [2 rows, 3 cols], stored as they are and transposed.
  const std::array<float, 12> plain = {1, -2, 3, -4, 5, 0, 7, 8, -9, 0, 1, 2};
  const std::array<float, 12> transposed = {1, -4, -2, 5, 3, 0, 7, 0, 8, 1, -9, 2};
  const std::vector<float> scales = {2, 0.5F, 4};
  for (const bool is_transposed : {false, true}) {
    WeightSource source{.name = "w",
                        .format = Format::kF32,
                        .num_experts = 2,
                        .rows = 2,
                        .cols = 3,
                        .transposed = is_transposed};
    const Shape shape = is_transposed ? Shape{2, 3, 2} : Shape{2, 2, 3};
    source.parts.push_back(
        {.rows = 2, .codes = ConstTensor((is_transposed ? transposed : plain).data(), DType::kF32, shape)});
    source.col_scales = scales;
    source.check();
    EXPECT_EQ(row_of(source, 0, 1), (std::vector<float>{-8, 2.5F, 0}));
    EXPECT_EQ(row_of(source, 1, 0), (std::vector<float>{14, 4, -36}));
    EXPECT_EQ(source.column_maxima(), (std::vector<float>{7, 8, 9}));
  }
}

}  // namespace
}  // namespace gossamer
