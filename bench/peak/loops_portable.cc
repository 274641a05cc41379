// What every processor of this architecture has: vectors of 16 bytes, which SSE2 and NEON are.
#include "bench/peak/loops.h"

namespace gossamer::peak::portable {
namespace {

typedef float Floats __attribute__((vector_size(16)));
typedef uint64_t Words __attribute__((vector_size(16), may_alias));

// The loops over sums are unrolled, or the sums would not stay in registers.
constexpr int kSums = 12;  // enough to hide the latency of an addition behind a multiplication's

void multiply_add(int64_t rounds) {
  Floats sums[kSums] = {};
  const Floats x = {0.5F, 0.5F, 0.5F, 0.5F};  // sums stay at 1: never denormal, never infinite
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 32
    for (Floats& sum : sums) {
      sum = sum * x + x;
#if defined(__x86_64__)
      __asm__ volatile("" : "+x"(sum));
#elif defined(__aarch64__)
      __asm__ volatile("" : "+w"(sum));
#endif
    }
  }
}

uint64_t sum_words(const void* bytes, int64_t size) {
  const auto* words = static_cast<const Words*>(bytes);
  Words sums[4] = {};
  for (int64_t i = 0; i < size / 16; i += 16) {
    for (int64_t j = 0; j < 16; ++j) sums[j & 3] += words[i + j];
  }
  const Words sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  return sum[0] + sum[1];
}

constexpr Loop kLoops[] = {{"16-byte multiply, add", Operand::kF32, kSums * 4 * 2, multiply_add}};

}  // namespace

LoopList loops() { return {kLoops, 1, sum_words}; }

}  // namespace gossamer::peak::portable
