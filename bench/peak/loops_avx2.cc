// AVX2 has no bf16 product: bf16 activations are widened and multiplied as f32.
#include <immintrin.h>

#include "bench/peak/loops.h"

namespace gossamer::peak::avx2 {
namespace {

// The loops over sums are unrolled, or the sums would not stay in registers.
constexpr int kSums = 12;  // of 16 registers; two pipes times a latency of four or five need ten

void f32(int64_t rounds) {
  __m256 sums[kSums] = {};
  const __m256 x = _mm256_set1_ps(0.5F);  // sums stay at 1: never denormal, never infinite
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 32
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
#pragma GCC unroll 32
    for (__m256i& sum : sums) {
      __asm__ volatile("" : "+x"(x));  // or the product would be computed once
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(x, x), ones));
      __asm__ volatile("" : "+x"(sum));
    }
  }
}

uint64_t sum_words(const void* bytes, int64_t size) {
  const auto* words = static_cast<const __m256i*>(bytes);
  __m256i sums[4] = {};
  for (int64_t i = 0; i < size / 32; i += 4) {
#pragma GCC unroll 4
    for (int64_t j = 0; j < 4; ++j) sums[j] = _mm256_add_epi64(sums[j], _mm256_loadu_si256(words + i + j));
  }
  const __m256i sum =
      _mm256_add_epi64(_mm256_add_epi64(sums[0], sums[1]), _mm256_add_epi64(sums[2], sums[3]));
  uint64_t parts[4];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(parts), sum);
  return parts[0] + parts[1] + parts[2] + parts[3];
}

constexpr Loop kLoops[] = {
    {"vfmadd231ps ymm", Operand::kF32, kSums * 8 * 2, f32},
    {"vpmaddubsw, vpmaddwd, vpaddd ymm", Operand::kInt8, kSums * 32 * 2, int8},
};

}  // namespace

LoopList loops() { return {kLoops, 2, sum_words}; }

}  // namespace gossamer::peak::avx2
