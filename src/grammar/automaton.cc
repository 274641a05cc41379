#include "grammar/automaton.h"

#include <algorithm>
#include <bitset>

namespace gossamer {

bool Dfa::accepts(std::string_view text) const {
  uint32_t state = 0;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    const auto& edges = states[state].edges;
    const auto edge = std::find_if(edges.begin(), edges.end(),
                                   [&](const ByteEdge& e) { return e.low <= byte && byte <= e.high; });
    if (edge == edges.end()) return false;
    state = edge->target;
  }
  return states[state].accepts;
}

void Nfa::add_literal(uint32_t from, std::string_view text, uint32_t to) {
  for (const char c : text) {
    const uint32_t next = add_node();
    add_bytes(from, static_cast<uint8_t>(c), static_cast<uint8_t>(c), next);
    from = next;
  }
  add_epsilon(from, to);
}

// Adds what epsilons reach; leaves the set sorted.
void Nfa::close(std::vector<uint32_t>& set) const {
  std::vector<uint32_t> work = set;
  std::sort(set.begin(), set.end());
  std::vector<bool> seen(nodes_.size());
  for (const uint32_t node : set) seen[node] = true;
  while (!work.empty()) {
    const uint32_t node = work.back();
    work.pop_back();
    for (const uint32_t next : nodes_[node].epsilons) {
      if (seen[next]) continue;
      seen[next] = true;
      set.push_back(next);
      work.push_back(next);
    }
  }
  std::sort(set.begin(), set.end());
}

Dfa Nfa::determinize(uint32_t start, uint32_t end, WorkBudget& budget) const {
  std::map<std::vector<uint32_t>, uint32_t> numbers;
  std::vector<const std::vector<uint32_t>*> sets;
  const auto number_of = [&](std::vector<uint32_t> set) {
    close(set);
    budget.spend(nodes_.size() / 64 + set.size());
    const auto [it, added] = numbers.try_emplace(std::move(set), static_cast<uint32_t>(sets.size()));
    if (added) sets.push_back(&it->first);
    if (sets.size() > kMaxDfaStates) throw GrammarError("too large: it needs too many states");
    return it->second;
  };
  number_of({start});
  Dfa dfa;
  for (std::size_t i = 0; i < sets.size(); ++i) {
    const std::vector<uint32_t>& set = *sets[i];
    Dfa::State made{.edges = {}, .accepts = std::binary_search(set.begin(), set.end(), end)};
    std::bitset<257> cuts;  // where the set of matching edges may change
    for (const uint32_t node : set) {
      for (const ByteEdge& edge : nodes_[node].edges) {
        cuts.set(edge.low);
        cuts.set(std::size_t{edge.high} + 1);
      }
    }
    for (std::size_t low = 0; low < 256; ++low) {
      if (!cuts.test(low)) continue;
      std::size_t high = low;
      while (high < 255 && !cuts.test(high + 1)) ++high;
      std::vector<uint32_t> targets;
      bool starts_char = false;
      budget.spend(set.size());
      for (const uint32_t node : set) {
        for (const ByteEdge& edge : nodes_[node].edges) {
          if (edge.low > low || edge.high < low) continue;
          targets.push_back(edge.target);
          starts_char |= edge.starts_char;
        }
      }
      if (targets.empty()) continue;
      std::sort(targets.begin(), targets.end());
      targets.erase(std::unique(targets.begin(), targets.end()), targets.end());
      const ByteEdge edge{static_cast<uint8_t>(low), static_cast<uint8_t>(high), starts_char,
                          number_of(std::move(targets))};
      if (!made.edges.empty() && made.edges.back().high + 1 == edge.low &&
          made.edges.back().target == edge.target && made.edges.back().starts_char == starts_char) {
        made.edges.back().high = edge.high;
      } else {
        made.edges.push_back(edge);
      }
    }
    dfa.states.push_back(std::move(made));
  }
  remove_dead_states(dfa);
  return dfa;
}

void remove_dead_states(Dfa& dfa) {
  const auto num_states = static_cast<uint32_t>(dfa.states.size());
  std::vector<std::vector<uint32_t>> sources(num_states);
  std::vector<bool> live(num_states);
  std::vector<uint32_t> work;
  for (uint32_t i = 0; i < num_states; ++i) {
    for (const ByteEdge& edge : dfa.states[i].edges) sources[edge.target].push_back(i);
    if (!dfa.states[i].accepts) continue;
    live[i] = true;
    work.push_back(i);
  }
  while (!work.empty()) {
    const uint32_t state = work.back();
    work.pop_back();
    for (const uint32_t source : sources[state]) {
      if (live[source]) continue;
      live[source] = true;
      work.push_back(source);
    }
  }
  if (!live[0]) {
    dfa.states.assign(1, {});
    return;
  }
  std::vector<uint32_t> numbers(num_states);
  Dfa kept;
  for (uint32_t i = 0; i < num_states; ++i) {
    if (!live[i]) continue;
    numbers[i] = static_cast<uint32_t>(kept.states.size());
    kept.states.push_back(std::move(dfa.states[i]));
  }
  for (Dfa::State& state : kept.states) {
    std::erase_if(state.edges, [&](const ByteEdge& edge) { return !live[edge.target]; });
    for (ByteEdge& edge : state.edges) edge.target = numbers[edge.target];
  }
  dfa = std::move(kept);
}

Dfa limit_length(const Dfa& dfa, uint32_t min, uint32_t max, WorkBudget& budget) {
  // Where there is no maximum, characters beyond the minimum need no counting.
  constexpr uint32_t kNoMax = std::numeric_limits<uint32_t>::max();
  using State = std::pair<uint32_t, uint32_t>;  // of `dfa`, characters so far
  std::map<State, uint32_t> numbers;
  std::vector<State> states;
  const auto number_of = [&](const State& state) {
    const auto [it, added] = numbers.try_emplace(state, static_cast<uint32_t>(states.size()));
    if (added) states.push_back(state);
    if (states.size() > kMaxDfaStates)
      throw GrammarError("too large: the pattern's states times the allowed lengths are too many");
    return it->second;
  };
  number_of({0, 0});
  Dfa limited;
  for (std::size_t i = 0; i < states.size(); ++i) {
    const auto [state, length] = states[i];
    Dfa::State made{.edges = {}, .accepts = dfa.states[state].accepts && length >= min};
    budget.spend(20 * dfa.states[state].edges.size());
    for (ByteEdge edge : dfa.states[state].edges) {
      if (edge.starts_char && length == max && max != kNoMax) continue;
      const uint32_t after = length + (edge.starts_char ? 1 : 0);
      edge.target = number_of({edge.target, max == kNoMax ? std::min(after, min) : after});
      made.edges.push_back(edge);
    }
    limited.states.push_back(std::move(made));
  }
  remove_dead_states(limited);
  return limited;
}

}  // namespace gossamer
