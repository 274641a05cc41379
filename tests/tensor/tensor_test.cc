#include "tensor/tensor.h"

#include <gtest/gtest.h>

#include <array>

#include "tensor/dtype.h"

namespace gossamer {
namespace {

TEST(DType, NamesParseBackAndNothingElseDoes) {
  for (const DType dtype : {DType::kF64, DType::kF32, DType::kF16, DType::kBf16, DType::kI64, DType::kI32,
                            DType::kI16, DType::kI8, DType::kU8, DType::kBool}) {
    EXPECT_EQ(parse_dtype(dtype_name(dtype)), dtype);
  }
  EXPECT_EQ(parse_dtype("F8_E4M3"), std::nullopt);
  EXPECT_EQ(parse_dtype("f32"), std::nullopt);
}

TEST(Shape, PrintsAndCounts) {
  const Shape shape{32, 5760, 90, 16};
  EXPECT_EQ(shape.to_string(), "[32, 5760, 90, 16]");
  EXPECT_EQ(shape.num_elements(), 265420800);
  EXPECT_EQ(shape.row_size(), 16);
  EXPECT_EQ(shape.num_rows(), 32 * 5760 * 90);
  EXPECT_NE(shape, (Shape{32, 5760, 90}));
}

TEST(Tensor, RowsAreAViewOfTheSameMemory) {
  std::array<float, 12> values{};
  const Tensor tensor(values.data(), DType::kF32, Shape{3, 4});
  tensor.rows(1, 3).as<float>()[0] = 7.0F;
  EXPECT_EQ(values[4], 7.0F);
  EXPECT_EQ(tensor.rows(1, 3).shape(), (Shape{2, 4}));
  EXPECT_DEATH(tensor.rows(2, 4), "check failed");
  EXPECT_DEATH(tensor.as<int32_t>(), "check failed");
}

TEST(Buffer, IsZeroedAlignedAndFreedOnce) {
  const std::size_t large = std::size_t{9} << 20;
  Buffer buffer = Buffer::allocate_host(large);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % (std::size_t{2} << 20), 0U);
  const Tensor tensor = buffer.view(DType::kU8, Shape{static_cast<int64_t>(large)});
  EXPECT_EQ(tensor.as<uint8_t>()[0] + tensor.as<uint8_t>()[large - 1], 0);
  EXPECT_DEATH(buffer.view(DType::kF32, Shape{static_cast<int64_t>(large)}), "check failed");

  int freed = 0;
  {
    Buffer owner(buffer.data(), 1, [&](void*, std::size_t) { ++freed; });
    Buffer moved = std::move(owner);
    EXPECT_EQ(moved.size(), 1U);
  }
  EXPECT_EQ(freed, 1);
}

}  // namespace
}  // namespace gossamer
