#include "text/template_program.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/utf8.h"
#include "text/template_parser.h"
#include "text/template_tokens.h"

namespace gossamer {
namespace {

using Expression = TemplateProgram::Expression;
using Node = TemplateProgram::Node;
using Op = Expression::Op;
using Pieces = std::vector<TemplatePiece>;

// As Python's str.isspace().
bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

std::string_view trimmed(std::string_view text) {
  std::size_t begin = text.size();
  std::size_t end = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text.substr(at));
    const bool space = step.status == Utf8Status::kValid && is_space(step.code_point);
    if (!space) begin = std::min(begin, at);
    at += step.length;
    if (!space) end = at;
  }
  return begin < end ? text.substr(begin, end - begin) : std::string_view();
}

void append(Pieces& out, std::string_view text, bool is_message) {
  if (text.empty()) return;
  if (out.empty() || out.back().is_message != is_message) out.push_back({.is_message = is_message});
  out.back().text += text;
}

std::string flat(const Pieces& pieces) {
  std::string text;
  for (const TemplatePiece& piece : pieces) text += piece.text;
  return text;
}

// raise_exception. Never leaves this file.
struct Raised {
  std::string message;
};

class Runner {
 public:
  explicit Runner(const TemplateInputs& inputs) : inputs_(inputs), generate_(inputs.add_generation_prompt) {}

  void run(const std::vector<Node>& nodes) {
    for (const Node& node : nodes) {
      switch (node.kind) {
        case Node::Kind::kWrite:
          write(node.expression, out_);
          break;
        case Node::Kind::kIf:
          run(holds(node.expression) ? node.body : node.otherwise);
          break;
        case Node::Kind::kSetGenerate:
          generate_ = holds(node.expression);
          break;
        case Node::Kind::kLoop:
          // What a loop sets ends with it in Jinja, at each message.
          for (at_ = 0; at_ < inputs_.turns.size(); ++at_) {
            const bool outer = generate_;
            run(node.body);
            generate_ = outer;
          }
          break;
      }
    }
  }

  Pieces take() { return std::move(out_); }

 private:
  const ChatTurn& turn(const Expression& e) const {
    if (e.number == Expression::kCurrent) return inputs_.turns[at_];
    return e.number == 0 ? inputs_.turns.front() : inputs_.turns.back();
  }

  void write(const Expression& e, Pieces& out) const {
    switch (e.op) {
      case Op::kText:
        return append(out, e.text, false);
      case Op::kRole:
        return append(out, to_string(turn(e).role), false);
      case Op::kContent:
        return append(out, turn(e).text, true);
      case Op::kBos:
        return append(out, inputs_.bos_token, false);
      case Op::kEos:
        return append(out, inputs_.eos_token, false);
      case Op::kConcat:
        write(e.arguments[0], out);
        return write(e.arguments[1], out);
      case Op::kTrim:
        return write_trimmed(e.arguments[0], out);
      case Op::kRaise:
        throw Raised{e.arguments[0].text};
      default:
        GOSSAMER_CHECK(!"a text");
    }
  }

  void write_trimmed(const Expression& e, Pieces& out) const {
    Pieces pieces;
    write(e, pieces);
    const std::string text = flat(pieces);
    const std::string_view kept = trimmed(text);
    const auto begin = kept.empty() ? text.size() : static_cast<std::size_t>(kept.data() - text.data());
    std::size_t at = 0;
    for (const TemplatePiece& piece : pieces) {
      const std::size_t from = std::clamp(begin, at, at + piece.text.size());
      const std::size_t to = std::clamp(begin + kept.size(), from, at + piece.text.size());
      append(out, std::string_view(piece.text).substr(from - at, to - from), piece.is_message);
      at += piece.text.size();
    }
  }

  int64_t number(const Expression& e) const {
    if (e.op == Op::kIndex0) return static_cast<int64_t>(at_);
    if (e.op == Op::kIndex) return static_cast<int64_t>(at_) + 1;
    if (e.op == Op::kRemainder) return number(e.arguments[0]) % number(e.arguments[1]);
    return e.number;
  }

  bool equal(const Expression& left, const Expression& right) const {
    if (left.type == Expression::Type::kNumber) return number(left) == number(right);
    if (left.type == Expression::Type::kBool) return holds(left) == holds(right);
    Pieces a;
    Pieces b;
    write(left, a);
    write(right, b);
    return flat(a) == flat(b);
  }

  bool holds(const Expression& e) const {
    switch (e.op) {
      case Op::kBool:
        return e.number != 0;
      case Op::kGenerate:
        return generate_;
      case Op::kFirst:
        return at_ == 0;
      case Op::kLast:
        return at_ + 1 == inputs_.turns.size();
      case Op::kNot:
        return !holds(e.arguments[0]);
      case Op::kAnd:
        return holds(e.arguments[0]) && holds(e.arguments[1]);
      case Op::kOr:
        return holds(e.arguments[0]) || holds(e.arguments[1]);
      case Op::kEqual:
        return equal(e.arguments[0], e.arguments[1]);
      case Op::kNotEqual:
        return !equal(e.arguments[0], e.arguments[1]);
      default:
        GOSSAMER_CHECK(!"a condition");
    }
    return false;
  }

  const TemplateInputs& inputs_;
  bool generate_;
  std::size_t at_ = 0;
  Pieces out_;
};

bool uses(const Expression& e, Op op) {
  return e.op == op || std::any_of(e.arguments.begin(), e.arguments.end(),
                                   [op](const Expression& argument) { return uses(argument, op); });
}

bool uses(const std::vector<Node>& nodes, Op op) {
  return std::any_of(nodes.begin(), nodes.end(), [op](const Node& node) {
    return uses(node.expression, op) || uses(node.body, op) || uses(node.otherwise, op);
  });
}

}  // namespace

std::string_view to_string(ChatTurnRole role) {
  if (role == ChatTurnRole::kSystem) return "system";
  return role == ChatTurnRole::kUser ? "user" : "assistant";
}

Result<TemplateProgram> TemplateProgram::parse(std::string_view text) {
  Result<std::vector<TemplatePart>> parts = cut_template(text);
  if (!parts.ok()) return parts.error();
  Result<std::vector<Node>> nodes = parse_template(parts.value());
  if (!nodes.ok()) return nodes.error();
  TemplateProgram program;
  program.nodes_ = std::move(nodes).value();
  program.uses_bos_token_ = uses(program.nodes_, Op::kBos);
  program.uses_eos_token_ = uses(program.nodes_, Op::kEos);
  return program;
}

Result<std::vector<TemplatePiece>> TemplateProgram::run(const TemplateInputs& inputs) const {
  GOSSAMER_CHECK(!inputs.turns.empty());
  Runner runner(inputs);
  try {
    runner.run(nodes_);
  } catch (const Raised& raised) {
    return RequestError{.message = raised.message};
  }
  return runner.take();
}

}  // namespace gossamer
