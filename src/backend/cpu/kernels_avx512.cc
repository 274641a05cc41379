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
#include "backend/cpu/linear.inl"
#include "backend/cpu/linear_bf16.inl"
#include "backend/cpu/attention.inl"
// clang-format on

constexpr KernelTable kKernels = {
    .level = "avx512",
    .linear_f32 = {linear_f32<F32Panels>, linear_f32<Bf16Panels>, linear_f32<F16Panels>,
                   linear_f32<Mxfp4Panels>},
    .linear_bf16 = {nullptr, linear_bf16<Bf16PairPanels>, nullptr, linear_bf16<Mxfp4PairPanels>},
    .linear_bf16_name = "vdpbf16ps",
    .attention = attention,
    .layer_norm = layer_norm,
    .rms_norm = rms_norm,
    .gelu_erf = gelu_erf,
    .gelu_tanh = gelu_tanh,
    .swiglu = swiglu,
};

}  // namespace

const KernelTable& kernels() { return kKernels; }

}  // namespace gossamer::cpu::avx512
