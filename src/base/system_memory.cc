#include "base/system_memory.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <optional>

namespace gossamer {
namespace {

// A line "Key:   123 kB" of a file under /proc, in bytes.
std::optional<std::size_t> read_kb_line(const char* path, const std::string& key) {
  std::ifstream file(path);
  std::size_t kilobytes = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(key + ":", 0) != 0) continue;
    kilobytes = std::strtoull(line.c_str() + key.size() + 1, nullptr, 10);
    return kilobytes * 1024;
  }
  return std::nullopt;
}

// A file that holds one number, or "max".
std::optional<std::size_t> read_number(const char* path) {
  std::ifstream file(path);
  std::size_t number = 0;
  if (file >> number) return number;
  return std::nullopt;
}

}  // namespace

SystemMemory read_system_memory() {
  SystemMemory memory;
  memory.total = read_kb_line("/proc/meminfo", "MemTotal").value_or(0);
  memory.available = read_kb_line("/proc/meminfo", "MemAvailable").value_or(memory.total);
  // cgroup version 2, then version 1. A group's page cache counts as used, though it can be taken back:
  // inactive_file.
  const auto limit = read_number("/sys/fs/cgroup/memory.max");
  const auto limit_v1 = limit ? limit : read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes");
  if (limit_v1 && *limit_v1 < memory.total) {
    memory.total = *limit_v1;
    const auto used = limit ? read_number("/sys/fs/cgroup/memory.current")
                            : read_number("/sys/fs/cgroup/memory/memory.usage_in_bytes");
    std::size_t reclaimable = 0;
    std::ifstream stat(limit ? "/sys/fs/cgroup/memory.stat" : "/sys/fs/cgroup/memory/memory.stat");
    std::string key;
    for (std::size_t value = 0; stat >> key >> value;) {
      if (key == "inactive_file" || key == "active_file") reclaimable += value;
    }
    const std::size_t held = used.value_or(0) - std::min(used.value_or(0), reclaimable);
    memory.available = std::min(memory.available, memory.total - std::min(memory.total, held));
  }
  return memory;
}

std::size_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
}

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t all_pages = 0;
  std::size_t pages = 0;
  statm >> all_pages >> pages;
  return pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

std::string format_bytes(std::size_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024.0 && unit + 1 < kUnits.size()) {
    value /= 1024.0;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes)
                   : fmt::format("{:.{}f} {}", value, value < 100.0 ? 1 : 0, kUnits[unit]);
}

}  // namespace gossamer
