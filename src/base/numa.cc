#include "base/numa.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <limits>

#include "base/check.h"

namespace gossamer {
namespace {

constexpr std::size_t kBits = std::numeric_limits<unsigned long>::digits;
constexpr long kInterleave = 3;  // MPOL_INTERLEAVE of linux/mempolicy.h, part of the system's interface

}  // namespace

std::vector<unsigned long> node_mask(std::span<const int> nodes) {
  std::vector<unsigned long> mask;
  for (const int node : nodes) {
    GOSSAMER_CHECK_GE(node, 0);
    const auto bit = static_cast<std::size_t>(node);
    if (mask.size() <= bit / kBits) mask.resize(bit / kBits + 1, 0);
    mask[bit / kBits] |= 1UL << (bit % kBits);
  }
  return mask;
}

bool interleave_memory(void* begin, std::size_t size, std::span<const int> nodes) {
  const std::vector<unsigned long> mask = node_mask(nodes);
  // The system reads one bit less than it is told of.
  return ::syscall(SYS_mbind, begin, size, kInterleave, mask.data(), mask.size() * kBits + 1, 0UL) == 0;
}

}  // namespace gossamer
