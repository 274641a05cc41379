#include "grammar/json_text.h"

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <utility>

#include "base/utf8.h"

namespace gossamer {
namespace {

constexpr std::array<std::pair<char32_t, char>, 7> kShortEscapes = {
    {{'"', '"'}, {'\\', '\\'}, {'\b', 'b'}, {'\f', 'f'}, {'\n', 'n'}, {'\r', 'r'}, {'\t', 't'}}};

void add_byte_path(Nfa& nfa, uint32_t from, std::span<const std::pair<uint8_t, uint8_t>> path, uint32_t to) {
  for (std::size_t i = 0; i < path.size(); ++i) {
    const uint32_t next = i + 1 == path.size() ? to : nfa.add_node();
    nfa.add_bytes(from, path[i].first, path[i].second, next, i == 0);
    from = next;
  }
}

// low..high have UTF-8 forms of the same length. Splits the range until each part is a product of byte
// ranges: E0 A0..BF 80..BF and not one path for each character.
void add_utf8_range(Nfa& nfa, uint32_t from, char32_t low, char32_t high, uint32_t to) {
  std::string first;
  std::string last;
  utf8_append(low, first);
  utf8_append(high, last);
  for (std::size_t rest = first.size() - 1; rest > 0; --rest) {
    const char32_t mask = (char32_t{1} << (6 * rest)) - 1;  // what `rest` continuation bytes hold
    if ((low & ~mask) == (high & ~mask)) continue;
    if ((low & mask) != 0) {
      add_utf8_range(nfa, from, low, low | mask, to);
      return add_utf8_range(nfa, from, (low | mask) + 1, high, to);
    }
    if ((high & mask) != mask) {
      add_utf8_range(nfa, from, low, (high & ~mask) - 1, to);
      return add_utf8_range(nfa, from, high & ~mask, high, to);
    }
  }
  std::vector<std::pair<uint8_t, uint8_t>> path;
  for (std::size_t i = 0; i < first.size(); ++i)
    path.emplace_back(static_cast<uint8_t>(first[i]), static_cast<uint8_t>(last[i]));
  add_byte_path(nfa, from, path, to);
}

void add_escape(Nfa& nfa, uint32_t from, std::string_view behind_backslash, uint32_t to) {
  std::vector<std::pair<uint8_t, uint8_t>> path = {{'\\', '\\'}};
  for (const char c : behind_backslash) path.emplace_back(static_cast<uint8_t>(c), static_cast<uint8_t>(c));
  add_byte_path(nfa, from, path, to);
}

bool needs_escape(char32_t c) { return c < 0x20 || c == '"' || c == '\\'; }

std::string escape_of(char32_t c) {
  for (const auto& [escaped, letter] : kShortEscapes) {
    if (escaped == c) return {letter};
  }
  return fmt::format("u{:04x}", static_cast<uint32_t>(c));
}

// The characters of JSON text that stand for themselves.
CodePoints unescaped() {
  CodePoints escaped = {{0, 0x1F}};
  escaped.add('"', '"');
  escaped.add('\\', '\\');
  return escaped.complement();
}

}  // namespace

void add_utf8_char(Nfa& nfa, uint32_t from, const CodePoints& set, uint32_t to) {
  constexpr std::array<char32_t, 4> kLastOfLength = {0x7F, 0x7FF, 0xFFFF, 0x10FFFF};
  for (auto [low, high] : set.ranges()) {
    for (const char32_t last : kLastOfLength) {
      if (low > last) continue;
      add_utf8_range(nfa, from, low, std::min(high, last), to);
      if (high <= last) break;
      low = last + 1;
    }
  }
}

void add_json_char(Nfa& nfa, uint32_t from, const CodePoints& set, uint32_t to) {
  CodePoints plain;
  for (const auto& [low, high] : set.ranges()) {
    char32_t next = low;
    for (char32_t c = low; c <= std::min<char32_t>(high, '\\'); ++c) {
      if (!needs_escape(c)) continue;
      add_escape(nfa, from, escape_of(c), to);
      if (c > next) plain.add(next, c - 1);
      next = c + 1;
    }
    if (next <= high) plain.add(next, high);
  }
  add_utf8_char(nfa, from, plain, to);
}

std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (needs_escape(static_cast<unsigned char>(c))) {
      out += '\\';
      out += escape_of(static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  out += '"';
  return out;
}

Dfa any_json_text() {
  using Bytes = std::vector<std::pair<uint8_t, uint8_t>>;
  Nfa nfa;
  const uint32_t start = nfa.add_node();
  const uint32_t end = nfa.add_node();
  nfa.add_bytes(start, '"', '"', end);
  add_utf8_char(nfa, start, unescaped(), start);

  const uint32_t backslash = nfa.add_node();
  nfa.add_bytes(start, '\\', '\\', backslash, /*starts_char=*/true);
  for (const char c : std::string_view("\"\\/bfnrt")) {
    const auto byte = static_cast<uint8_t>(c);
    nfa.add_bytes(backslash, byte, byte, start);
  }
  // Four hexadecimal digits: any but those of surrogates, or a high and then a low surrogate.
  const auto add_digits = [&](uint32_t from, std::span<const Bytes> digits, uint32_t to) {
    for (std::size_t i = 0; i < digits.size(); ++i) {
      const uint32_t next = i + 1 == digits.size() ? to : nfa.add_node();
      for (const auto& [low, high] : digits[i]) nfa.add_bytes(from, low, high, next);
      from = next;
    }
  };
  const Bytes any = {{'0', '9'}, {'A', 'F'}, {'a', 'f'}};
  const Bytes not_d = {{'0', '9'}, {'A', 'C'}, {'E', 'F'}, {'a', 'c'}, {'e', 'f'}};
  const Bytes d = {{'D', 'D'}, {'d', 'd'}};
  const Bytes eight_to_b = {{'8', '9'}, {'A', 'B'}, {'a', 'b'}};
  const Bytes c_to_f = {{'C', 'F'}, {'c', 'f'}};
  const uint32_t hex = nfa.add_node();
  nfa.add_bytes(backslash, 'u', 'u', hex);
  add_digits(hex, std::array{not_d, any, any, any}, start);
  add_digits(hex, std::array{d, Bytes{{'0', '7'}}, any, any}, start);
  const uint32_t low_half = nfa.add_node();
  add_digits(hex, std::array{d, eight_to_b, any, any}, low_half);
  add_digits(low_half, std::array{Bytes{{'\\', '\\'}}, Bytes{{'u', 'u'}}, d, c_to_f, any, any}, start);
  WorkBudget budget;
  return nfa.determinize(start, end, budget);
}

Dfa json_text_of(const CodePoints& set, WorkBudget& budget) {
  Nfa nfa;
  const uint32_t start = nfa.add_node();
  const uint32_t end = nfa.add_node();
  nfa.add_bytes(start, '"', '"', end);
  add_json_char(nfa, start, set, start);
  return nfa.determinize(start, end, budget);
}

Dfa json_text_except(std::span<const std::string> excluded, WorkBudget& budget) {
  std::vector<std::string> spelled;
  for (const std::string& word : excluded) spelled.push_back(json_quoted(word).substr(1));
  const Dfa words = one_of(spelled);
  const Dfa text = json_text_of(CodePoints::all(), budget);

  // The two automata side by side. Once no word can match any more, the text alone counts.
  constexpr uint32_t kNoWord = std::numeric_limits<uint32_t>::max();
  using State = std::pair<uint32_t, uint32_t>;  // of the words, of the text
  std::map<State, uint32_t> numbers;
  std::vector<State> states;
  const auto number_of = [&](State state) {
    const auto [it, added] = numbers.try_emplace(state, static_cast<uint32_t>(states.size()));
    if (added) states.push_back(state);
    if (states.size() > kMaxDfaStates) throw GrammarError("too large: too many property names");
    return it->second;
  };
  number_of({0, 0});
  Dfa result;
  for (std::size_t i = 0; i < states.size(); ++i) {
    const auto [word, place] = states[i];
    const bool is_word = word != kNoWord && words.states[word].accepts;
    Dfa::State made{.edges = {}, .accepts = text.states[place].accepts && !is_word};
    for (const ByteEdge& edge : text.states[place].edges) {
      budget.spend(20);
      uint32_t low = edge.low;
      const auto add = [&](uint32_t high, uint32_t next_word) {
        if (low > high) return;
        made.edges.push_back({static_cast<uint8_t>(low), static_cast<uint8_t>(high), edge.starts_char,
                              number_of({next_word, edge.target})});
        low = high + 1;
      };
      if (word != kNoWord) {
        for (const ByteEdge& letter : words.states[word].edges) {  // of one byte each
          if (letter.low < edge.low || letter.low > edge.high) continue;
          if (letter.low > low) add(letter.low - 1U, kNoWord);
          add(letter.low, letter.target);
        }
      }
      add(edge.high, kNoWord);
    }
    result.states.push_back(std::move(made));
  }
  remove_dead_states(result);
  return result;
}

Dfa free_text_until(uint8_t end_byte) {
  Nfa nfa;
  const uint32_t start = nfa.add_node();
  const uint32_t end = nfa.add_node();
  add_utf8_char(nfa, start, CodePoints::all(), start);
  nfa.add_bytes(start, end_byte, end_byte, end);
  WorkBudget budget;
  return nfa.determinize(start, end, budget);
}

Dfa one_of(std::span<const std::string> texts) {
  std::vector<std::string_view> sorted(texts.begin(), texts.end());
  std::sort(sorted.begin(), sorted.end());
  Dfa trie;
  trie.states.emplace_back();
  for (const std::string_view text : sorted) {  // sorted: only the last edge of a state can match
    uint32_t state = 0;
    for (const char c : text) {
      const auto byte = static_cast<uint8_t>(c);
      const auto& edges = trie.states[state].edges;
      if (edges.empty() || edges.back().low != byte) {
        const auto target = static_cast<uint32_t>(trie.states.size());
        trie.states[state].edges.push_back({byte, byte, false, target});
        trie.states.emplace_back();
      }
      state = trie.states[state].edges.back().target;
    }
    trie.states[state].accepts = true;
  }
  return trie;
}

}  // namespace gossamer
