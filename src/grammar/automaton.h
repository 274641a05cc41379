// Automata over bytes for the regular parts of a grammar: Nfa to build with, Dfa as the result. Patterns,
// numbers and lists of allowed values end up as one Dfa each (regex.h, numbers.h, json_text.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/grammar_error.h"

namespace gossamer {

// Bytes low..high lead to `target`. `starts_char` marks the first byte of a character of a string, which is
// what minLength and maxLength count.
struct ByteEdge {
  uint8_t low = 0;
  uint8_t high = 0;
  bool starts_char = false;
  uint32_t target = 0;

  bool operator==(const ByteEdge&) const = default;
};

// Deterministic: the edges of a state are disjoint and ascending. State 0 is the start.
struct Dfa {
  struct State {
    std::vector<ByteEdge> edges;
    bool accepts = false;
  };
  std::vector<State> states;

  bool accepts(std::string_view text) const;
  // No string at all is accepted. Only meaningful after remove_dead_states().
  bool empty() const { return !states[0].accepts && states[0].edges.empty(); }
};

// Bounds on what a request can make us build: states of one automaton, and steps of making all automata of a
// schema (about a second).
inline constexpr std::size_t kMaxDfaStates = 50'000;
class WorkBudget {
 public:
  void spend(std::size_t steps) {
    if (steps > left_) throw GrammarError("too large: it takes too many steps to compile");
    left_ -= steps;
  }

 private:
  std::size_t left_ = 100'000'000;
};

class Nfa {
 public:
  uint32_t add_node() {
    nodes_.emplace_back();
    if (nodes_.size() > kMaxNodes) throw GrammarError("too large: repetitions multiply to too many states");
    return static_cast<uint32_t>(nodes_.size() - 1);
  }
  void add_bytes(uint32_t from, uint8_t low, uint8_t high, uint32_t to, bool starts_char = false) {
    nodes_[from].edges.push_back({low, high, starts_char, to});
  }
  void add_epsilon(uint32_t from, uint32_t to) { nodes_[from].epsilons.push_back(to); }
  // A path that reads exactly `text`.
  void add_literal(uint32_t from, std::string_view text, uint32_t to);

  // The deterministic automaton of what leads from `start` to `end`, without states that lead nowhere.
  Dfa determinize(uint32_t start, uint32_t end, WorkBudget& budget) const;

 private:
  static constexpr std::size_t kMaxNodes = 200'000;

  struct Node {
    std::vector<ByteEdge> edges;
    std::vector<uint32_t> epsilons;
  };
  void close(std::vector<uint32_t>& set) const;

  std::vector<Node> nodes_;
};

// Removes states from which nothing is accepted, and the edges to them; the start always stays.
void remove_dead_states(Dfa& dfa);

// What `dfa` accepts with at least `min` and at most `max` characters (edges that start one).
Dfa limit_length(const Dfa& dfa, uint32_t min, uint32_t max, WorkBudget& budget);

// The automaton of a machine that is easier to write as a function than as a graph: `next(state, byte)` gives
// the state after a byte of `alphabet` or nothing, `accepts(state)` whether one may stop there.
template <typename State, typename Next, typename Accepts>
Dfa explore(const State& start, std::string_view alphabet, const Next& next, const Accepts& accepts,
            WorkBudget& budget) {
  std::map<State, uint32_t> numbers;
  std::vector<State> states;
  const auto number_of = [&](const State& state) {
    const auto [it, added] = numbers.try_emplace(state, static_cast<uint32_t>(states.size()));
    if (added) states.push_back(state);
    if (states.size() > kMaxDfaStates) throw GrammarError("too large: it needs too many states");
    return it->second;
  };
  number_of(start);
  Dfa dfa;
  for (uint32_t i = 0; i < states.size(); ++i) {
    const State state = states[i];
    Dfa::State made{.edges = {}, .accepts = accepts(state)};
    budget.spend(20 * alphabet.size());  // a look-up in a map each
    for (const char c : alphabet) {      // ascending
      const std::optional<State> after = next(state, c);
      if (!after) continue;
      const auto byte = static_cast<uint8_t>(c);
      const uint32_t target = number_of(*after);
      if (!made.edges.empty() && made.edges.back().high + 1 == byte && made.edges.back().target == target) {
        made.edges.back().high = byte;
      } else {
        made.edges.push_back({byte, byte, false, target});
      }
    }
    dfa.states.push_back(std::move(made));
  }
  remove_dead_states(dfa);
  return dfa;
}

}  // namespace gossamer
