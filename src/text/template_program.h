// The part of Jinja that the common chat templates are written in, and nothing else: one loop over the
// messages, tests on a message's role and on its place, texts put together with +. A template that uses
// anything more is not read at all, so that what is read means here exactly what it means to transformers.
// There are no variables, no nested loops and no calls, so nothing in it can run away. Used by
// chat_template.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace gossamer {

enum class ChatTurnRole : uint8_t { kSystem, kUser, kAssistant };

// "system", "user" or "assistant".
std::string_view to_string(ChatTurnRole role);

struct ChatTurn {
  ChatTurnRole role = ChatTurnRole::kUser;
  std::string text;
};

// What a template writes: its own text, or a message's.
struct TemplatePiece {
  std::string text;
  bool is_message = false;
};

struct TemplateInputs {
  std::span<const ChatTurn> turns;  // at least one
  bool add_generation_prompt = true;
  std::string_view bos_token;
  std::string_view eos_token;
};

class TemplateProgram {
 public:
  // The error says what of `text` is not read, and in which line.
  static Result<TemplateProgram> parse(std::string_view text);

  // What stands between two messages' texts is one piece. The error is the template's own (raise_exception).
  Result<std::vector<TemplatePiece>> run(const TemplateInputs& inputs) const;

  bool uses_bos_token() const { return uses_bos_token_; }
  bool uses_eos_token() const { return uses_eos_token_; }

  // A parsed expression. Its type is known from its form alone, and checked when it is parsed.
  struct Expression {
    enum class Op : uint8_t {
      kText,     // the literal `text`
      kNumber,   // the literal `number`
      kBool,     // `number` is 0 or 1
      kRole,     // of the message `number`: kCurrent, 0 or -1
      kContent,  // of that
      kTrim,     // arguments[0] without the white space around it
      kBos,
      kEos,
      kGenerate,  // add_generation_prompt
      kFirst,     // loop.first
      kLast,
      kIndex0,
      kIndex,
      kConcat,
      kRemainder,
      kEqual,
      kNotEqual,
      kAnd,
      kOr,
      kNot,
      kRaise,  // raise_exception(arguments[0])
    };
    enum class Type : uint8_t { kText, kNumber, kBool };
    static constexpr int64_t kCurrent = 1;  // the message that the loop is at

    Op op = Op::kText;
    Type type = Type::kText;
    std::string text = {};
    int64_t number = 0;
    std::vector<Expression> arguments = {};
  };

  struct Node {
    enum class Kind : uint8_t { kWrite, kIf, kLoop, kSetGenerate };
    Kind kind = Kind::kWrite;
    Expression expression = {};   // what is written; the condition; the value
    std::vector<Node> body = {};  // of the loop; where the condition holds
    std::vector<Node> otherwise = {};
  };

 private:
  std::vector<Node> nodes_;
  bool uses_bos_token_ = false;
  bool uses_eos_token_ = false;
};

}  // namespace gossamer
