#include "server/responses_items.h"

#include <algorithm>
#include <array>
#include <utility>

#include "server/chat_messages.h"

namespace gossamer {
namespace {

constexpr std::string_view kBetweenTexts = "\n\n";

// The indices are those of ChatRole.
const std::vector<std::string_view> kRoles = {"system", "developer", "user", "assistant"};

// The text of a part of a message or of a function's output.
std::string read_part(const json::value& value, const std::string& path) {
  const JsonFields part(value, path);
  const std::string type = part.required_string("type");
  if (type == "input_text" || type == "output_text" || type == "text") return part.required_string("text");
  if (type == "refusal") return part.required_string("refusal");
  part.fail("type", "\"input_text\" or \"output_text\" (this model reads no images, sound or files)");
}

std::string read_text(const JsonFields& item, std::string_view key) {
  const json::value* content = item.find(key);
  if (content != nullptr && content->is_string()) return std::string(content->get_string());
  if (content == nullptr || !content->is_array()) item.fail(key, "a string or a list of parts");
  std::string text;
  const json::array& parts = content->get_array();
  for (std::size_t i = 0; i < parts.size(); ++i)
    text += read_part(parts[i], fmt::format("{}[{}]", item.path_of(key), i));
  return text;
}

// The texts of a reasoning item's content or summary.
std::string read_reasoning(const JsonFields& item, std::string_view key, std::string_view type) {
  std::string text;
  const json::array* parts = item.array(key);
  for (std::size_t i = 0; parts != nullptr && i < parts->size(); ++i) {
    const JsonFields part((*parts)[i], fmt::format("{}[{}]", item.path_of(key), i));
    if (part.required_string("type") != type) part.fail("type", fmt::format("\"{}\"", type));
    if (!text.empty()) text += kBetweenTexts;
    text += part.required_string("text");
  }
  return text;
}

std::string type_of(const JsonFields& item) {
  if (std::optional<std::string> type = item.string("type")) return *std::move(type);
  const bool is_reference = item.find("role") == nullptr && item.find("id") != nullptr;
  return is_reference ? "item_reference" : "message";
}

}  // namespace

void ConversationReader::add(const json::value& value, const std::string& path) {
  const JsonFields item(value, path);
  const std::string type = type_of(item);
  if (type == "message") return add_message(item);
  if (type == "reasoning") return add_reasoning(item);
  if (type == "function_call") return add_call(item);
  if (type == "function_call_output") return add_output(item);
  item.fail("type",
            "\"message\", \"reasoning\", \"function_call\", \"function_call_output\" or \"item_reference\"");
}

ChatMessage& ConversationReader::assistant(bool is_new) {
  if (is_new || messages_.empty() || messages_.back().role != ChatRole::kAssistant)
    messages_.push_back({.role = ChatRole::kAssistant});
  return messages_.back();
}

void ConversationReader::add_message(const JsonFields& item) {
  const std::optional<std::size_t> index = item.choice("role", kRoles);
  if (!index) item.fail("role", "a role: system, developer, user or assistant");
  std::string text = read_text(item, "content");
  const auto role = static_cast<ChatRole>(*index);
  if (role != ChatRole::kAssistant) {
    messages_.push_back({.role = role, .content = std::move(text)});
    return;
  }
  // It belongs to the reasoning before it; calls that follow belong to it.
  const ChatMessage& last = assistant(false);
  assistant(last.content.has_value() || !last.tool_calls.empty()).content = std::move(text);
}

void ConversationReader::add_reasoning(const JsonFields& item) {
  std::string text = read_reasoning(item, "content", "reasoning_text");
  const std::string summary = read_reasoning(item, "summary", "summary_text");
  const std::string carried = item.string("encrypted_content").value_or("");
  if (text.empty() && carried.starts_with(kPlainReasoning)) text = carried.substr(kPlainReasoning.size());
  if (text.empty()) text = summary;
  if (text.empty()) return;
  const ChatMessage& last = assistant(false);
  ChatMessage& message = assistant(last.content.has_value() || !last.tool_calls.empty());
  if (!message.reasoning.empty()) message.reasoning += kBetweenTexts;
  message.reasoning += text;
}

void ConversationReader::add_call(const JsonFields& item) {
  ChatToolCall call{.id = item.required_string("call_id"),
                    .function = required_name(item, "name"),
                    .arguments = item.required_string("arguments")};
  functions_.insert_or_assign(call.id, call.function);
  assistant(false).tool_calls.push_back(std::move(call));
}

void ConversationReader::add_output(const JsonFields& item) {
  const auto function = functions_.find(item.required_string("call_id"));
  if (function == functions_.end()) {
    item.fail("call_id",
              "the call_id of a function_call earlier in the conversation, which previous_response_id can "
              "bring along");
  }
  messages_.push_back(
      {.role = ChatRole::kTool, .name = function->second, .content = read_text(item, "output")});
}

std::optional<std::string> referenced_id(const json::value& value, const std::string& path) {
  const JsonFields item(value, path);
  if (type_of(item) != "item_reference") return std::nullopt;
  return item.required_string("id");
}

json::object stored_item(const json::value& value, std::string_view call, std::size_t index) {
  struct Prefix {
    std::string_view type;
    std::string_view prefix;
  };
  constexpr std::array<Prefix, 4> kPrefixes = {
      {{"message", "msg"}, {"reasoning", "rs"}, {"function_call", "fc"}, {"function_call_output", "fco"}}};
  const json::object& item = value.as_object();
  const std::string type = type_of(JsonFields(value, ""));
  const auto prefix = std::find_if(kPrefixes.begin(), kPrefixes.end(),
                                   [&](const Prefix& candidate) { return candidate.type == type; });
  json::object out = {{"type", type}};
  const json::value* id = item.if_contains("id");
  const bool has_id = id != nullptr && id->is_string();
  out.emplace("id", has_id ? *id : json::value(fmt::format("{}_{}_i{}", prefix->prefix, call, index)));
  if (type != "reasoning") out.emplace("status", "completed");
  for (const auto& member : item) {
    if (!member.value().is_null()) out.emplace(member.key(), member.value());
  }
  if (type == "message" && out.at("content").is_string()) {
    const bool is_answer = out.at("role") == "assistant";
    json::object part = {{"type", is_answer ? "output_text" : "input_text"}, {"text", out.at("content")}};
    if (is_answer) part.emplace("annotations", json::array());
    json::array parts;
    parts.push_back(std::move(part));
    out["content"] = std::move(parts);
  }
  return out;
}

}  // namespace gossamer
