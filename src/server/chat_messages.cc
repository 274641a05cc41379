#include "server/chat_messages.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

namespace gossamer {
namespace {

// "function" is what tools were called before; its messages name the function instead of a call's id.
constexpr std::array<std::string_view, 6> kRoles = {"system",    "developer", "user",
                                                    "assistant", "tool",      "function"};
constexpr std::size_t kFunctionRole = 5;

// Names stand in Harmony's message headers, where a space would begin another word.
void check_name(const std::string& name, const std::string& path) {
  const bool fine = !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
  });
  const json::value found(name);
  if (!fine) fail_at(path, "1 to 64 letters, digits, underscores, hyphens or dots", &found);
}

}  // namespace

std::string required_name(const JsonFields& fields, std::string_view key) {
  std::string name = fields.required_string(key);
  check_name(name, fields.path_of(key));
  return name;
}

namespace {

// The text of a part of a message's content.
std::string read_part(const json::value& value, const std::string& path) {
  if (value.is_string()) return std::string(value.get_string());
  const JsonFields part(value, path);
  const std::string type = part.required_string("type");
  if (type == "text") return part.required_string("text");
  if (type == "refusal") return part.required_string("refusal");
  part.fail("type", "\"text\" (this model reads no images, sound or files)");
}

std::optional<std::string> read_content(const JsonFields& message) {
  const json::value* content = message.find("content");
  if (content == nullptr) return std::nullopt;
  if (content->is_string()) return std::string(content->get_string());
  if (!content->is_array()) message.fail("content", "a string or a list of parts");
  std::string text;
  const json::array& parts = content->get_array();
  for (std::size_t i = 0; i < parts.size(); ++i)
    text += read_part(parts[i], fmt::format("{}[{}]", message.path_of("content"), i));
  return text;
}

// A function's arguments: JSON text, as OpenAI has it. Clients that keep them as an object are understood.
std::string read_arguments(const JsonFields& function) {
  const json::value* arguments = function.find("arguments");
  if (arguments != nullptr && arguments->is_object()) return json::serialize(*arguments);
  return function.required_string("arguments");
}

ChatToolCall read_call(const json::value& value, const std::string& path) {
  const JsonFields call(value, path);
  call.choice("type", {"function"});
  const json::value* function = call.find("function");
  if (function == nullptr) call.fail("function", "an object");
  const JsonFields fields(*function, call.path_of("function"));
  return {.id = call.required_string("id"),
          .function = required_name(fields, "name"),
          .arguments = read_arguments(fields)};
}

void read_assistant_fields(const JsonFields& fields, ChatMessage& message) {
  // Three names for one thing: OpenAI's guidance, DeepSeek's and llama.cpp's, Ollama's.
  for (const std::string_view key : {"reasoning", "reasoning_content", "thinking"}) {
    if (std::optional<std::string> text = fields.string(key); text && message.reasoning.empty())
      message.reasoning = *std::move(text);
  }
  if (const json::array* calls = fields.array("tool_calls")) {
    for (std::size_t i = 0; i < calls->size(); ++i) {
      message.tool_calls.push_back(
          read_call((*calls)[i], fmt::format("{}[{}]", fields.path_of("tool_calls"), i)));
    }
  }
  if (const json::value* call = fields.find("function_call")) {
    const JsonFields function(*call, fields.path_of("function_call"));
    message.tool_calls.push_back(
        {.id = {}, .function = required_name(function, "name"), .arguments = read_arguments(function)});
  }
  if (!message.content && message.tool_calls.empty() && message.reasoning.empty())
    fields.fail("content", "a string or a list of parts, since there are no tool_calls");
}

// The function of the call that a tool's message answers.
std::string read_called_function(const JsonFields& fields,
                                 const std::map<std::string, std::string>& functions) {
  const auto it = functions.find(fields.required_string("tool_call_id"));
  if (it == functions.end())
    fields.fail("tool_call_id", "the id of a call in an earlier message's tool_calls");
  return it->second;
}

}  // namespace

std::vector<ChatMessage> read_messages(const JsonFields& body) {
  const json::array& list = body.required_array("messages");
  if (list.empty()) body.fail("messages", "at least one message");
  std::vector<ChatMessage> messages;
  std::map<std::string, std::string> functions;  // by id of the call
  for (std::size_t i = 0; i < list.size(); ++i) {
    const JsonFields fields(list[i], fmt::format("messages[{}]", i));
    const std::optional<std::size_t> role = fields.choice("role", {kRoles.begin(), kRoles.end()});
    if (!role) fields.fail("role", "a role: system, developer, user, assistant or tool");
    ChatMessage message;
    message.role = *role == kFunctionRole ? ChatRole::kTool : static_cast<ChatRole>(*role);
    message.content = read_content(fields);
    if (message.role == ChatRole::kAssistant) {
      read_assistant_fields(fields, message);
    } else if (!message.content) {
      fields.fail("content", "a string or a list of parts");
    }
    const bool has_user_name = message.role == ChatRole::kUser && fields.find("name") != nullptr;
    if (*role == kFunctionRole || has_user_name) {
      message.name = required_name(fields, "name");
    } else if (message.role == ChatRole::kTool) {
      message.name = read_called_function(fields, functions);
    }
    for (const ChatToolCall& call : message.tool_calls) functions.insert_or_assign(call.id, call.function);
    messages.push_back(std::move(message));
  }
  return messages;
}

std::vector<ChatTool> read_tools(const JsonFields& body) {
  std::vector<ChatTool> tools;
  const json::array* list = body.array("tools");
  for (std::size_t i = 0; list != nullptr && i < list->size(); ++i) {
    const JsonFields fields((*list)[i], fmt::format("tools[{}]", i));
    if (!fields.choice("type", {"function"})) fields.fail("type", "\"function\"");
    const json::value* value = fields.find("function");
    if (value == nullptr) fields.fail("function", "an object");
    const JsonFields function(*value, fields.path_of("function"));
    ChatTool tool;
    tool.function.name = required_name(function, "name");
    tool.function.description = function.string("description").value_or("");
    tool.strict = function.boolean("strict").value_or(false);
    if (const json::value* parameters = function.find("parameters")) {
      if (!parameters->is_object()) function.fail("parameters", "a JSON schema, which is an object");
      tool.function.parameters = *parameters;
    }
    const bool known = std::any_of(tools.begin(), tools.end(), [&](const ChatTool& other) {
      return other.function.name == tool.function.name;
    });
    if (known) function.fail("name", "a name that no other tool has");
    tools.push_back(std::move(tool));
  }
  return tools;
}

ToolChoice read_tool_choice(const JsonFields& body, const std::vector<ChatTool>& tools) {
  constexpr std::string_view kKey = "tool_choice";
  const auto declared_name = [&](const JsonFields& owner) {
    const json::value* function = owner.find("function");
    if (function == nullptr) owner.fail("function", "an object with the name of one of the tools");
    const JsonFields fields(*function, owner.path_of("function"));
    std::string name = fields.required_string("name");
    const bool declared = std::any_of(tools.begin(), tools.end(),
                                      [&](const ChatTool& tool) { return tool.function.name == name; });
    if (!declared) fields.fail("name", "the name of one of the tools");
    return name;
  };

  ToolChoice choice;
  const json::value* value = body.find(kKey);
  if (value == nullptr) return choice;
  if (!value->is_object()) {
    choice.mode = static_cast<ToolChoice::Mode>(*body.choice(kKey, {"auto", "none", "required"}));
  } else {
    const JsonFields fields(*value, std::string(kKey));
    const std::string type = fields.required_string("type");
    if (type == "function") {
      choice.mode = ToolChoice::kNamed;
      choice.function = declared_name(fields);
    } else if (type == "allowed_tools") {
      const json::value* allowed = fields.find("allowed_tools");
      if (allowed == nullptr) fields.fail("allowed_tools", "an object");
      const JsonFields inner(*allowed, fields.path_of("allowed_tools"));
      choice.mode = inner.choice("mode", {"auto", "required"}).value_or(0) == 0 ? ToolChoice::kAuto
                                                                                : ToolChoice::kRequired;
      choice.allowed.emplace();
      const json::array& list = inner.required_array("tools");
      for (std::size_t i = 0; i < list.size(); ++i) {
        choice.allowed->push_back(
            declared_name(JsonFields(list[i], fmt::format("{}[{}]", inner.path_of("tools"), i))));
      }
    } else {
      fields.fail("type", "\"function\" or \"allowed_tools\"");
    }
  }
  if (tools.empty() && choice.mode == ToolChoice::kRequired) body.fail(kKey, "tools to choose from");
  return choice;
}

ResponseFormat read_response_format(const JsonFields& body) {
  ResponseFormat format;
  const json::value* value = body.find("response_format");
  if (value == nullptr) return format;
  const JsonFields fields(*value, "response_format");
  const std::optional<std::size_t> type = fields.choice("type", {"text", "json_object", "json_schema"});
  if (!type) fields.fail("type", "\"text\", \"json_object\" or \"json_schema\"");
  format.type = static_cast<ResponseFormat::Type>(*type);
  if (format.type != ResponseFormat::kJsonSchema) return format;
  const json::value* inner = fields.find("json_schema");
  if (inner == nullptr) fields.fail("json_schema", "an object");
  const JsonFields schema(*inner, fields.path_of("json_schema"));
  format.name = required_name(schema, "name");
  format.description = schema.string("description").value_or("");
  format.strict = schema.boolean("strict").value_or(false);
  if (const json::value* body_schema = schema.find("schema")) {
    if (!body_schema->is_object()) schema.fail("schema", "a JSON schema, which is an object");
    format.schema = *body_schema;
  }
  return format;
}

}  // namespace gossamer
