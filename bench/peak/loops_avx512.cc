#include <immintrin.h>

#include "bench/peak/loops.h"

namespace gossamer::peak::avx512 {
namespace {

constexpr int kSums = 20;  // of 32 registers; two pipes times the longest latency, six, need twelve

void f32(int64_t rounds) {
  __m512 sums[kSums] = {};
  const __m512 x = _mm512_set1_ps(0.5F);  // sums stay at 1: never denormal, never infinite
  for (int64_t i = 0; i < rounds; ++i) {
    for (__m512& sum : sums) {
      sum = _mm512_fmadd_ps(sum, x, x);
      __asm__ volatile("" : "+v"(sum));
    }
  }
}

void bf16(int64_t rounds) {
  __m512 sums[kSums] = {};
  const auto x = (__m512bh)_mm512_set1_epi32(0x3f003f00);  // 0.5
  for (int64_t i = 0; i < rounds; ++i) {
    for (__m512& sum : sums) {
      sum = _mm512_dpbf16_ps(sum, x, x);
      __asm__ volatile("" : "+v"(sum));
    }
  }
}

void int8(int64_t rounds) {
  __m512i sums[kSums] = {};
  const __m512i x = _mm512_set1_epi8(1);
  for (int64_t i = 0; i < rounds; ++i) {
    for (__m512i& sum : sums) {
      sum = _mm512_dpbusd_epi32(sum, x, x);
      __asm__ volatile("" : "+v"(sum));
    }
  }
}

constexpr Loop kLoops[] = {
    {"vfmadd231ps zmm", Operand::kF32, kSums * 16 * 2, f32},
    {"vdpbf16ps zmm", Operand::kBf16, kSums * 32 * 2, bf16},
    {"vpdpbusd zmm", Operand::kInt8, kSums * 64 * 2, int8},
};

}  // namespace

LoopList loops() { return {kLoops, 3}; }

}  // namespace gossamer::peak::avx512
