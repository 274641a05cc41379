// What the processor offers this process: instruction sets (with the operating system's support for their
// registers) and physical cores. Called by the CPU backend and by `gossamer info`.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace gossamer {

struct CpuFeatures {
  bool avx2 = false;      // AVX2, FMA and F16C
  bool avx512 = false;    // F, BW, DQ, VL, VNNI and BF16
  bool amx_bf16 = false;  // tiles and BF16 products; the system lets this process use them
  bool neon = false;      // every AArch64 processor
};

// Asks the processor and, for AMX on Linux, requests the permission that its registers need.
CpuFeatures detect_cpu_features();

// A physical core as far as this process may use it.
struct Core {
  std::vector<int> cpus;  // its hyperthreads, ascending
  int node = 0;           // its NUMA node
};

// The cores of this process's affinity mask, which a container's cpuset is part of, in the order of their
// first hyperthread. At least one.
std::vector<Core> allowed_cores();
// The same for other CPUs and another folder like /sys/devices/system/cpu: for tests.
std::vector<Core> read_cores(const std::filesystem::path& folder, const std::vector<int>& cpus);

// How many of them, but no more than the control group's quota. At least 1.
int num_physical_cores();
// `num_threads`, or for 0 as many as there are of them.
int threads_or_default(int num_threads);

// Lets the calling thread run on these CPUs only. A wish: a CPU that was taken away since only costs speed.
void pin_this_thread(const std::vector<int>& cpus);

// "AMD EPYC 9755 128-Core Processor", or "unknown".
std::string cpu_model_name();

}  // namespace gossamer
