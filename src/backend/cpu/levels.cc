#include "backend/cpu/levels.h"

#include <fmt/ranges.h>

#include "base/cpu_info.h"
#include "base/error.h"

namespace gossamer::cpu {
namespace {

struct Level {
  std::string_view name;
  bool available;
  const KernelTable& (*kernels)();
};

std::vector<Level> levels() {
  const CpuFeatures features = detect_cpu_features();
  return {
    {"portable", true, portable::kernels},
#if defined(__x86_64__)
        {"avx2", features.avx2, avx2::kernels}, {"avx512", features.avx512, avx512::kernels},
        {"amx", features.amx_bf16, amx::kernels},
#elif defined(__aarch64__)
        {"neon", features.neon, neon::kernels},
#endif
  };
}

}  // namespace

std::vector<std::string> available_levels() {
  std::vector<std::string> names;
  for (const Level& level : levels()) {
    if (level.available) names.emplace_back(level.name);
  }
  return names;
}

const KernelTable& choose_kernels(std::string_view name) {
  const KernelTable* best = nullptr;
  for (const Level& level : levels()) {
    if (!level.available) continue;
    if (level.name == name) return level.kernels();
    best = &level.kernels();
  }
  if (name.empty()) return *best;
  throw Error("this processor has no instruction set \"{}\"; it has {}", name,
              fmt::join(available_levels(), ", "));
}

}  // namespace gossamer::cpu
