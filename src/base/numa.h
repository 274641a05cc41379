// Memory on machines with several NUMA nodes. Called by the CPU backend for its weights.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace gossamer {

// The bit mask of these nodes, as the system call takes it.
std::vector<unsigned long> node_mask(std::span<const int> nodes);

// Pages of [begin, begin + size) that are touched from here on come from these nodes in turn. `begin` is on a
// page boundary. False, with errno set, when the system refuses (containers often do); memory then lies where
// it is touched first.
bool interleave_memory(void* begin, std::size_t size, std::span<const int> nodes);

}  // namespace gossamer
