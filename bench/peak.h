// The arithmetic peak of this machine's instruction sets: independent operations on registers, on all threads
// at once. For kernel_bench's ratios. x86-64 only; elsewhere there are none and the ratios stay 0.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/cpu_info.h"
#include "base/thread_pool.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace gossamer {

struct Peak {
  std::string level;  // the first level that has it
  std::string name;
  bool bf16;  // takes bf16 activations
  double flops;
};

namespace peak {

constexpr int64_t kRounds = 200000;

#if defined(__x86_64__)

__attribute__((target("avx2,fma"))) inline double avx2_fma() {
  __m256 sums[12] = {};
  const __m256 x = _mm256_set1_ps(0.5F);
  for (int64_t i = 0; i < kRounds; ++i) {
    for (__m256& sum : sums) {
      sum = _mm256_fmadd_ps(sum, x, x);
      __asm__ volatile("" : "+x"(sum));
    }
  }
  return 12.0 * 16 * kRounds;
}

__attribute__((target("avx512f"))) inline double avx512_fma() {
  __m512 sums[12] = {};
  const __m512 x = _mm512_set1_ps(0.5F);
  for (int64_t i = 0; i < kRounds; ++i) {
    for (__m512& sum : sums) {
      sum = _mm512_fmadd_ps(sum, x, x);
      __asm__ volatile("" : "+v"(sum));
    }
  }
  return 12.0 * 32 * kRounds;
}

__attribute__((target("avx512f,avx512bf16"))) inline double avx512_bf16() {
  __m512 sums[12] = {};
  const auto x = (__m512bh)_mm512_set1_epi32(0x3f003f00);
  for (int64_t i = 0; i < kRounds / 4; ++i) {
    for (__m512& sum : sums) {
      sum = _mm512_dpbf16_ps(sum, x, x);
      __asm__ volatile("" : "+v"(sum));
    }
  }
  return 12.0 * 64 * (kRounds / 4);
}

__attribute__((target("amx-tile,amx-bf16"))) inline double amx_bf16() {
  alignas(64) uint8_t config[64] = {1};
  for (int i = 0; i < 8; ++i) {
    config[16 + 2 * i] = 64;
    config[48 + i] = 16;
  }
  __asm__ volatile("" ::: "memory");  // the intrinsic does not say that it reads all of it
  _tile_loadconfig(config);
  for (int64_t i = 0; i < kRounds / 40; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
  return 4.0 * 16384 * (kRounds / 40);
}

#endif

template <typename Loop>
double measure(ThreadPool& pool, Loop loop) {
  double best = 0.0;
  for (int repeat = 0; repeat < 20; ++repeat) {
    std::vector<double> flops(static_cast<std::size_t>(pool.num_threads()) * 4);
    const auto start = std::chrono::steady_clock::now();
    pool.parallel_for(static_cast<int64_t>(flops.size()),
                      [&](int64_t task, int) { flops[static_cast<std::size_t>(task)] = loop(); });
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    double total = 0.0;
    for (const double f : flops) total += f;
    best = std::max(best, total / seconds);
  }
  return best;
}

}  // namespace peak

inline std::vector<Peak> measure_peaks(ThreadPool& pool) {
  std::vector<Peak> peaks;
#if defined(__x86_64__)
  const CpuFeatures features = detect_cpu_features();
  if (features.avx2) peaks.push_back({"avx2", "avx2 fma", false, peak::measure(pool, peak::avx2_fma)});
  if (features.avx512) {
    peaks.push_back({"avx512", "avx512 fma", false, peak::measure(pool, peak::avx512_fma)});
    peaks.push_back({"avx512", "vdpbf16ps", true, peak::measure(pool, peak::avx512_bf16)});
  }
  if (features.amx_bf16) {
    peaks.push_back({"amx", "avx512 fma", false, peak::measure(pool, peak::avx512_fma)});
    peaks.push_back({"amx", "tdpbf16ps", true, peak::measure(pool, peak::amx_bf16)});
  }
#else
  (void)pool;
#endif
  return peaks;
}

}  // namespace gossamer
