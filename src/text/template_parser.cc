#include "text/template_parser.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

namespace gossamer {
namespace {

using Expression = TemplateProgram::Expression;
using Node = TemplateProgram::Node;
using Op = Expression::Op;
using Type = Expression::Type;

constexpr int kMaxDepth = 32;  // of tags and parentheses; templates need four

// What the parser cannot read. Never leaves this file.
struct NotRead {
  std::string what;
};

std::string joined(std::span<const TemplateWord> words) {
  std::string text;
  for (const TemplateWord& word : words) {
    if (!text.empty()) text += ' ';
    text += word.kind == TemplateWord::Kind::kString ? "'" + word.text + "'" : word.text;
  }
  constexpr std::size_t kLongest = 60;
  return text.size() > kLongest ? text.substr(0, kLongest) + "..." : text;
}

// The words of one tag, from the front.
class Words {
 public:
  explicit Words(std::span<const TemplateWord> words) : words_(words) {}

  bool at_end() const { return words_.empty(); }
  bool next_is(std::string_view text) const {
    return !words_.empty() && words_.front().kind != TemplateWord::Kind::kString &&
           words_.front().text == text;
  }
  bool accept(std::string_view text) {
    if (!next_is(text)) return false;
    words_ = words_.subspan(1);
    return true;
  }
  void expect(std::string_view text) {
    if (!accept(text)) fail();
  }
  bool next_is(TemplateWord::Kind kind) const { return !words_.empty() && words_.front().kind == kind; }
  std::string take(TemplateWord::Kind kind) {
    if (!next_is(kind)) fail();
    std::string text = words_.front().text;
    words_ = words_.subspan(1);
    return text;
  }
  [[noreturn]] void fail() const {
    throw NotRead{words_.empty() ? "an unfinished tag" : "\"" + joined(words_) + "\""};
  }

 private:
  std::span<const TemplateWord> words_;
};

class Parser {
 public:
  explicit Parser(std::span<const TemplatePart> parts) : parts_(parts) {}

  std::vector<Node> parse() {
    std::vector<Node> nodes = parse_nodes();
    if (at_ < parts_.size()) Words(parts_[at_].words).fail();
    return nodes;
  }

  int line() const { return parts_.empty() ? 1 : parts_[std::min(at_, parts_.size() - 1)].line; }

 private:
  // Up to a statement that belongs to somebody further up: else, elif, endif, endfor.
  std::vector<Node> parse_nodes() {
    if (++depth_ > kMaxDepth) throw NotRead{"so many tags inside one another"};
    std::vector<Node> nodes;
    for (; at_ < parts_.size(); ++at_) {
      const TemplatePart& part = parts_[at_];
      if (part.kind == TemplatePart::Kind::kText) {
        nodes.push_back({.expression = {.op = Op::kText, .text = part.text}});
        continue;
      }
      Words words(part.words);
      if (part.kind == TemplatePart::Kind::kWrite) {
        nodes.push_back({.expression = parse_all(words, Type::kText)});
      } else if (words.accept("if")) {
        nodes.push_back(parse_if(words));
      } else if (words.accept("for")) {
        nodes.push_back(parse_loop(words));
      } else if (words.accept("set")) {
        words.expect("add_generation_prompt");
        words.expect("=");
        nodes.push_back({.kind = Node::Kind::kSetGenerate, .expression = parse_all(words, Type::kBool)});
      } else {
        break;
      }
    }
    --depth_;
    return nodes;
  }

  // At the tag with the condition; leaves at its endif.
  Node parse_if(Words words) {
    Node node{.kind = Node::Kind::kIf, .expression = parse_all(words, Type::kBool)};
    ++at_;
    node.body = parse_nodes();
    Words next = statement();
    if (next.accept("elif")) {
      if (++depth_ > kMaxDepth) throw NotRead{"so many elif"};
      node.otherwise.push_back(parse_if(next));
      --depth_;
      return node;
    }
    if (next.accept("else")) {
      if (!next.at_end()) next.fail();
      ++at_;
      node.otherwise = parse_nodes();
      next = statement();
    }
    next.expect("endif");
    if (!next.at_end()) next.fail();
    return node;
  }

  Node parse_loop(Words words) {
    if (!message_.empty()) throw NotRead{"a loop inside a loop"};
    message_ = words.take(TemplateWord::Kind::kName);
    words.expect("in");
    words.expect("messages");
    if (!words.at_end()) words.fail();
    Node node{.kind = Node::Kind::kLoop};
    ++at_;
    node.body = parse_nodes();
    Words next = statement();
    next.expect("endfor");
    if (!next.at_end()) next.fail();
    message_.clear();
    return node;
  }

  Words statement() const {
    if (at_ >= parts_.size()) throw NotRead{"an if or a for without an end"};
    return Words(parts_[at_].words);
  }

  Expression parse_all(Words& words, Type type) {
    Expression expression = parse_or(words);
    if (!words.at_end() || expression.type != type) words.fail();
    return expression;
  }

  static Expression combine(Op op, Type type, Expression left, Expression right) {
    Expression expression{.op = op, .type = type};
    expression.arguments.push_back(std::move(left));
    expression.arguments.push_back(std::move(right));
    return expression;
  }

  static void require(bool fine, const Words& words) {
    if (!fine) words.fail();
  }

  Expression parse_or(Words& words) {
    if (++depth_ > kMaxDepth) throw NotRead{"so many parentheses"};
    Expression left = parse_and(words);
    while (words.next_is("or")) {
      require(left.type == Type::kBool, words);
      words.expect("or");
      Expression right = parse_and(words);
      require(right.type == Type::kBool, words);
      left = combine(Op::kOr, Type::kBool, std::move(left), std::move(right));
    }
    --depth_;
    return left;
  }

  Expression parse_and(Words& words) {
    Expression left = parse_not(words);
    while (words.next_is("and")) {
      require(left.type == Type::kBool, words);
      words.expect("and");
      Expression right = parse_not(words);
      require(right.type == Type::kBool, words);
      left = combine(Op::kAnd, Type::kBool, std::move(left), std::move(right));
    }
    return left;
  }

  Expression parse_not(Words& words) {
    if (!words.accept("not")) return parse_comparison(words);
    if (++depth_ > kMaxDepth) throw NotRead{"so many not"};
    Expression expression{.op = Op::kNot, .type = Type::kBool};
    expression.arguments.push_back(parse_not(words));
    require(expression.arguments[0].type == Type::kBool, words);
    --depth_;
    return expression;
  }

  Expression parse_comparison(Words& words) {
    Expression left = parse_sum(words);
    const bool equal = words.next_is("==");
    if (!equal && !words.next_is("!=")) return left;
    words.accept(equal ? "==" : "!=");
    Expression right = parse_sum(words);
    require(left.type == right.type && !words.next_is("==") && !words.next_is("!="), words);
    return combine(equal ? Op::kEqual : Op::kNotEqual, Type::kBool, std::move(left), std::move(right));
  }

  // "~" binds closer than "+", which makes no difference where both put texts together.
  Expression parse_sum(Words& words) {
    Expression left = parse_remainder(words);
    while (words.next_is("+") || words.next_is("~")) {
      require(left.type == Type::kText, words);
      if (!words.accept("+")) words.expect("~");
      Expression right = parse_remainder(words);
      require(right.type == Type::kText, words);
      left = combine(Op::kConcat, Type::kText, std::move(left), std::move(right));
    }
    return left;
  }

  Expression parse_remainder(Words& words) {
    Expression left = parse_filtered(words);
    if (!words.accept("%")) return left;
    Expression right = parse_filtered(words);
    require(left.type == Type::kNumber && right.op == Op::kNumber && right.number > 0, words);
    return combine(Op::kRemainder, Type::kNumber, std::move(left), std::move(right));
  }

  Expression parse_filtered(Words& words) {
    Expression expression = parse_primary(words);
    for (;;) {
      if (words.accept("|")) {
        words.expect("trim");
      } else if (words.accept(".")) {
        words.expect("strip");
        words.expect("(");
        words.expect(")");
      } else {
        return expression;
      }
      require(expression.type == Type::kText, words);
      Expression trimmed{.op = Op::kTrim};
      trimmed.arguments.push_back(std::move(expression));
      expression = std::move(trimmed);
    }
  }

  Expression parse_primary(Words& words) {
    if (words.next_is(TemplateWord::Kind::kString))
      return {.op = Op::kText, .text = words.take(TemplateWord::Kind::kString)};
    if (words.next_is(TemplateWord::Kind::kNumber))
      return {.op = Op::kNumber, .type = Type::kNumber, .number = parse_number(words)};
    if (words.accept("(")) {
      Expression inner = parse_or(words);
      words.expect(")");
      return inner;
    }
    if (words.accept("loop")) return parse_place(words);
    if (words.accept("messages")) return parse_distant(words);
    if (!message_.empty() && words.accept(message_)) return parse_field(words, Expression::kCurrent);
    if (words.accept("raise_exception")) {
      words.expect("(");
      Expression raise{.op = Op::kRaise};
      raise.arguments.push_back({.op = Op::kText, .text = words.take(TemplateWord::Kind::kString)});
      words.expect(")");
      return raise;
    }
    return parse_variable(words);
  }

  static int64_t parse_number(Words& words) {
    const std::string text = words.take(TemplateWord::Kind::kNumber);
    const bool plain = text.size() <= 6 && text.find_first_not_of("0123456789") == std::string::npos;
    if (!plain) throw NotRead{"\"" + text + "\""};
    return std::stoll(text);
  }

  static Expression parse_variable(Words& words) {
    struct Variable {
      std::string_view name;
      Expression value;
    };
    const Variable variables[] = {
        {"bos_token", {.op = Op::kBos}},
        {"eos_token", {.op = Op::kEos}},
        {"add_generation_prompt", {.op = Op::kGenerate, .type = Type::kBool}},
        {"true", {.op = Op::kBool, .type = Type::kBool, .number = 1}},
        {"True", {.op = Op::kBool, .type = Type::kBool, .number = 1}},
        {"false", {.op = Op::kBool, .type = Type::kBool}},
        {"False", {.op = Op::kBool, .type = Type::kBool}},
    };
    for (const Variable& variable : variables) {
      if (!words.accept(variable.name)) continue;
      // Given to every template, so it is defined.
      if (variable.value.op == Op::kGenerate && words.accept("is")) {
        const bool negated = words.accept("not");
        words.expect("defined");
        return {.op = Op::kBool, .type = Type::kBool, .number = negated ? 0 : 1};
      }
      return variable.value;
    }
    words.fail();
  }

  Expression parse_place(Words& words) const {
    if (message_.empty()) throw NotRead{"\"loop\" outside a loop"};
    words.expect(".");
    if (words.accept("first")) return {.op = Op::kFirst, .type = Type::kBool};
    if (words.accept("last")) return {.op = Op::kLast, .type = Type::kBool};
    if (words.accept("index0")) return {.op = Op::kIndex0, .type = Type::kNumber};
    words.expect("index");
    return {.op = Op::kIndex, .type = Type::kNumber};
  }

  static Expression parse_distant(Words& words) {
    words.expect("[");
    const bool last = words.accept("-");
    const int64_t number = parse_number(words);
    require(number == (last ? 1 : 0), words);
    words.expect("]");
    return parse_field(words, last ? -1 : 0);
  }

  static Expression parse_field(Words& words, int64_t message) {
    std::string field;
    if (words.accept(".")) {
      field = words.take(TemplateWord::Kind::kName);
    } else {
      words.expect("[");
      field = words.take(TemplateWord::Kind::kString);
      words.expect("]");
    }
    if (field != "role" && field != "content") throw NotRead{"a message's \"" + field + "\""};
    return {.op = field == "role" ? Op::kRole : Op::kContent, .number = message};
  }

  std::span<const TemplatePart> parts_;
  std::size_t at_ = 0;
  int depth_ = 0;
  std::string message_;  // the loop's variable; empty outside
};

}  // namespace

Result<std::vector<TemplateProgram::Node>> parse_template(std::span<const TemplatePart> parts) {
  Parser parser(parts);
  try {
    return parser.parse();
  } catch (const NotRead& error) {
    return RequestError{.message = fmt::format("line {}: {}", parser.line(), error.what)};
  }
}

}  // namespace gossamer
