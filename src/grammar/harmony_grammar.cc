#include "grammar/harmony_grammar.h"

#include <algorithm>
#include <utility>

namespace gossamer {
namespace {

// Arguments are an object, whether or not their schema says so.
json::value object_schema(json::value parameters) {
  if (parameters.is_object() && !parameters.as_object().contains("type"))
    parameters.as_object()["type"] = "object";
  return parameters;
}

class HarmonyBuilder {
 public:
  explicit HarmonyBuilder(const HarmonyGrammarOptions& options) : options_(options) {}

  Grammar build() && {
    const bool has_tools = options_.tool_choice != HarmonyToolChoice::kNone && !options_.tools.empty();
    const bool plain_answer = options_.answer_format == HarmonyAnswerFormat::kText;
    const NodeId begin = builder_.add_node();  // behind <|start|>assistant
    if (options_.reasoning) add_thought(begin, "analysis");
    // Before an answer in JSON a preamble would be an answer that is none.
    if (has_tools && plain_answer) add_thought(begin, "commentary");
    if (options_.tool_choice != HarmonyToolChoice::kRequired) add_reply(begin);
    if (has_tools) add_calls(begin);
    return std::move(builder_).finish(begin, call_depth(options_.json) + 1);
  }

 private:
  NodeId add_message_text(NodeId from, std::string_view channel) {
    const NodeId name = builder_.add_mark(from, Mark::kChannel);
    return builder_.add_mark(builder_.add_literal(name, channel), Mark::kMessage);
  }
  // From behind a message's end token to the next message's header.
  void add_next_message(NodeId from, NodeId begin) {
    builder_.add_literal(builder_.add_mark(from, Mark::kStart), "assistant", begin);
  }

  void add_thought(NodeId begin, std::string_view channel) {
    const NodeId end = builder_.add_node();
    builder_.add_call(add_message_text(begin, channel), standard_rules().text_until_end, end);
    add_next_message(end, begin);
  }

  void add_reply(NodeId begin) {
    const NodeId text = add_message_text(begin, "final");
    const NodeId end = builder_.add_accepting_node();
    if (options_.answer_format == HarmonyAnswerFormat::kText)
      return builder_.add_call(text, standard_rules().text_until_return, end);
    const NodeId value_end = builder_.add_node();
    const bool by_schema = options_.answer_format == HarmonyAnswerFormat::kJsonSchema;
    const json::value schema = by_schema ? options_.answer_schema : any_object();
    builder_.add_call(text, add_value(schema), value_end);
    builder_.add_epsilon(builder_.add_mark(value_end, Mark::kReturn), end);
  }

  void add_calls(NodeId begin) {
    // A second call follows only a call: behind it neither thoughts nor an answer may come, the results are
    // missing.
    const NodeId next = options_.parallel_tool_calls ? builder_.add_node() : begin;
    const NodeId arguments_end = builder_.add_node();
    builder_.set_accepting(builder_.add_mark(arguments_end, Mark::kCall));
    if (options_.parallel_tool_calls) {
      builder_.add_epsilon(begin, next);
      add_next_message(builder_.add_mark(arguments_end, Mark::kEnd), next);
    }
    const NodeId channel = builder_.add_literal(builder_.add_mark(next, Mark::kChannel), "commentary");
    std::optional<NodeId> object;
    for (const HarmonyToolGrammar& tool : options_.tools) {
      if (!tool.parameters && !object) object = add_value(any_object());
      const NodeId arguments = tool.parameters ? add_value(object_schema(*tool.parameters)) : *object;
      const std::string recipient = " to=" + tool.recipient;
      const NodeId header_end = builder_.add_literal(channel, recipient);
      const NodeId before_channel = builder_.add_mark(builder_.add_literal(next, recipient), Mark::kChannel);
      builder_.add_literal(before_channel, "commentary", header_end);
      builder_.add_call(add_type_and_message(header_end), arguments, arguments_end);
    }
  }

  NodeId add_type_and_message(NodeId from) {
    const NodeId typed = builder_.add_node();
    builder_.add_epsilon(from, typed);
    builder_.add_literal(from, " json", typed);
    builder_.add_literal(builder_.add_mark(from, Mark::kConstrain), "json", typed);
    builder_.add_literal(builder_.add_mark(builder_.add_literal(from, " "), Mark::kConstrain), "json", typed);
    return builder_.add_mark(typed, Mark::kMessage);
  }

  NodeId add_value(const json::value& schema) {
    return add_json_schema(builder_, schema, options_.json, budget_);
  }
  static json::value any_object() { return json::object{{"type", "object"}}; }

  const HarmonyGrammarOptions& options_;
  GrammarBuilder builder_;
  WorkBudget budget_;
};

RequestError invalid(std::string message) { return {RequestErrorKind::kInvalid, std::move(message)}; }

// A name that can stand in a header: it must not look like the header's end, another word or another part.
bool is_header_word(std::string_view name) {
  return !name.empty() && name.size() <= 128 && std::all_of(name.begin(), name.end(), [](char c) {
    return c > ' ' && c < 0x7F && c != '<' && c != '>' && c != '|';
  });
}

}  // namespace

Result<Grammar> harmony_grammar(const HarmonyGrammarOptions& options) {
  const bool required = options.tool_choice == HarmonyToolChoice::kRequired;
  if (required && options.tools.empty()) return invalid("a call is required, and no tool is declared");
  // Each schema by itself first, so that a mistake is reported with its place, and one that nothing satisfies
  // is not merely left out.
  WorkBudget budget;
  if (options.tool_choice != HarmonyToolChoice::kNone) {
    for (const HarmonyToolGrammar& tool : options.tools) {
      if (!is_header_word(tool.recipient))
        return invalid(
            fmt::format("tool \"{}\": the name must be 1 to 128 visible ASCII characters without "
                        "<, > and |",
                        tool.recipient));
      if (!tool.parameters) continue;
      const Result<Grammar> alone =
          json_schema_grammar(object_schema(*tool.parameters), options.json, budget);
      if (!alone.ok()) return invalid(fmt::format("tool \"{}\": {}", tool.recipient, alone.error().message));
    }
  }
  if (options.answer_format == HarmonyAnswerFormat::kJsonSchema && !required) {
    const Result<Grammar> alone = json_schema_grammar(options.answer_schema, options.json, budget);
    if (!alone.ok()) return invalid(fmt::format("response_format: {}", alone.error().message));
  }
  try {
    return HarmonyBuilder(options).build();
  } catch (const GrammarError& error) {
    return invalid(fmt::format("the tools and the answer's format together: {}", error.what()));
  }
}

}  // namespace gossamer
