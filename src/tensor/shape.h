// Extents of a tensor, outermost first. At most kMaxRank dimensions, kept inline.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <ostream>
#include <span>
#include <string>

#include "base/check.h"

namespace gossamer {

class Shape {
 public:
  static constexpr int kMaxRank = 8;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims) : Shape(std::span<const int64_t>(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const int64_t> dims) {
    GOSSAMER_CHECK_LE(dims.size(), static_cast<std::size_t>(kMaxRank));
    for (const int64_t dim : dims) dims_[static_cast<std::size_t>(rank_++)] = dim;
  }

  int rank() const { return rank_; }
  int64_t operator[](int axis) const {
    GOSSAMER_CHECK(axis >= 0 && axis < rank_);
    return dims_[static_cast<std::size_t>(axis)];
  }
  std::span<const int64_t> dims() const { return {dims_.data(), static_cast<std::size_t>(rank_)}; }

  // Product of all extents; 1 for a scalar. The caller has made sure that it fits.
  int64_t num_elements() const {
    int64_t product = 1;
    for (const int64_t dim : dims()) product *= dim;
    return product;
  }
  // All extents but the innermost, multiplied; a vector counts as one row.
  int64_t num_rows() const { return rank_ == 0 || row_size() == 0 ? 0 : num_elements() / row_size(); }
  int64_t row_size() const { return rank_ == 0 ? 0 : dims_[static_cast<std::size_t>(rank_ - 1)]; }

  bool operator==(const Shape& other) const = default;

  std::string to_string() const;  // "[32, 5760, 90, 16]"

 private:
  std::array<int64_t, kMaxRank> dims_{};  // zero beyond rank_, so that == may compare them all
  int rank_ = 0;
};

inline std::ostream& operator<<(std::ostream& stream, const Shape& shape) {
  return stream << shape.to_string();
}

}  // namespace gossamer
