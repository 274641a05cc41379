// What the processor offers this process: instruction sets (with the operating system's support for their
// registers) and physical cores. Called by the CPU backend and by `gossamer info`.
#pragma once

#include <string>

namespace gossamer {

struct CpuFeatures {
  bool avx2 = false;      // AVX2, FMA and F16C
  bool avx512 = false;    // F, BW, DQ, VL, VNNI and BF16
  bool amx_bf16 = false;  // tiles and BF16 products; the system lets this process use them
  bool neon = false;      // every AArch64 processor
};

// Asks the processor and, for AMX on Linux, requests the permission that its registers need.
CpuFeatures detect_cpu_features();

// Physical cores that this process may use: its affinity mask, hyperthreads of one core counted once, and
// no more than its control group's quota. At least 1.
int num_physical_cores();

// "AMD EPYC 9755 128-Core Processor", or "unknown".
std::string cpu_model_name();

}  // namespace gossamer
