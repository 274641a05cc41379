// How much memory this machine has, for the memory plan and for `inspect`.
#pragma once

#include <cstddef>
#include <string>

namespace gossamer {

struct SystemMemory {
  std::size_t total = 0;      // bytes this process could ever have: physical memory, or its cgroup's limit
  std::size_t available = 0;  // bytes it could have now without swapping: page cache counts as available
};

SystemMemory read_system_memory();

// Highest resident memory of this process so far, in bytes, mapped files included.
std::size_t peak_resident_bytes();

// The same now.
std::size_t resident_bytes();

// "12.8 GiB", "310 MiB", "512 B".
std::string format_bytes(std::size_t bytes);

}  // namespace gossamer
