#include "backend/cpu/placement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "backend/cpu/cpu_backend.h"
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

TEST(Placement, GivesEveryNodeItsWeights) {
  const Placement placement = choose_placement(kTwoNodes, 3, {.numa = "replicate"}, true);
  EXPECT_EQ(placement.weight_nodes, (std::vector<int>{0, 5}));
  EXPECT_EQ(placement.thread_cpus, (Cpus{{0, 1}, {2, 3}, {0, 1}}));
  EXPECT_EQ(placement.thread_copies, (std::vector<int>{0, 1, 0}));
  // One node needs one copy.
  EXPECT_TRUE(choose_placement(kOneNode, 2, {.numa = "replicate"}, true).thread_copies.empty());
  EXPECT_THAT(refusal(kTwoNodes, 2, {.numa = "replicate", .pin = "off"}, true),
              testing::HasSubstr("keep to their nodes"));
  EXPECT_THAT(refusal(kTwoNodes, 2, {.numa = "replicate"}, false), testing::HasSubstr("SYS_NICE"));
}

// Node 0 twice, so that it runs anywhere: the second thread reads the second copy.
TEST(Placement, ProductsOfCopiesAreThoseOfOneWeight) {
  constexpr int64_t kRows = 1000;
  constexpr int64_t kCols = 96;
  std::vector<float> numbers(kRows * kCols);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i % 37) - 18.0F;
  const WeightSource source{
      .name = "w",
      .format = Format::kF32,
      .rows = kRows,
      .cols = kCols,
      .parts = {{.rows = kRows, .codes = {numbers.data(), DType::kF32, Shape{kRows, kCols}}, .scales = {}}}};
  const auto products = [&](Placement placement, int copies) {
    CpuBackend backend(portable::kernels(), 2, std::move(placement));
    backend.reserve({.max_tokens = 3, .max_sequences = 1, .max_positions = 3, .max_cols = kCols});
    EXPECT_EQ(backend.weight_copies(), copies);
    const auto weight = backend.prepare(source, Format::kInt4, DType::kF32);
    EXPECT_EQ(weight->size_bytes(), backend.prepared_bytes(Format::kInt4, 1, kRows, kCols));
    std::vector<float> out(3 * kRows);
    backend.linear({numbers.data(), DType::kF32, Shape{3, kCols}}, *weight, {},
                   {out.data(), DType::kF32, Shape{3, kRows}});
    return out;
  };
  const std::vector<float> expected = products({}, 1);
  EXPECT_NE(expected[0], expected[1]);
  EXPECT_EQ(
      products({.thread_cpus = {}, .weight_nodes = {0, 0}, .thread_copies = {0, 1}, .description = ""}, 2),
      expected);
}

TEST(Placement, RefusesMoreThreadsThanCores) {
  EXPECT_THAT(refusal(kOneNode, 3, {.pin = "core"}, true), testing::HasSubstr("at most 2 threads"));
}

}  // namespace
}  // namespace gossamer::cpu
