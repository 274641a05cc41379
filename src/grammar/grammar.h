// Grammar: a recursive transition network over bytes, the common form of all that output can be constrained
// to. Built by json_schema.cc and harmony_grammar.cc, walked by machine.h.
//
// A node has edges that read a byte, epsilons that read nothing, and calls: read what another node begins, up
// to a node that accepts, then go on at the call's `then`. So a node is a rule of a grammar if something
// calls it, and JSON's nesting is the stack of calls. What is regular is a Dfa spliced in; where alternatives
// remain open, the machine follows all of them.
//
// Every grammar promises that its output can always be finished: nodes without a way to the end are cut off,
// and a call that would nest deeper than `max_depth` allows for finishing is not taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/token_marks.h"

namespace gossamer {

using NodeId = uint32_t;

// How many characters (edges with starts_char) a called string must and may still have. Counted while
// matching: a string of at most 10,000 characters would otherwise be 10,000 copies of its automaton.
struct TextLimits {
  static constexpr uint32_t kUnlimited = std::numeric_limits<uint32_t>::max();
  uint32_t needed = 0;
  uint32_t left = kUnlimited;

  auto operator<=>(const TextLimits&) const = default;
};

struct GrammarCall {
  NodeId callee = 0;
  NodeId then = 0;
  TextLimits limits = {};

  bool operator==(const GrammarCall&) const = default;
};

// Rules that stand at the same place in every grammar, so that what is known of them for a vocabulary (nearly
// every token may follow within a string: the expensive masks) is computed once, see grammar_masks.h.
struct StandardRules {
  NodeId json_text = 0;          // any text of a JSON string and its closing quote
  NodeId json_key = 0;           // the same in canonical spelling
  NodeId text_until_end = 0;     // any UTF-8, then <|end|>
  NodeId text_until_return = 0;  // ... <|return|>
  NodeId text_until_call = 0;    // ... <|call|>
  NodeId num_nodes = 0;          // they are the nodes below this
};
const StandardRules& standard_rules();

class Grammar {
 public:
  struct Node {
    std::span<const ByteEdge> edges;
    std::span<const GrammarCall> calls;
    std::span<const NodeId> epsilons;
    bool accepts = false;
    bool is_regular = false;  // it and all it leads to have disjoint edges and nothing else
    uint16_t height = 0;      // calls that must be nested to reach an accepting node
  };

  Grammar() = default;
  Grammar(Grammar&&) = default;  // keeps the views of the nodes valid, as a copy would not
  Grammar& operator=(Grammar&&) = default;

  NodeId root() const { return root_; }
  uint32_t max_depth() const { return max_depth_; }
  // The largest height of a node that is not cut off.
  uint32_t max_height() const { return max_height_; }
  uint32_t num_nodes() const { return static_cast<uint32_t>(nodes_.size()); }
  const Node& node(NodeId id) const { return nodes_[id]; }
  std::size_t num_bytes() const {
    return edges_.capacity() * sizeof(ByteEdge) + calls_.capacity() * sizeof(GrammarCall) +
           epsilons_.capacity() * sizeof(NodeId) + nodes_.capacity() * sizeof(Node);
  }

 private:
  friend class GrammarBuilder;

  std::vector<ByteEdge> edges_;
  std::vector<GrammarCall> calls_;
  std::vector<NodeId> epsilons_;
  std::vector<Node> nodes_;  // views of the three above
  NodeId root_ = 0;
  uint32_t max_depth_ = 0;
  uint32_t max_height_ = 0;
};

class GrammarBuilder {
 public:
  GrammarBuilder();  // with the standard rules

  NodeId add_node();
  NodeId add_accepting_node();
  void set_accepting(NodeId node) { nodes_[node].accepts = true; }
  void add_bytes(NodeId from, uint8_t low, uint8_t high, NodeId to);
  void add_epsilon(NodeId from, NodeId to) { nodes_[from].epsilons.push_back(to); }
  void add_call(NodeId from, NodeId callee, NodeId to, const TextLimits& limits = {});
  // A path that reads `text` or a mark to a new node, which is returned, or to `to`.
  NodeId add_literal(NodeId from, std::string_view text);
  void add_literal(NodeId from, std::string_view text, NodeId to) {
    add_epsilon(add_literal(from, text), to);
  }
  NodeId add_mark(NodeId from, Mark mark);
  // The automaton's start; its accepting states accept here.
  NodeId add_dfa(const Dfa& dfa);

  // Throws GrammarError if nothing finite begins at `root`, or something calls itself without reading a byte.
  Grammar finish(NodeId root, uint32_t max_depth) &&;

 private:
  // A request's schema may be made to be large: 50 MB at most.
  static constexpr std::size_t kMaxNodes = 400'000;

  struct Node {
    std::vector<ByteEdge> edges;
    std::vector<GrammarCall> calls;
    std::vector<NodeId> epsilons;
    bool accepts = false;
  };
  std::vector<uint32_t> find_heights() const;
  void check_no_left_recursion() const;

  std::vector<Node> nodes_;
};

}  // namespace gossamer
