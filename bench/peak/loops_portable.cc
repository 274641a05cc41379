// What every processor of this architecture has: vectors of 16 bytes, which SSE2 and NEON are.
#include "bench/peak/loops.h"

namespace gossamer::peak::portable {
namespace {

typedef float Floats __attribute__((vector_size(16)));

constexpr int kSums = 12;  // enough to hide the latency of an addition behind a multiplication's

void multiply_add(int64_t rounds) {
  Floats sums[kSums] = {};
  const Floats x = {0.5F, 0.5F, 0.5F, 0.5F};  // sums stay at 1: never denormal, never infinite
  for (int64_t i = 0; i < rounds; ++i) {
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

constexpr Loop kLoops[] = {{"16-byte multiply, add", Operand::kF32, kSums * 4 * 2, multiply_add}};

}  // namespace

LoopList loops() { return {kLoops, 1}; }

}  // namespace gossamer::peak::portable
