// The kernels for AArch64. See kernel_table.h for who calls them and for what may be included here.
#include <arm_neon.h>

#include "backend/cpu/kernel_table.h"

namespace gossamer::cpu::neon {
namespace {

// Each needs those before it.
// clang-format off
#include "backend/cpu/vec_neon.inl"
#include "backend/cpu/vec_common.inl"
#include "backend/cpu/math.inl"
#include "backend/cpu/elementwise.inl"
#include "backend/cpu/store_sum.inl"
#include "backend/cpu/integer_codes.inl"
#include "backend/cpu/linear_tiles.inl"
#include "backend/cpu/linear.inl"
#include "backend/cpu/linear_integer.inl"
#include "backend/cpu/quantize.inl"
#include "backend/cpu/attention_products.inl"
#include "backend/cpu/attention.inl"
#include "backend/cpu/base_kernels.inl"
// clang-format on

constexpr KernelTable kKernels = base_kernels("neon");

}  // namespace

const KernelTable& kernels() { return kKernels; }

}  // namespace gossamer::cpu::neon
