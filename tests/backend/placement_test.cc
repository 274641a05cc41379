#include "backend/cpu/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.h"

namespace gossamer::cpu {
namespace {

using Cpus = std::vector<std::vector<int>>;

const std::vector<Core> kOneNode = {{.cpus = {0, 2}, .node = 0}, {.cpus = {1, 3}, .node = 0}};
const std::vector<Core> kTwoNodes = {
    {.cpus = {0}, .node = 0}, {.cpus = {1}, .node = 0}, {.cpus = {2}, .node = 5}, {.cpus = {3}, .node = 5}};

std::string refusal(const std::vector<Core>& cores, int num_threads, const PlacementOptions& options,
                    bool can_interleave) {
  try {
    choose_placement(cores, num_threads, options, can_interleave);
  } catch (const Error& error) {
    return error.what();
  }
  return "none";
}

TEST(Placement, LeavesAMachineOfOneNodeAlone) {
  const Placement placement = choose_placement(kOneNode, 2, {}, true);
  EXPECT_TRUE(placement.thread_cpus.empty());
  EXPECT_TRUE(placement.weight_nodes.empty());
  EXPECT_EQ(placement.description, "");
}

TEST(Placement, InterleavesOverSeveralNodesAndKeepsThreadsOnTheirs) {
  const Placement placement = choose_placement(kTwoNodes, 3, {}, true);
  EXPECT_EQ(placement.weight_nodes, (std::vector<int>{0, 5}));
  EXPECT_EQ(placement.thread_cpus, (Cpus{{0, 1}, {2, 3}, {0, 1}}));
  EXPECT_THAT(placement.description, testing::HasSubstr("nodes 0, 5"));
}

TEST(Placement, DoesNothingOnItsOwnWhereTheSystemRefuses) {
  const Placement placement = choose_placement(kTwoNodes, 4, {}, false);
  EXPECT_TRUE(placement.thread_cpus.empty());
  EXPECT_TRUE(placement.weight_nodes.empty());
  EXPECT_THAT(refusal(kTwoNodes, 4, {.numa = "interleave"}, false), testing::HasSubstr("SYS_NICE"));
}

TEST(Placement, DoesWhatItIsAskedFor) {
  EXPECT_TRUE(choose_placement(kTwoNodes, 4, {.numa = "off"}, true).thread_cpus.empty());
  EXPECT_EQ(choose_placement(kOneNode, 2, {.numa = "interleave"}, true).weight_nodes, (std::vector<int>{0}));
  EXPECT_EQ(choose_placement(kTwoNodes, 2, {.numa = "off", .pin = "node"}, true).thread_cpus,
            (Cpus{{0, 1}, {2, 3}}));
  // A core for each, the nodes in turn, with both hyperthreads of it.
  EXPECT_EQ(choose_placement(kTwoNodes, 4, {.pin = "core"}, true).thread_cpus, (Cpus{{0}, {2}, {1}, {3}}));
  EXPECT_EQ(choose_placement(kOneNode, 2, {.pin = "core"}, true).thread_cpus, (Cpus{{0, 2}, {1, 3}}));
}

TEST(Placement, RefusesMoreThreadsThanCores) {
  EXPECT_THAT(refusal(kOneNode, 3, {.pin = "core"}, true), testing::HasSubstr("at most 2 threads"));
}

}  // namespace
}  // namespace gossamer::cpu
