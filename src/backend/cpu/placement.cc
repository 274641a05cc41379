#include "backend/cpu/placement.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/error.h"
#include "base/numa.h"
#include "tensor/tensor.h"

namespace gossamer::cpu {
namespace {

// The first core of every node, then the second, ...: threads in this order use all nodes' memory alike.
std::vector<Core> in_turn(const std::vector<Core>& cores) {
  std::map<int, int> num_of_node;
  std::map<std::pair<int, int>, const Core*> order;  // by place within the node, node
  for (const Core& core : cores) order[{num_of_node[core.node]++, core.node}] = &core;
  std::vector<Core> turn;
  turn.reserve(cores.size());
  for (const auto& [place, core] : order) turn.push_back(*core);
  return turn;
}

bool system_interleaves(const std::vector<Core>& cores) {
  std::vector<int> nodes;
  nodes.reserve(cores.size());
  for (const Core& core : cores) nodes.push_back(core.node);
  const Buffer probe = Buffer::allocate_host(1);
  return interleave_memory(probe.data(), probe.size(), nodes);
}

}  // namespace

Placement choose_placement(const std::vector<Core>& cores, int num_threads, const PlacementOptions& options,
                           bool can_interleave) {
  Placement placement;
  std::map<int, std::vector<int>> node_cpus;
  for (const Core& core : cores) {
    std::vector<int>& cpus = node_cpus[core.node];
    cpus.insert(cpus.end(), core.cpus.begin(), core.cpus.end());
  }
  const bool replicate = options.numa == "replicate";
  if ((options.numa == "interleave" || replicate) && !can_interleave) {
    throw Error(
        "--numa {}: the system refuses to place memory (mbind); a container needs the capability "
        "SYS_NICE for it. --numa off leaves memory where it is touched first",
        options.numa);
  }
  if (options.numa == "interleave" || replicate ||
      (options.numa == "auto" && node_cpus.size() > 1 && can_interleave)) {
    for (const auto& [node, cpus] : node_cpus) placement.weight_nodes.push_back(node);
    placement.description = fmt::format(", weights on nodes {} {}", fmt::join(placement.weight_nodes, ", "),
                                        replicate ? "each" : "in turn");
  }

  std::string_view pin = options.pin;
  if (pin == "auto") pin = placement.weight_nodes.size() > 1 ? "node" : "off";
  if (pin == "off") {
    if (replicate && placement.weight_nodes.size() > 1) {
      throw Error("--numa replicate: threads must keep to their nodes; leave --pin off away");
    }
    return placement;
  }
  if (pin == "core" && num_threads > static_cast<int>(cores.size())) {
    throw Error("--pin core: expected at most {} threads, a core for each, found --threads {}", cores.size(),
                num_threads);
  }
  const std::vector<Core> turn = in_turn(cores);
  for (int thread = 0; thread < num_threads; ++thread) {
    const Core& core = turn[static_cast<std::size_t>(thread) % turn.size()];
    placement.thread_cpus.push_back(pin == "core" ? core.cpus : node_cpus.at(core.node));
    if (replicate && placement.weight_nodes.size() > 1) {
      const auto node = std::find(placement.weight_nodes.begin(), placement.weight_nodes.end(), core.node);
      placement.thread_copies.push_back(static_cast<int>(node - placement.weight_nodes.begin()));
    }
  }
  placement.description += fmt::format(", threads pinned to their {}", pin);
  return placement;
}

Placement choose_placement(int num_threads, const PlacementOptions& options) {
  const std::vector<Core> cores = allowed_cores();
  return choose_placement(cores, num_threads, options, system_interleaves(cores));
}

}  // namespace gossamer::cpu
