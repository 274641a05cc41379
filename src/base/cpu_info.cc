#include "base/cpu_info.h"

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <map>
#include <sstream>
#include <system_error>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace gossamer {
namespace {

#if defined(__x86_64__)

struct Registers {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};

Registers cpuid(uint32_t leaf, uint32_t subleaf) {
  Registers r;
  __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx);
  return r;
}

constexpr bool bit(uint32_t word, int index) { return ((word >> index) & 1U) != 0; }

// Which register states the operating system saves and restores. Only valid when OSXSAVE is set.
uint64_t enabled_states() {
  uint32_t low = 0;
  uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}

// Linux hands out the 8 KiB of tile registers only on request, once per process.
bool request_tile_permission() {
#if defined(__linux__)
  constexpr int kArchReqXcompPerm = 0x1023;
  constexpr int kXfeatureTileData = 18;
  return ::syscall(SYS_arch_prctl, kArchReqXcompPerm, kXfeatureTileData) == 0;
#else
  return false;
#endif
}

#endif

std::string read_line(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// Whole processors of the control group's quota, rounded up; 0 when there is none.
int quota_cores() {
  // Version 2: "max 100000" or "200000 100000". A container sees its own group at the root.
  std::string group;
  std::ifstream membership("/proc/self/cgroup");
  for (std::string line; std::getline(membership, line);) {
    if (line.rfind("0::", 0) == 0) group = line.substr(3);
  }
  for (const std::string& directory : {"/sys/fs/cgroup" + group, std::string("/sys/fs/cgroup")}) {
    std::istringstream limit(read_line(directory + "/cpu.max"));
    int64_t quota = 0;
    int64_t period = 0;
    if (limit >> quota >> period && quota > 0 && period > 0) {
      return static_cast<int>((quota + period - 1) / period);
    }
  }
  // Version 1.
  std::istringstream quota_text(read_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"));
  std::istringstream period_text(read_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us"));
  int64_t quota = 0;
  int64_t period = 0;
  if (quota_text >> quota && period_text >> period && quota > 0 && period > 0) {
    return static_cast<int>((quota + period - 1) / period);
  }
  return 0;
}

}  // namespace

CpuFeatures detect_cpu_features() {
  CpuFeatures features;
#if defined(__x86_64__)
  const Registers leaf1 = cpuid(1, 0);
  const bool has_xgetbv = bit(leaf1.ecx, 27);
  if (!has_xgetbv) return features;
  const uint64_t states = enabled_states();
  const bool ymm = (states & 0x6) == 0x6;
  const bool zmm = (states & 0xe6) == 0xe6;
  const bool tiles = (states & 0x60000) == 0x60000;
  const Registers leaf7 = cpuid(7, 0);
  const Registers leaf7_1 = cpuid(7, 1);
  features.avx2 = ymm && bit(leaf1.ecx, 28) && bit(leaf1.ecx, 12) && bit(leaf1.ecx, 29) && bit(leaf7.ebx, 5);
  features.avx512 = features.avx2 && zmm && bit(leaf7.ebx, 16) && bit(leaf7.ebx, 17) && bit(leaf7.ebx, 30) &&
                    bit(leaf7.ebx, 31) && bit(leaf7.ecx, 11) && bit(leaf7_1.eax, 5);
  features.amx_bf16 =
      features.avx512 && tiles && bit(leaf7.edx, 22) && bit(leaf7.edx, 24) && request_tile_permission();
#elif defined(__aarch64__)
  features.neon = true;
#endif
  return features;
}

std::vector<Core> read_cores(const std::filesystem::path& folder, const std::vector<int>& cpus) {
  std::vector<Core> cores;
  std::map<std::string, std::size_t> known;  // the list of a core's hyperthreads names the core
  for (const int cpu : cpus) {
    const std::filesystem::path of_cpu = folder / ("cpu" + std::to_string(cpu));
    const std::string siblings = read_line(of_cpu / "topology" / "thread_siblings_list");
    const auto [core, is_new] = known.emplace(siblings.empty() ? of_cpu.string() : siblings, cores.size());
    if (!is_new) {
      cores[core->second].cpus.push_back(cpu);
      continue;
    }
    int node = 0;  // where the system knows of none
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(of_cpu, none)) {
      const std::string name = entry.path().filename().string();  // "node3"
      if (name.rfind("node", 0) == 0 && name.find_first_not_of("0123456789", 4) == std::string::npos &&
          name.size() > 4) {
        node = std::stoi(name.substr(4));
      }
    }
    cores.push_back({.cpus = {cpu}, .node = node});
  }
  return cores;
}

std::vector<Core> allowed_cores() {
  std::vector<int> cpus;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof(allowed), &allowed) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &allowed)) cpus.push_back(cpu);
    }
  }
  if (cpus.empty()) cpus.push_back(0);  // a machine with more CPUs than the mask has bits
  return read_cores("/sys/devices/system/cpu", cpus);
}

int num_physical_cores() {
  const auto num_cores = static_cast<int>(allowed_cores().size());
  const int quota = quota_cores();
  return quota > 0 ? std::min(num_cores, quota) : num_cores;
}

int threads_or_default(int num_threads) { return num_threads > 0 ? num_threads : num_physical_cores(); }

void pin_this_thread(const std::vector<int>& cpus) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  for (const int cpu : cpus) CPU_SET(cpu, &allowed);
  (void)::sched_setaffinity(0, sizeof(allowed), &allowed);
}

std::string cpu_model_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("model name", 0) == 0) {
      const std::size_t colon = line.find(": ");
      if (colon != std::string::npos) return line.substr(colon + 2);
    }
  }
  return "unknown";
}

}  // namespace gossamer
