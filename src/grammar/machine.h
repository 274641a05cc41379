// Machine: walks a Grammar byte by byte, following every alternative that is still open. Used by Matcher with
// what was really said, and by GrammarMasks with what tokens would say.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "grammar/grammar.h"

namespace gossamer {

// A stack of calls, as an index into the machine's frames; equal stacks have equal ids.
using StackId = uint32_t;

// One alternative: a place in the grammar, where to go on when what was called is read, and what the text at
// this place must and may still have.
struct Config {
  NodeId node = 0;
  StackId stack = 0;
  TextLimits limits = {};

  auto operator<=>(const Config&) const = default;
};

// All alternatives after some bytes. Closed: epsilons, calls and returns are followed already, so that every
// config is at a node with edges.
struct Frontier {
  std::vector<Config> configs;  // sorted, without duplicates
  bool may_exit = false;        // all that the bottom of the stack asked for may have been read

  bool dead() const { return configs.empty() && !may_exit; }
  // Nothing may follow.
  bool finished() const { return configs.empty() && may_exit; }
  void clear() {
    configs.clear();
    may_exit = false;
  }
};

// For one thread. Frames are never given back: they are few, since equal stacks are one.
class Machine {
 public:
  // `grammar` must outlive this.
  explicit Machine(const Grammar& grammar);

  const Grammar& grammar() const { return grammar_; }

  // The bottom of a stack, as if `depth` calls were open below it.
  StackId bottom(uint32_t depth);
  uint32_t depth(StackId stack) const { return frames_[stack].depth; }
  bool is_bottom(StackId stack) const { return frames_[stack].then == kOutside; }

  // The beginning of the grammar.
  Frontier start();
  // Behind the innermost call of `stack`, which is no bottom.
  Frontier after_return(StackId stack);
  // Sets `to`, another object than `from`, to what follows after `byte`.
  void step(const Frontier& from, uint8_t byte, Frontier& to);
  // Adds `config` to a frontier; ends with settle().
  void add(const Config& config, Frontier& to);
  static void settle(Frontier& to);

  // Steps through `bytes`; an empty frontier as soon as they are not allowed.
  Frontier run(Frontier from, std::string_view bytes);

  // More alternatives than this were open at once: some were given up, and the frontiers since are not to be
  // trusted.
  bool overflowed() const { return overflowed_; }

 private:
  static constexpr NodeId kOutside = std::numeric_limits<NodeId>::max();
  static constexpr std::size_t kMaxConfigs = 4'000;

  struct Frame {
    NodeId then = kOutside;
    StackId parent = 0;
    uint32_t depth = 0;
  };
  StackId push(NodeId then, StackId parent);
  // Whether the nesting that is left suffices to get from `node` to the end of its callee. As this is asked
  // before every move, no frontier is a dead end.
  bool can_finish(NodeId node, uint32_t depth) const {
    return depth + grammar_.node(node).height <= grammar_.max_depth();
  }

  const Grammar& grammar_;
  std::vector<Frame> frames_;
  std::unordered_map<uint64_t, StackId> frame_ids_;  // by then and parent
  std::vector<StackId> bottoms_;                     // by depth; kNoStack where not made yet
  std::vector<Config> work_;
  bool overflowed_ = false;
};

// Whether `bytes` (with marks) are exactly what `grammar` describes. For tests and tools.
bool matches(const Grammar& grammar, std::string_view bytes);

}  // namespace gossamer
