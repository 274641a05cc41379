#include "grammar/machine.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace gossamer {
namespace {

constexpr StackId kNoStack = std::numeric_limits<StackId>::max();

}  // namespace

Machine::Machine(const Grammar& grammar) : grammar_(grammar) {}

StackId Machine::bottom(uint32_t depth) {
  if (bottoms_.size() <= depth) bottoms_.resize(depth + 1, kNoStack);
  if (bottoms_[depth] == kNoStack) {
    bottoms_[depth] = static_cast<StackId>(frames_.size());
    frames_.push_back({.then = kOutside, .parent = kNoStack, .depth = depth});
  }
  return bottoms_[depth];
}

StackId Machine::push(NodeId then, StackId parent) {
  const uint64_t key = uint64_t{then} << 32 | parent;
  const auto [it, added] = frame_ids_.try_emplace(key, static_cast<StackId>(frames_.size()));
  if (added) frames_.push_back({.then = then, .parent = parent, .depth = frames_[parent].depth + 1});
  return it->second;
}

Frontier Machine::start() {
  Frontier frontier;
  add({.node = grammar_.root(), .stack = bottom(0)}, frontier);
  settle(frontier);
  return frontier;
}

Frontier Machine::after_return(StackId stack) {
  GOSSAMER_CHECK(!is_bottom(stack));
  Frontier frontier;
  add({.node = frames_[stack].then, .stack = frames_[stack].parent}, frontier);
  settle(frontier);
  return frontier;
}

void Machine::add(const Config& config, Frontier& to) {
  work_.assign(1, config);
  std::size_t followed = 0;
  while (!work_.empty()) {
    const Config at = work_.back();
    work_.pop_back();
    if (++followed > 4 * kMaxConfigs || to.configs.size() > kMaxConfigs) {
      overflowed_ = true;
      return;
    }
    const Grammar::Node& node = grammar_.node(at.node);
    if (!node.edges.empty()) to.configs.push_back(at);
    const uint32_t depth = frames_[at.stack].depth;
    for (const NodeId next : node.epsilons) {
      if (can_finish(next, depth)) work_.push_back({next, at.stack, at.limits});
    }
    for (const GrammarCall& call : node.calls) {
      if (!can_finish(call.callee, depth + 1) || !can_finish(call.then, depth)) continue;
      work_.push_back({call.callee, push(call.then, at.stack), call.limits});
    }
    if (!node.accepts || at.limits.needed > 0) continue;
    const Frame& frame = frames_[at.stack];
    if (frame.then == kOutside) {
      to.may_exit = true;
    } else {
      work_.push_back({frame.then, frame.parent, {}});
    }
  }
}

void Machine::settle(Frontier& to) {
  if (to.configs.size() < 2) return;
  std::sort(to.configs.begin(), to.configs.end());
  to.configs.erase(std::unique(to.configs.begin(), to.configs.end()), to.configs.end());
}

void Machine::step(const Frontier& from, uint8_t byte, Frontier& to) {
  to.clear();
  for (const Config& config : from.configs) {
    for (const ByteEdge& edge : grammar_.node(config.node).edges) {
      if (edge.low > byte) break;
      if (edge.high < byte) continue;
      Config next{edge.target, config.stack, config.limits};
      if (edge.starts_char && next.limits.left != TextLimits::kUnlimited) {
        if (next.limits.left == 0) continue;
        --next.limits.left;
      }
      if (edge.starts_char && next.limits.needed > 0) --next.limits.needed;
      if (can_finish(edge.target, frames_[config.stack].depth)) add(next, to);
    }
  }
  settle(to);
}

Frontier Machine::run(Frontier from, std::string_view bytes) {
  Frontier to;
  for (const char c : bytes) {
    step(from, static_cast<uint8_t>(c), to);
    std::swap(from, to);
    if (from.dead()) break;
  }
  return from;
}

bool matches(const Grammar& grammar, std::string_view bytes) {
  Machine machine(grammar);
  return machine.run(machine.start(), bytes).may_exit;
}

}  // namespace gossamer
