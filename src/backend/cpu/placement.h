// Placement: on which cores the threads of the pool run, and on which NUMA nodes the weights lie. Chosen
// once, when the backend is created.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/cpu_info.h"

namespace gossamer::cpu {

struct PlacementOptions {
  // auto: as interleave where the allowed cores belong to several nodes and the system lets us; interleave:
  // the weights' pages lie on all those nodes in turn; replicate: every node has all weights, and its threads
  // read those; off: where they are touched first.
  std::string_view numa = "auto";
  // auto: as node where weights are interleaved or replicated, else off; node: each thread stays on its node;
  // core: on a core of its own; off: threads run where the system puts them.
  std::string_view pin = "auto";
};

struct Placement {
  std::vector<std::vector<int>> thread_cpus;  // [num_threads] where each may run; empty: anywhere
  std::vector<int> weight_nodes;              // empty: where first touched
  std::vector<int> thread_copies;  // [num_threads] whose copy of the weights each reads, an index into
                                   // weight_nodes; empty: there is one, on all of them
  std::string description;         // for people
};

// `can_interleave`: the system takes interleave_memory(). Throws Error when what is asked for cannot be.
Placement choose_placement(const std::vector<Core>& cores, int num_threads, const PlacementOptions& options,
                           bool can_interleave);

// The same for this machine.
Placement choose_placement(int num_threads, const PlacementOptions& options);

}  // namespace gossamer::cpu
