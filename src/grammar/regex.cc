#include "grammar/regex.h"

#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "base/utf8.h"
#include "grammar/json_text.h"
#include "text/unicode.h"

namespace gossamer {

struct Regex::Node {
  enum class Kind : uint8_t { kClass, kSequence, kAlternatives, kRepeat };
  Kind kind = Kind::kSequence;
  CodePoints set = {};                                  // of kClass
  std::vector<std::unique_ptr<Node>> children = {};     // of the others; one of kRepeat
  uint32_t min = 0;                                     // of kRepeat
  uint32_t max = std::numeric_limits<uint32_t>::max();  // of kRepeat
};

namespace {

using Node = Regex::Node;
using Kind = Node::Kind;

constexpr uint32_t kUnbounded = std::numeric_limits<uint32_t>::max();
constexpr uint32_t kMaxRepeat = 10'000;
constexpr int kMaxNesting = 100;

std::unique_ptr<Node> make_class(CodePoints set) {
  auto node = std::make_unique<Node>();
  node->kind = Kind::kClass;
  node->set = std::move(set);
  return node;
}

std::unique_ptr<Node> make_repeat(std::unique_ptr<Node> child, uint32_t min, uint32_t max) {
  auto node = std::make_unique<Node>();
  node->kind = Kind::kRepeat;
  node->children.push_back(std::move(child));
  node->min = min;
  node->max = max;
  return node;
}

// The characters of one escape: what it surely means, and all that any validator takes it for. A negated
// class leaves out the latter.
struct ClassItem {
  CodePoints narrow;
  CodePoints wide;
};

CodePoints unicode_where(bool (*matches)(const UnicodeTable&, char32_t)) {
  const UnicodeTable table;
  std::vector<CodePoints::Range> ranges;
  char32_t begin = 0x80;
  bool inside = false;
  for (char32_t c = 0x80; c <= 0x110000; ++c) {
    const bool now = c <= 0x10FFFF && matches(table, c);
    if (now && !inside) begin = c;
    if (!now && inside) ranges.emplace_back(begin, c - 1);
    inside = now;
  }
  return CodePoints(std::move(ranges));
}

ClassItem digits() {
  const CodePoints ascii = {{'0', '9'}};
  CodePoints wide = unicode_where(
      [](const UnicodeTable& table, char32_t c) { return table.char_class(c) == CharClass::kNumber; });
  wide.add(ascii);
  return {ascii, wide};
}

ClassItem word_characters() {
  const CodePoints ascii = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
  CodePoints wide = unicode_where([](const UnicodeTable& table, char32_t c) {
    const CharClass kind = table.char_class(c);
    return table.is_word(c) || is_letter(kind) || kind == CharClass::kNumber || kind == CharClass::kMark;
  });
  wide.add(ascii);
  return {ascii, wide};
}

ClassItem spaces() {
  const CodePoints ascii = {{'\t', '\r'}, {' ', ' '}};
  CodePoints wide = unicode_where(
      [](const UnicodeTable& table, char32_t c) { return table.char_class(c) == CharClass::kSpace; });
  wide.add(ascii);
  wide.add(0x1C, 0x1F);
  wide.add(0x85, 0x85);
  wide.add(0xFEFF, 0xFEFF);
  return {ascii, wide};
}

class Parser {
 public:
  Parser(std::string_view pattern, Regex::Match match) : match_(match) {
    if (!utf8_is_valid(pattern)) throw GrammarError("the pattern is not valid UTF-8");
    const char* p = pattern.data();
    while (p != pattern.data() + pattern.size()) text_.push_back(utf8_decode_valid(p));
  }

  std::unique_ptr<Node> parse() {
    auto root = std::make_unique<Node>();
    root->kind = Kind::kAlternatives;
    do {
      root->children.push_back(parse_anchored_alternative());
    } while (take('|'));
    if (!at_end()) fail("an unmatched )");
    return root;
  }

 private:
  [[noreturn]] void fail(std::string_view what) const {
    throw GrammarError("the pattern has {} at character {}, which is not supported", what, at_);
  }
  bool at_end() const { return at_ == text_.size(); }
  char32_t peek() const { return at_end() ? U'\0' : text_[at_]; }
  bool take(char32_t c) {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  char32_t next() {
    if (at_end()) fail("its end where more is expected");
    return text_[at_++];
  }

  std::unique_ptr<Node> parse_anchored_alternative() {
    auto whole = std::make_unique<Node>();
    const auto add_anything = [&] {
      if (match_ == Regex::Match::kWhole) return;
      whole->children.push_back(make_repeat(make_class(CodePoints::all()), 0, kUnbounded));
    };
    if (!take('^')) add_anything();
    whole->children.push_back(parse_sequence(0));
    if (!take('$')) add_anything();
    if (!at_end() && peek() != '|' && peek() != ')') fail("an anchor inside");
    return whole;
  }

  std::unique_ptr<Node> parse_alternatives(int nesting) {
    if (nesting > kMaxNesting) fail("groups nested too deeply");
    auto node = std::make_unique<Node>();
    node->kind = Kind::kAlternatives;
    do {
      node->children.push_back(parse_sequence(nesting));
    } while (take('|'));
    return node;
  }

  std::unique_ptr<Node> parse_sequence(int nesting) {
    auto node = std::make_unique<Node>();
    while (!at_end() && peek() != '|' && peek() != ')' && peek() != '$') {
      node->children.push_back(parse_quantified(nesting));
    }
    return node;
  }

  std::unique_ptr<Node> parse_quantified(int nesting) {
    std::unique_ptr<Node> atom = parse_atom(nesting);
    uint32_t min = 1;
    uint32_t max = 1;
    const std::size_t before = at_;
    if (take('*')) {
      min = 0, max = kUnbounded;
    } else if (take('+')) {
      max = kUnbounded;
    } else if (take('?')) {
      min = 0;
    } else if (take('{') && !parse_counts(min, max)) {
      at_ = before;
      fail("a { that begins no count");
    }
    if (at_ == before) return atom;
    take('?');  // lazy: the same texts match
    if (peek() == '*' || peek() == '+' || peek() == '?' || (peek() == '{')) fail("two quantifiers in a row");
    return make_repeat(std::move(atom), min, max);
  }

  bool parse_counts(uint32_t& min, uint32_t& max) {
    const auto number = [&]() -> std::optional<uint32_t> {
      if (peek() < '0' || peek() > '9') return std::nullopt;
      uint32_t value = 0;
      while (peek() >= '0' && peek() <= '9') {
        value = value * 10 + (next() - '0');
        if (value > kMaxRepeat) fail("a repetition of more than 10,000");
      }
      return value;
    };
    const std::optional<uint32_t> low = number();
    if (!low) return false;
    min = max = *low;
    if (take(',')) max = number().value_or(kUnbounded);
    if (max < min) fail("a count whose maximum is below its minimum");
    return take('}');
  }

  std::unique_ptr<Node> parse_atom(int nesting) {
    const char32_t c = next();
    switch (c) {
      case '(':
        return parse_group(nesting);
      case '[':
        return make_class(parse_class());
      case '.': {
        CodePoints line_ends = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};
        return make_class(line_ends.complement());
      }
      case '\\': {
        return make_class(parse_escape(/*in_class=*/false).narrow);
      }
      case '*':
      case '+':
      case '?':
      case '{':
        --at_;
        fail("a quantifier with nothing to repeat");
      case '^':
        --at_;
        fail("an anchor inside");
      default:
        return make_class({{c, c}});
    }
  }

  std::unique_ptr<Node> parse_group(int nesting) {
    if (take('?')) {
      if (take('<')) {
        if (peek() == '=' || peek() == '!') fail("look-behind");
        while (next() != '>') {
        }
      } else if (!take(':')) {
        fail("look-ahead or another special group");
      }
    }
    std::unique_ptr<Node> inside = parse_alternatives(nesting + 1);
    if (peek() == '$') fail("an anchor inside");
    if (!take(')')) fail("a ( without its )");
    return inside;
  }

  uint32_t parse_hex(std::size_t num_digits) {
    uint32_t value = 0;
    for (std::size_t i = 0; i < num_digits; ++i) {
      const char32_t c = next();
      const bool letter = (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
      if (!letter && (c < '0' || c > '9')) fail("an escape without its hexadecimal digits");
      value = value * 16 + (letter ? (c | 0x20) - 'a' + 10 : c - '0');
    }
    return value;
  }

  char32_t parse_unicode_escape() {
    if (take('{')) {
      uint32_t value = 0;
      while (!take('}')) {
        value = value * 16 + parse_hex(1);
        if (value > 0x10FFFF) fail("an escape beyond U+10FFFF");
      }
      return value;
    }
    const uint32_t value = parse_hex(4);
    if (value < 0xD800 || value > 0xDFFF) return value;
    if (value < 0xDC00 && take('\\') && take('u')) {
      const uint32_t low = parse_hex(4);
      if (low >= 0xDC00 && low <= 0xDFFF) return 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
    }
    fail("half of a surrogate pair");
  }

  ClassItem parse_escape(bool in_class) {
    const auto single = [](char32_t c) {
      const CodePoints set = {{c, c}};
      return ClassItem{set, set};
    };
    const auto negated = [](const ClassItem& item) {
      return ClassItem{item.wide.complement(), item.narrow.complement()};
    };
    const char32_t c = next();
    switch (c) {
      case 'd':
        return once(digits_, digits);
      case 'D':
        return negated(once(digits_, digits));
      case 'w':
        return once(words_, word_characters);
      case 'W':
        return negated(once(words_, word_characters));
      case 's':
        return once(spaces_, spaces);
      case 'S':
        return negated(once(spaces_, spaces));
      case 't':
        return single('\t');
      case 'n':
        return single('\n');
      case 'r':
        return single('\r');
      case 'f':
        return single('\f');
      case 'v':
        return single('\v');
      case '0':
        if (peek() >= '0' && peek() <= '9') fail("an octal escape");
        return single(0);
      case 'x':
        return single(parse_hex(2));
      case 'u':
        return single(parse_unicode_escape());
      case 'b':
        if (in_class) return single('\b');
        [[fallthrough]];
      default:
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
          --at_;
          fail(fmt::format("the escape \\{}", static_cast<char>(c)));
        }
        return single(c);
    }
  }

  CodePoints parse_class() {
    const bool negated = take('^');
    ClassItem sum;
    while (!take(']')) {
      const auto item = [&]() -> ClassItem {
        const char32_t c = next();
        if (c == '\\') return parse_escape(/*in_class=*/true);
        const CodePoints set = {{c, c}};
        return {set, set};
      };
      ClassItem low = item();
      if (peek() == '-' && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        ++at_;
        const ClassItem high = item();
        const char32_t first = single_of(low);
        const char32_t last = single_of(high);
        if (last < first) fail("a range whose end is before its beginning");
        low.narrow = low.wide = CodePoints{{first, last}};
      }
      sum.narrow.add(low.narrow);
      sum.wide.add(low.wide);
    }
    return negated ? sum.wide.complement() : sum.narrow;
  }

  char32_t single_of(const ClassItem& item) const {
    const auto& ranges = item.narrow.ranges();
    if (ranges.size() != 1 || ranges[0].first != ranges[0].second || !(item.narrow == item.wide))
      fail("a range from or to a class");
    return ranges[0].first;
  }

  // Looking through all of Unicode takes milliseconds, and a pattern may do it a thousand times.
  static const ClassItem& once(std::optional<ClassItem>& kept, ClassItem (*make)()) {
    if (!kept) kept = make();
    return *kept;
  }

  Regex::Match match_;
  std::u32string text_;
  std::size_t at_ = 0;
  std::optional<ClassItem> digits_;
  std::optional<ClassItem> words_;
  std::optional<ClassItem> spaces_;
};

using AddChar = void (*)(Nfa&, uint32_t, const CodePoints&, uint32_t);

// Adds what `node` matches between `from` and a new node, which is returned.
uint32_t add_node(Nfa& nfa, const Node& node, uint32_t from, AddChar add_char) {
  switch (node.kind) {
    case Kind::kClass: {
      const uint32_t to = nfa.add_node();
      add_char(nfa, from, node.set, to);
      return to;
    }
    case Kind::kSequence:
      for (const auto& child : node.children) from = add_node(nfa, *child, from, add_char);
      return from;
    case Kind::kAlternatives: {
      const uint32_t to = nfa.add_node();
      for (const auto& child : node.children) nfa.add_epsilon(add_node(nfa, *child, from, add_char), to);
      return to;
    }
    case Kind::kRepeat:
      break;
  }
  const Node& child = *node.children[0];
  for (uint32_t i = 0; i < node.min; ++i) from = add_node(nfa, child, from, add_char);
  const uint32_t end = nfa.add_node();
  if (node.max == kUnbounded) {
    const uint32_t loop =
        nfa.add_node();  // of its own: a loop onto `from` would also be one for its neighbours
    nfa.add_epsilon(from, loop);
    nfa.add_epsilon(add_node(nfa, child, loop, add_char), loop);
    nfa.add_epsilon(loop, end);
    return end;
  }
  for (uint32_t i = node.min; i < node.max; ++i) {
    nfa.add_epsilon(from, end);
    from = add_node(nfa, child, from, add_char);
  }
  nfa.add_epsilon(from, end);
  return end;
}

// The only child, through groups and sequences of one.
const Node& unwrap(const Node& node) {
  const bool wraps =
      (node.kind == Kind::kSequence || node.kind == Kind::kAlternatives) && node.children.size() == 1;
  return wraps ? unwrap(*node.children[0]) : node;
}

}  // namespace

Regex::Regex(std::string_view pattern, Match match) : root_(Parser(pattern, match).parse()) {}
Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

Dfa Regex::json_text(WorkBudget& budget) const {
  Nfa nfa;
  const uint32_t start = nfa.add_node();
  const uint32_t text_end = add_node(nfa, *root_, start, add_json_char);
  const uint32_t end = nfa.add_node();
  nfa.add_bytes(text_end, '"', '"', end);
  return nfa.determinize(start, end, budget);
}

Dfa Regex::plain_text(WorkBudget& budget) const {
  Nfa nfa;
  const uint32_t start = nfa.add_node();
  const uint32_t end = add_node(nfa, *root_, start, add_utf8_char);
  return nfa.determinize(start, end, budget);
}

std::optional<Regex::RepeatedClass> Regex::repeated_class() const {
  const Node& node = unwrap(*root_);
  if (node.kind == Kind::kClass) return RepeatedClass{node.set, 1, 1};
  if (node.kind != Kind::kRepeat) return std::nullopt;
  const Node& child = unwrap(*node.children[0]);
  if (child.kind != Kind::kClass) return std::nullopt;
  return RepeatedClass{child.set, node.min, node.max};
}

}  // namespace gossamer
