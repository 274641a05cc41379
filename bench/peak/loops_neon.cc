// Baseline Arm: neither the bf16 nor the int8 dot product is part of it; bf16 is widened to f32.
#include <arm_neon.h>

#include "bench/peak/loops.h"

namespace gossamer::peak::neon {
namespace {

// The loops over sums are unrolled, or the sums would not stay in registers.
constexpr int kSums = 16;

void f32(int64_t rounds) {
  float32x4_t sums[kSums] = {};
  const float32x4_t x = vdupq_n_f32(0.5F);  // sums stay at 1: never denormal, never infinite
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 32
    for (float32x4_t& sum : sums) {
      sum = vfmaq_f32(x, sum, x);
      __asm__ volatile("" : "+w"(sum));
    }
  }
}

constexpr Loop kLoops[] = {{"fmla 4s", Operand::kF32, kSums * 4 * 2, f32}};

}  // namespace

LoopList loops() { return {kLoops, 1, nullptr}; }

}  // namespace gossamer::peak::neon
