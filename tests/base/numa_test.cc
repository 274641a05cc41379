// Cores and NUMA nodes: what the system says, and memory on nodes.
#include "base/numa.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/cpu_info.h"

namespace gossamer {
namespace {

namespace fs = std::filesystem;

bool operator==(const Core& a, const Core& b) { return a.cpus == b.cpus && a.node == b.node; }

// A folder like /sys/devices/system/cpu: eight CPUs, two hyperthreads a core, CPUs 2, 3, 6 and 7 on node 11.
class TwoNodes : public testing::Test {
 protected:
  TwoNodes() {
    fs::remove_all(folder_);
    for (int cpu = 0; cpu < 8; ++cpu) {
      const fs::path of_cpu = folder_ / ("cpu" + std::to_string(cpu));
      fs::create_directories(of_cpu / "topology");
      fs::create_directories(of_cpu / (cpu % 4 < 2 ? "node0" : "node11"));
      fs::create_directories(of_cpu / "node_of_something_else");
      std::ofstream(of_cpu / "topology" / "thread_siblings_list") << cpu % 4 << "," << cpu % 4 + 4 << "\n";
    }
  }
  ~TwoNodes() override { fs::remove_all(folder_); }

  fs::path folder_ = fs::temp_directory_path() / ("gossamer_cores_" + std::to_string(::getpid()));
};

TEST_F(TwoNodes, HyperthreadsAreOneCoreOfTheirNode) {
  const std::vector<Core> cores = read_cores(folder_, {0, 1, 2, 3, 4, 5, 6, 7});
  ASSERT_EQ(cores.size(), 4U);
  EXPECT_TRUE(cores[0] == (Core{.cpus = {0, 4}, .node = 0}));
  EXPECT_TRUE(cores[3] == (Core{.cpus = {3, 7}, .node = 11}));
}

TEST_F(TwoNodes, WhatTheProcessMayNotUseIsLeftOut) {
  const std::vector<Core> cores = read_cores(folder_, {2, 5});
  ASSERT_EQ(cores.size(), 2U);
  EXPECT_TRUE(cores[0] == (Core{.cpus = {2}, .node = 11}));
  EXPECT_TRUE(cores[1] == (Core{.cpus = {5}, .node = 0}));
}

TEST(Cores, AreOnNodeZeroEachForItselfWhereTheSystemSaysNothing) {
  const std::vector<Core> cores = read_cores("/no/such/folder", {0, 3});
  ASSERT_EQ(cores.size(), 2U);
  EXPECT_TRUE(cores[1] == (Core{.cpus = {3}, .node = 0}));
}

TEST(Cores, OfThisMachineAreThere) {
  ASSERT_FALSE(allowed_cores().empty());
  for (const Core& core : allowed_cores()) EXPECT_FALSE(core.cpus.empty());
  EXPECT_LE(num_physical_cores(), static_cast<int>(allowed_cores().size()));
}

TEST(Numa, TheMaskHasABitForEveryNode) {
  EXPECT_EQ(node_mask(std::vector<int>{0}), (std::vector<unsigned long>{1}));
  EXPECT_EQ(node_mask(std::vector<int>{3, 0, 3}), (std::vector<unsigned long>{9}));
  EXPECT_EQ(node_mask(std::vector<int>{1, 64}), (std::vector<unsigned long>{2, 1}));
}

TEST(Numa, MemoryCanBeInterleavedOrTheSystemSaysNo) {
  constexpr std::size_t kSize = 1 << 20;
  void* memory = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const std::vector<int> nodes = {allowed_cores().front().node};
  if (!interleave_memory(memory, kSize, nodes)) {
    // EINVAL: the memory of that node is not ours.
    EXPECT_TRUE(errno == EPERM || errno == ENOSYS || errno == EINVAL) << std::strerror(errno);
  }
  std::memset(memory, 1, kSize);  // pages can be had either way
  ::munmap(memory, kSize);
}

}  // namespace
}  // namespace gossamer
