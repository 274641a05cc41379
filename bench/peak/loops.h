// The loops whose speed is this machine's ceiling: one file per instruction set (loops_*.cc), each
// compiled with that set's flags. As in backend/cpu, these files include nothing that defines an inline
// function: a copy compiled for AVX-512 could replace the baseline's at link time and crash an older
// processor.
#pragma once

#include <cstdint>

namespace gossamer::peak {

enum class Operand : uint8_t { kF32, kBf16, kInt8 };

// Independent dot products on registers only.
struct Loop {
  const char* instruction;
  Operand operand;
  int64_t operations_per_round;  // a multiplication and an addition are two
  void (*run)(int64_t rounds);
};

struct LoopList {
  const Loop* loops;
  int64_t count;
  // Reads `size` bytes, a multiple of 256, from front to back and returns the sum of their 64-bit words.
  // nullptr: a weaker level's is as good. Without prefetches: the hardware's are better (Zen 5, 2026-11-21:
  // 35 GB/s with one thread, 25 with a software prefetch 1 KiB ahead; loads of 16 bytes 31).
  uint64_t (*sum_words)(const void* bytes, int64_t size);
};

namespace portable {
LoopList loops();
}
namespace avx2 {
LoopList loops();
}
namespace avx512 {
LoopList loops();
}
namespace amx {
LoopList loops();
}
namespace neon {
LoopList loops();
}

}  // namespace gossamer::peak
