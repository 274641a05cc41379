#include "grammar/grammar.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <utility>

#include "base/check.h"
#include "grammar/json_text.h"

namespace gossamer {
namespace {

constexpr uint32_t kNever = std::numeric_limits<uint32_t>::max();

struct StandardAutomata {
  std::vector<Dfa> automata;
  StandardRules rules;
};

const StandardAutomata& standard_automata() {
  static const StandardAutomata made = [] {
    StandardAutomata standard;
    const auto add = [&](Dfa dfa) {
      const NodeId start = standard.rules.num_nodes;
      standard.rules.num_nodes += static_cast<NodeId>(dfa.states.size());
      standard.automata.push_back(std::move(dfa));
      return start;
    };
    standard.rules.json_text = add(any_json_text());
    WorkBudget budget;
    standard.rules.json_key = add(json_text_of(CodePoints::all(), budget));
    standard.rules.text_until_end = add(free_text_until(static_cast<uint8_t>(Mark::kEnd)));
    standard.rules.text_until_return = add(free_text_until(static_cast<uint8_t>(Mark::kReturn)));
    standard.rules.text_until_call = add(free_text_until(static_cast<uint8_t>(Mark::kCall)));
    return standard;
  }();
  return made;
}

bool has_disjoint_edges(const std::vector<ByteEdge>& edges) {
  for (std::size_t i = 1; i < edges.size(); ++i) {
    if (edges[i].low <= edges[i - 1].high) return false;
  }
  return true;
}

}  // namespace

const StandardRules& standard_rules() { return standard_automata().rules; }

GrammarBuilder::GrammarBuilder() {
  for (const Dfa& dfa : standard_automata().automata) add_dfa(dfa);
  GOSSAMER_CHECK_EQ(nodes_.size(), standard_rules().num_nodes);
}

NodeId GrammarBuilder::add_node() {
  if (nodes_.size() == kMaxNodes) throw GrammarError("too large: the whole needs more than 400,000 states");
  nodes_.emplace_back();
  return static_cast<NodeId>(nodes_.size() - 1);
}

NodeId GrammarBuilder::add_accepting_node() {
  const NodeId node = add_node();
  set_accepting(node);
  return node;
}

void GrammarBuilder::add_bytes(NodeId from, uint8_t low, uint8_t high, NodeId to) {
  nodes_[from].edges.push_back({low, high, false, to});
}

void GrammarBuilder::add_call(NodeId from, NodeId callee, NodeId to, const TextLimits& limits) {
  nodes_[from].calls.push_back({callee, to, limits});
}

NodeId GrammarBuilder::add_literal(NodeId from, std::string_view text) {
  for (const char c : text) {
    const NodeId next = add_node();
    add_bytes(from, static_cast<uint8_t>(c), static_cast<uint8_t>(c), next);
    from = next;
  }
  return from;
}

NodeId GrammarBuilder::add_mark(NodeId from, Mark mark) {
  const NodeId next = add_node();
  add_bytes(from, static_cast<uint8_t>(mark), static_cast<uint8_t>(mark), next);
  return next;
}

NodeId GrammarBuilder::add_dfa(const Dfa& dfa) {
  const auto start = static_cast<NodeId>(nodes_.size());
  for (const Dfa::State& state : dfa.states) {
    const NodeId node = add_node();
    nodes_[node].accepts = state.accepts;
    nodes_[node].edges = state.edges;
    for (ByteEdge& edge : nodes_[node].edges) edge.target += start;
  }
  return start;
}

// For each node the least nesting of calls with which an accepting node can be reached, or kNever: Dijkstra's
// algorithm backwards from the accepting nodes (as Knuth generalised it, since a call needs two nodes).
std::vector<uint32_t> GrammarBuilder::find_heights() const {
  struct Use {
    NodeId source;
    const GrammarCall* call;  // none for edges and epsilons
  };
  std::vector<std::vector<Use>> uses(nodes_.size());
  std::vector<uint32_t> heights(nodes_.size(), kNever);
  using Entry = std::pair<uint32_t, NodeId>;
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> open;
  const auto improve = [&](NodeId node, uint32_t height) {
    if (height >= heights[node]) return;
    heights[node] = height;
    open.emplace(height, node);
  };
  for (NodeId i = 0; i < nodes_.size(); ++i) {
    for (const ByteEdge& edge : nodes_[i].edges) uses[edge.target].push_back({i, nullptr});
    for (const NodeId target : nodes_[i].epsilons) uses[target].push_back({i, nullptr});
    for (const GrammarCall& call : nodes_[i].calls) {
      uses[call.callee].push_back({i, &call});
      uses[call.then].push_back({i, &call});
    }
    if (nodes_[i].accepts) improve(i, 0);
  }
  while (!open.empty()) {
    const auto [height, node] = open.top();
    open.pop();
    if (height > heights[node]) continue;
    for (const Use& use : uses[node]) {
      if (use.call == nullptr) {
        improve(use.source, height);
      } else if (heights[use.call->callee] != kNever && heights[use.call->then] != kNever) {
        improve(use.source, std::max(heights[use.call->callee] + 1, heights[use.call->then]));
      }
    }
  }
  return heights;
}

// Nothing may come back to itself without reading a byte: the machine would follow it for ever. In a schema
// this is {"$ref": "#"} at the root.
void GrammarBuilder::check_no_left_recursion() const {
  // A callee that may read nothing lets its caller's next node begin at once.
  std::vector<bool> nullable(nodes_.size());
  for (bool changed = true; changed;) {
    changed = false;
    for (NodeId i = static_cast<NodeId>(nodes_.size()); i-- > 0;) {
      if (nullable[i]) continue;
      const Node& node = nodes_[i];
      nullable[i] =
          node.accepts ||
          std::any_of(node.epsilons.begin(), node.epsilons.end(), [&](NodeId to) { return nullable[to]; }) ||
          std::any_of(node.calls.begin(), node.calls.end(),
                      [&](const GrammarCall& call) { return nullable[call.callee] && nullable[call.then]; });
      changed |= nullable[i];
    }
  }
  enum class Progress : uint8_t { kNew, kOpen, kDone };
  std::vector<Progress> progress(nodes_.size(), Progress::kNew);
  const auto successors = [&](NodeId id) {
    std::vector<NodeId> result = nodes_[id].epsilons;
    for (const GrammarCall& call : nodes_[id].calls) {
      result.push_back(call.callee);
      if (nullable[call.callee]) result.push_back(call.then);
    }
    return result;
  };
  struct Visit {
    NodeId node;
    std::vector<NodeId> left;
  };
  std::vector<Visit> path;
  for (NodeId first = 0; first < nodes_.size(); ++first) {
    if (progress[first] != Progress::kNew) continue;
    progress[first] = Progress::kOpen;
    path.push_back({first, successors(first)});
    while (!path.empty()) {
      if (path.back().left.empty()) {
        progress[path.back().node] = Progress::kDone;
        path.pop_back();
        continue;
      }
      const NodeId next = path.back().left.back();
      path.back().left.pop_back();
      if (progress[next] == Progress::kOpen)
        throw GrammarError("it refers to itself without anything in between ($ref in a circle)");
      if (progress[next] == Progress::kDone) continue;
      progress[next] = Progress::kOpen;
      path.push_back({next, successors(next)});
    }
  }
}

Grammar GrammarBuilder::finish(NodeId root, uint32_t max_depth) && {
  check_no_left_recursion();
  const std::vector<uint32_t> heights = find_heights();
  if (heights[root] == kNever) throw GrammarError("nothing satisfies it, or only something infinite");
  if (heights[root] > max_depth)
    throw GrammarError("what satisfies it is nested more than {} levels deep", max_depth);

  const auto is_dead = [&](NodeId node) { return heights[node] > max_depth; };
  Grammar grammar;
  grammar.root_ = root;
  grammar.max_depth_ = max_depth;
  std::size_t num_edges = 0;
  std::size_t num_calls = 0;
  std::size_t num_epsilons = 0;
  for (Node& node : nodes_) {
    std::erase_if(node.edges, [&](const ByteEdge& edge) { return is_dead(edge.target); });
    std::erase_if(node.epsilons, is_dead);
    std::erase_if(node.calls,
                  [&](const GrammarCall& call) { return is_dead(call.callee) || is_dead(call.then); });
    std::sort(node.edges.begin(), node.edges.end(),
              [](const ByteEdge& a, const ByteEdge& b) { return a.low < b.low; });
    num_edges += node.edges.size();
    num_calls += node.calls.size();
    num_epsilons += node.epsilons.size();
  }
  // Regular: all but the nodes from which something else can be reached.
  std::vector<bool> regular(nodes_.size(), true);
  std::vector<std::vector<NodeId>> before(nodes_.size());
  std::vector<NodeId> work;
  for (NodeId i = 0; i < nodes_.size(); ++i) {
    for (const ByteEdge& edge : nodes_[i].edges) before[edge.target].push_back(i);
    if (nodes_[i].calls.empty() && nodes_[i].epsilons.empty() && has_disjoint_edges(nodes_[i].edges))
      continue;
    regular[i] = false;
    work.push_back(i);
  }
  while (!work.empty()) {
    const NodeId node = work.back();
    work.pop_back();
    for (const NodeId source : before[node]) {
      if (!regular[source]) continue;
      regular[source] = false;
      work.push_back(source);
    }
  }
  grammar.edges_.reserve(num_edges);  // no reallocation from here on: nodes are views
  grammar.calls_.reserve(num_calls);
  grammar.epsilons_.reserve(num_epsilons);
  grammar.nodes_.reserve(nodes_.size());
  const auto append = [](auto& all, const auto& some) {
    const std::size_t begin = all.size();
    all.insert(all.end(), some.begin(), some.end());
    return std::span(all).subspan(begin);
  };
  for (NodeId i = 0; i < nodes_.size(); ++i) {
    Grammar::Node node;
    node.edges = append(grammar.edges_, nodes_[i].edges);
    node.calls = append(grammar.calls_, nodes_[i].calls);
    node.epsilons = append(grammar.epsilons_, nodes_[i].epsilons);
    node.accepts = nodes_[i].accepts;
    node.is_regular = regular[i];
    node.height = static_cast<uint16_t>(std::min<uint32_t>(heights[i], max_depth + 1));
    if (!is_dead(i)) grammar.max_height_ = std::max<uint32_t>(grammar.max_height_, node.height);
    grammar.nodes_.push_back(node);
  }
  return grammar;
}

}  // namespace gossamer
