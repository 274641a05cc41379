// The kernels for AVX-512 with BF16. See kernel_table.h for who calls them and for what may be included here.
#include <immintrin.h>

#include "backend/cpu/kernel_table.h"

namespace gossamer::cpu::avx512 {
namespace {

// Each needs those before it.
// clang-format off
#include "backend/cpu/vec_avx512.inl"
#include "backend/cpu/vec_common.inl"
#include "backend/cpu/math.inl"
#include "backend/cpu/elementwise.inl"
#include "backend/cpu/store_sum.inl"
#include "backend/cpu/integer_codes.inl"
#include "backend/cpu/linear_tiles.inl"
#include "backend/cpu/linear.inl"
#include "backend/cpu/linear_integer.inl"
#include "backend/cpu/quantize.inl"
#include "backend/cpu/linear_bf16.inl"
#include "backend/cpu/linear_bf16_codes.inl"
#include "backend/cpu/attention_products.inl"
#include "backend/cpu/attention.inl"
#include "backend/cpu/base_kernels.inl"
// clang-format on

constexpr KernelTable avx512_kernels() {
  KernelTable table = base_kernels("avx512");
  add_bf16_kernels(table);
  return table;
}
constexpr KernelTable kKernels = avx512_kernels();

}  // namespace

const KernelTable& kernels() { return kKernels; }

}  // namespace gossamer::cpu::avx512
