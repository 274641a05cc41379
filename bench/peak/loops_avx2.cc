// AVX2 has no bf16 product: bf16 activations are widened and multiplied as f32.
#include <immintrin.h>

#include "bench/peak/loops.h"

namespace gossamer::peak::avx2 {
namespace {

constexpr int kSums = 12;  // of 16 registers; two pipes times a latency of four or five need ten

void f32(int64_t rounds) {
  __m256 sums[kSums] = {};
  const __m256 x = _mm256_set1_ps(0.5F);  // sums stay at 1: never denormal, never infinite
  for (int64_t i = 0; i < rounds; ++i) {
    for (__m256& sum : sums) {
      sum = _mm256_fmadd_ps(sum, x, x);
      __asm__ volatile("" : "+x"(sum));
    }
  }
}

void int8(int64_t rounds) {
  __m256i sums[kSums] = {};
  __m256i x = _mm256_set1_epi8(1);
  const __m256i ones = _mm256_set1_epi16(1);
  for (int64_t i = 0; i < rounds; ++i) {
    for (__m256i& sum : sums) {
      __asm__ volatile("" : "+x"(x));  // or the product would be computed once
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(x, x), ones));
      __asm__ volatile("" : "+x"(sum));
    }
  }
}

constexpr Loop kLoops[] = {
    {"vfmadd231ps ymm", Operand::kF32, kSums * 8 * 2, f32},
    {"vpmaddubsw, vpmaddwd, vpaddd ymm", Operand::kInt8, kSums * 32 * 2, int8},
};

}  // namespace

LoopList loops() { return {kLoops, 2}; }

}  // namespace gossamer::peak::avx2
