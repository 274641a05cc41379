#include "server/chat_prompt.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

namespace gossamer {
namespace {

constexpr std::string_view kFunctions = "functions";

std::string function_author(const std::string& function) {
  return fmt::format("{}.{}", kFunctions, function);
}

bool is_instruction(const ChatMessage& message) {
  return message.role == ChatRole::kSystem || message.role == ChatRole::kDeveloper;
}

// An answer to the user, which ends the reasoning before it. One that was cut while still reasoning is none.
bool is_final(const ChatMessage& message) {
  return message.role == ChatRole::kAssistant && message.tool_calls.empty() && message.content &&
         (!message.content->empty() || message.reasoning.empty());
}

HarmonyMessage assistant_message(std::string channel, std::string text) {
  return {.role = HarmonyRole::kAssistant, .channel = std::move(channel), .content = {std::move(text)}};
}

void append_assistant(const ChatMessage& message, bool keep_reasoning, std::vector<HarmonyMessage>& out) {
  if (keep_reasoning && !message.reasoning.empty())
    out.push_back(assistant_message("analysis", message.reasoning));
  if (is_final(message)) out.push_back(assistant_message("final", *message.content));
  if (message.tool_calls.empty()) return;
  // Text beside calls is what the model tells the user about them.
  if (message.content && !message.content->empty())
    out.push_back(assistant_message("commentary", *message.content));
  for (const ChatToolCall& call : message.tool_calls) {
    out.push_back({.role = HarmonyRole::kAssistant,
                   .recipient = function_author(call.function),
                   .channel = "commentary",
                   .content_type = "<|constrain|>json",
                   .content = {call.arguments}});
  }
}

// What the model is told of a response_format: "## name", the description as comments, the schema.
std::string format_section(const ResponseFormat& format) {
  std::string text = fmt::format("## {}\n\n", format.name);
  std::string_view left = format.description;
  while (!left.empty()) {
    const std::size_t end = std::min(left.find('\n'), left.size());
    text += fmt::format("// {}\n", left.substr(0, end));
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  return text + (format.schema.is_null() ? R"({"type":"object"})" : json::serialize(format.schema));
}

ApiError needs_harmony(std::string param, const ServedModel& model) {
  return {
      .message = fmt::format("{}: needs a model with Harmony (GPT-OSS); the chat form of {} ({}) knows no "
                             "functions; leave it out",
                             param, model.names.front(), model.chat_template->form()),
      .param = param,
      .code = "unsupported_parameter"};
}

ApiResult<std::vector<int32_t>> render_by_template(const ChatRequest& request, const ServedModel& model,
                                                   bool add_generation_prompt) {
  if (request.tool_choice.mode == ToolChoice::kRequired || request.tool_choice.mode == ToolChoice::kNamed)
    return needs_harmony("tool_choice", model);
  if (!visible_tools(request).empty()) return needs_harmony("tools", model);
  std::vector<ChatTurn> turns;
  for (std::size_t i = 0; i < request.messages.size(); ++i) {
    const ChatMessage& message = request.messages[i];
    if (message.role == ChatRole::kTool) return needs_harmony(fmt::format("messages[{}].role", i), model);
    if (!message.tool_calls.empty()) return needs_harmony(fmt::format("messages[{}].tool_calls", i), model);
    const ChatTurnRole role = is_instruction(message)           ? ChatTurnRole::kSystem
                              : message.role == ChatRole::kUser ? ChatTurnRole::kUser
                                                                : ChatTurnRole::kAssistant;
    turns.push_back({.role = role, .text = message.content.value_or("")});
  }
  Result<std::vector<int32_t>> ids = model.chat_template->render(turns, add_generation_prompt);
  if (!ids.ok()) {
    return ApiError{
        .message = fmt::format("messages: the model's chat_template refuses them: {}", ids.error().message),
        .param = "messages"};
  }
  return std::move(ids).value();
}

ApiError without_chat_form(const ServedModel& model) {
  const std::string& name = model.names.front();
  constexpr std::string_view kInstead = "use /v1/completions, which continues a text";
  std::string message = model.chat_template_problem.empty()
                            ? fmt::format("the model {} has no chat form: {}", name, kInstead)
                            : fmt::format("the model {} has no chat form that is known here: {}. Instead, {}",
                                          name, model.chat_template_problem, kInstead);
  return {.message = std::move(message), .code = "model_without_chat_form"};
}

}  // namespace

std::vector<const ChatTool*> visible_tools(const ChatRequest& request) {
  std::vector<const ChatTool*> tools;
  if (request.tool_choice.mode == ToolChoice::kNone) return tools;
  const auto& allowed = request.tool_choice.allowed;
  for (const ChatTool& tool : request.tools) {
    if (!allowed || std::find(allowed->begin(), allowed->end(), tool.function.name) != allowed->end())
      tools.push_back(&tool);
  }
  return tools;
}

std::vector<HarmonyMessage> to_harmony(const ChatRequest& request, const ServedModel& model) {
  std::vector<HarmonyMessage> out;
  HarmonySystemContent system;
  system.conversation_start_date = model.date;
  system.reasoning_effort = request.reasoning_effort.value_or(model.reasoning_effort);
  out.push_back({.role = HarmonyRole::kSystem, .content = {std::move(system)}});

  const std::vector<ChatMessage>& messages = request.messages;
  const auto first_turn = std::find_if_not(messages.begin(), messages.end(), is_instruction);
  std::string instructions;
  for (auto message = messages.begin(); message != first_turn; ++message) {
    if (!instructions.empty() && !message->content->empty()) instructions += "\n\n";
    instructions += *message->content;
  }
  HarmonyDeveloperContent developer;
  if (!instructions.empty()) developer.instructions = std::move(instructions);
  if (const std::vector<const ChatTool*> tools = visible_tools(request); !tools.empty()) {
    HarmonyToolNamespace functions{.name = std::string(kFunctions)};
    for (const ChatTool* tool : tools) functions.tools.push_back(tool->function);
    developer.tools.emplace(kFunctions, std::move(functions));
  }
  if (request.response_format.type == ResponseFormat::kJsonSchema)
    developer.response_formats = format_section(request.response_format);
  if (developer.instructions || !developer.tools.empty() || developer.response_formats)
    out.push_back({.role = HarmonyRole::kDeveloper, .content = {std::move(developer)}});

  // Behind the last final answer; all where there is none.
  const auto reasoning_kept_from = std::find_if(messages.rbegin(), messages.rend(), is_final).base();
  for (auto message = first_turn; message != messages.end(); ++message) {
    switch (message->role) {
      case ChatRole::kSystem:
      case ChatRole::kDeveloper:
        out.push_back({.role = HarmonyRole::kDeveloper,
                       .content = {HarmonyDeveloperContent{.instructions = message->content}}});
        break;
      case ChatRole::kUser:
        out.push_back({.role = HarmonyRole::kUser, .name = message->name, .content = {*message->content}});
        break;
      case ChatRole::kAssistant:
        append_assistant(*message, message >= reasoning_kept_from, out);
        break;
      case ChatRole::kTool:
        out.push_back({.role = HarmonyRole::kTool,
                       .name = function_author(*message->name),
                       .recipient = "assistant",
                       .channel = "commentary",
                       .content = {*message->content}});
        break;
    }
  }
  return out;
}

ApiResult<std::vector<int32_t>> render_chat_prompt(const ChatRequest& request, const ServedModel& model,
                                                   bool add_generation_prompt) {
  if (!model.has_chat_form) {
    if (model.chat_template == nullptr) return without_chat_form(model);
    return render_by_template(request, model, add_generation_prompt);
  }
  // What to drop is decided above.
  const HarmonyRenderOptions options{.auto_drop_analysis = false};
  const HarmonyRenderer renderer(*model.tokenizer);
  const std::vector<HarmonyMessage> messages = to_harmony(request, model);
  Result<std::vector<int32_t>> ids = add_generation_prompt ? renderer.render_for_completion(messages, options)
                                                           : renderer.render_conversation(messages, options);
  if (!ids.ok()) return to_api_error(ids.error());
  return std::move(ids).value();
}

}  // namespace gossamer
