// Element types of tensors, as checkpoints name them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace gossamer {

enum class DType : uint8_t { kF64, kF32, kF16, kBf16, kI64, kI32, kI16, kI8, kU8, kBool };

// Bytes of one element.
std::size_t dtype_size(DType dtype);

// The safetensors name: "F32", "BF16", ... ; parse_dtype is the reverse and knows nothing else.
std::string_view dtype_name(DType dtype);
std::optional<DType> parse_dtype(std::string_view name);

}  // namespace gossamer
