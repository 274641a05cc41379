#include <immintrin.h>

#include "bench/peak/loops.h"

namespace gossamer::peak::avx512 {
namespace {

// The loops over sums are unrolled, or the sums would not stay in registers.
constexpr int kSums = 20;  // of 32 registers; two pipes times the longest latency, six, need twelve

void f32(int64_t rounds) {
  __m512 sums[kSums] = {};
  const __m512 x = _mm512_set1_ps(0.5F);  // sums stay at 1: never denormal, never infinite
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 32
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
#pragma GCC unroll 32
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
#pragma GCC unroll 32
    for (__m512i& sum : sums) {
      sum = _mm512_dpbusd_epi32(sum, x, x);
      __asm__ volatile("" : "+v"(sum));
    }
  }
}

uint64_t sum_words(const void* bytes, int64_t size) {
  const auto* words = static_cast<const uint8_t*>(bytes);
  __m512i sums[4] = {};
  for (int64_t i = 0; i < size; i += 256) {
#pragma GCC unroll 4
    for (int64_t j = 0; j < 4; ++j)
      sums[j] = _mm512_add_epi64(sums[j], _mm512_loadu_si512(words + i + 64 * j));
  }
  const __m512i sum =
      _mm512_add_epi64(_mm512_add_epi64(sums[0], sums[1]), _mm512_add_epi64(sums[2], sums[3]));
  uint64_t parts[8];
  _mm512_storeu_si512(parts, sum);
  uint64_t total = 0;
  for (const uint64_t part : parts) total += part;
  return total;
}

constexpr Loop kLoops[] = {
    {"vfmadd231ps zmm", Operand::kF32, kSums * 16 * 2, f32},
    {"vdpbf16ps zmm", Operand::kBf16, kSums * 32 * 2, bf16},
    {"vpdpbusd zmm", Operand::kInt8, kSums * 64 * 2, int8},
};

}  // namespace

LoopList loops() { return {kLoops, 3, sum_words}; }

}  // namespace gossamer::peak::avx512
