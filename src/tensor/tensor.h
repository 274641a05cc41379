// Tensor and ConstTensor: views of dense row-major numbers on one device. Buffer: the owner of such memory.
// Views are small values, passed by value or const reference; they never own anything.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <type_traits>

#include "base/check.h"
#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace gossamer {

template <typename T>
struct DTypeOf;
template <>
struct DTypeOf<float> : std::integral_constant<DType, DType::kF32> {};
template <>
struct DTypeOf<int32_t> : std::integral_constant<DType, DType::kI32> {};
template <>
struct DTypeOf<uint8_t> : std::integral_constant<DType, DType::kU8> {};

class ConstTensor {
 public:
  ConstTensor() = default;
  ConstTensor(const void* data, DType dtype, Shape shape)
      : data_(static_cast<const std::byte*>(data)), dtype_(dtype), shape_(shape) {}

  bool empty() const { return data_ == nullptr; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  std::size_t size_bytes() const {
    return static_cast<std::size_t>(shape_.num_elements()) * dtype_size(dtype_);
  }

  const std::byte* bytes() const { return data_; }
  // Typed access; float, int32_t, uint8_t and, for bf16 and f16 bits, uint16_t.
  template <typename T>
  const T* as() const {
    check_type<T>();
    return reinterpret_cast<const T*>(data_);
  }
  // Rows [begin, end) of the outermost dimension.
  ConstTensor rows(int64_t begin, int64_t end) const {
    return {row_address(begin, end), dtype_, row_shape(begin, end)};
  }

 protected:
  template <typename T>
  void check_type() const {
    if constexpr (std::is_same_v<T, uint16_t>) {
      GOSSAMER_CHECK(dtype_ == DType::kBf16 || dtype_ == DType::kF16);
    } else {
      GOSSAMER_CHECK(dtype_ == DTypeOf<T>::value);
    }
  }
  const std::byte* row_address(int64_t begin, int64_t end) const {
    GOSSAMER_CHECK(shape_.rank() >= 1 && 0 <= begin && begin <= end && end <= shape_[0]);
    if (shape_[0] == 0) return data_;
    return data_ + begin * (shape_.num_elements() / shape_[0]) * static_cast<int64_t>(dtype_size(dtype_));
  }
  Shape row_shape(int64_t begin, int64_t end) const {
    std::array<int64_t, Shape::kMaxRank> dims{};
    for (int axis = 0; axis < shape_.rank(); ++axis) dims[static_cast<std::size_t>(axis)] = shape_[axis];
    dims[0] = end - begin;
    return Shape(std::span<const int64_t>(dims.data(), static_cast<std::size_t>(shape_.rank())));
  }

  const std::byte* data_ = nullptr;
  DType dtype_ = DType::kF32;
  Shape shape_;
};

class Tensor : public ConstTensor {
 public:
  Tensor() = default;
  Tensor(void* data, DType dtype, Shape shape) : ConstTensor(data, dtype, shape) {}

  std::byte* bytes() const { return const_cast<std::byte*>(data_); }
  template <typename T>
  T* as() const {
    check_type<T>();
    return reinterpret_cast<T*>(bytes());
  }
  Tensor rows(int64_t begin, int64_t end) const {
    return {const_cast<std::byte*>(row_address(begin, end)), dtype_, row_shape(begin, end)};
  }
};

// Owns memory on one device; moved, never copied. Freed by whoever made it (the deleter).
class Buffer {
 public:
  using Deleter = std::function<void(void* data, std::size_t size)>;

  Buffer() = default;
  Buffer(void* data, std::size_t size, Deleter deleter)
      : data_(data), size_(size), deleter_(std::move(deleter)) {}
  ~Buffer() { reset(); }
  Buffer(Buffer&& other) noexcept { *this = std::move(other); }
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  void* data() const { return data_; }
  std::size_t size() const { return size_; }
  // A view of the whole buffer, or of its beginning.
  Tensor view(DType dtype, const Shape& shape) const;

  // Zeroed host memory, aligned to 4096 bytes (to 2 MiB, with huge pages where allowed, when that large).
  // Throws Error with the size when the system has no more.
  static Buffer allocate_host(std::size_t size);

 private:
  void reset();

  void* data_ = nullptr;
  std::size_t size_ = 0;
  Deleter deleter_;
};

}  // namespace gossamer
