#include "text/harmony.h"

#include <algorithm>
#include <array>
#include <utility>

#include "text/harmony_tools.h"

namespace gossamer {
namespace {

constexpr std::array<std::pair<HarmonyRole, std::string_view>, 5> kRoles = {{
    {HarmonyRole::kUser, "user"},
    {HarmonyRole::kAssistant, "assistant"},
    {HarmonyRole::kSystem, "system"},
    {HarmonyRole::kDeveloper, "developer"},
    {HarmonyRole::kTool, "tool"},
}};

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  return fmt::format("{}", fmt::join(parts, separator));
}

std::string_view effort_name(ReasoningEffort effort) {
  switch (effort) {
    case ReasoningEffort::kLow:
      return "low";
    case ReasoningEffort::kMedium:
      return "medium";
    case ReasoningEffort::kHigh:
      return "high";
  }
  return "";
}

std::string system_text(const HarmonySystemContent& content, bool has_functions) {
  std::vector<std::string> top;
  if (content.model_identity) top.push_back(*content.model_identity);
  if (content.knowledge_cutoff) top.push_back("Knowledge cutoff: " + *content.knowledge_cutoff);
  if (content.conversation_start_date) top.push_back("Current date: " + *content.conversation_start_date);

  std::vector<std::string> sections;
  if (!top.empty()) sections.push_back(join(top, "\n"));
  if (content.reasoning_effort) {
    sections.push_back(fmt::format("Reasoning: {}", effort_name(*content.reasoning_effort)));
  }
  if (!content.tools.empty()) sections.push_back(harmony_tools_section(content.tools));
  if (content.channels && !content.channels->valid.empty()) {
    std::string channels = "# Valid channels: " + join(content.channels->valid, ", ") + ".";
    if (content.channels->required) channels += " Channel must be included for every message.";
    if (has_functions) channels += "\nCalls to these tools must go to the commentary channel: 'functions'.";
    sections.push_back(channels);
  }
  return join(sections, "\n\n");
}

std::string developer_text(const HarmonyDeveloperContent& content) {
  std::vector<std::string> sections;
  if (content.instructions) {
    sections.emplace_back("# Instructions");
    sections.push_back(*content.instructions);
  }
  if (!content.tools.empty()) sections.push_back(harmony_tools_section(content.tools));
  if (content.response_formats) {
    sections.emplace_back("# Response Formats");
    sections.push_back(*content.response_formats);
  }
  return join(sections, "\n\n");
}

bool has_function_tools(std::span<const HarmonyMessage> messages) {
  for (const HarmonyMessage& message : messages) {
    for (const HarmonyContent& content : message.content) {
      const auto* developer = std::get_if<HarmonyDeveloperContent>(&content);
      if (developer == nullptr) continue;
      const auto it = developer->tools.find("functions");
      if (it != developer->tools.end() && !it->second.tools.empty()) return true;
    }
  }
  return false;
}

// How many messages at the beginning lose those of the analysis channel.
std::size_t num_to_drop_from(std::span<const HarmonyMessage> messages) {
  const auto is_final = [](const HarmonyMessage& message) { return message.channel == "final"; };
  const auto last = std::find_if(messages.rbegin(), messages.rend(), [](const HarmonyMessage& message) {
    return message.role == HarmonyRole::kAssistant;
  });
  if (last == messages.rend() || !is_final(*last)) return 0;
  return static_cast<std::size_t>(std::find_if(messages.begin(), messages.end(), is_final) -
                                  messages.begin());
}

}  // namespace

std::string_view to_string(HarmonyRole role) {
  for (const auto& [known, name] : kRoles) {
    if (known == role) return name;
  }
  return "";
}

std::optional<HarmonyRole> harmony_role(std::string_view name) {
  for (const auto& [role, known] : kRoles) {
    if (known == name) return role;
  }
  return std::nullopt;
}

HarmonyRenderer::HarmonyRenderer(const Tokenizer& tokenizer) : tokenizer_(tokenizer), tokens_(tokenizer) {}

// Each piece of text is encoded by itself, and always as ordinary text: what a user writes can neither merge
// with the header nor become a special token.
void HarmonyRenderer::append_text(std::string_view text, std::vector<int32_t>& ids) const {
  tokenizer_.encode(text, {.parse_special = false}, ids);
}

void HarmonyRenderer::append_header(const HarmonyMessage& message, std::vector<int32_t>& ids) const {
  if (message.role == HarmonyRole::kTool) {
    append_text(*message.name, ids);
  } else {
    append_text(to_string(message.role), ids);
    if (message.name) append_text(":" + *message.name, ids);
  }
  if (message.recipient && *message.recipient != "all") append_text(" to=" + *message.recipient, ids);
  if (message.channel) {
    ids.push_back(tokens_.channel);
    append_text(*message.channel, ids);
  }
  if (message.content_type) {
    if (message.content_type->starts_with(kHarmonyConstrain)) {
      append_text(" ", ids);
      ids.push_back(tokens_.constrain);
      append_text(std::string_view(*message.content_type).substr(kHarmonyConstrain.size()), ids);
    } else {
      append_text(" " + *message.content_type, ids);
    }
  }
}

std::optional<RequestError> HarmonyRenderer::append_message(const HarmonyMessage& message, bool has_functions,
                                                            std::vector<int32_t>& ids) const {
  const auto invalid = [](std::string text) {
    return RequestError{RequestErrorKind::kInvalid, std::move(text)};
  };
  if (message.role == HarmonyRole::kTool && !message.name) return invalid("Tools should have a name!");
  ids.push_back(tokens_.start);
  append_header(message, ids);
  ids.push_back(tokens_.message);
  for (const HarmonyContent& content : message.content) {
    if (const auto* text = std::get_if<std::string>(&content)) {
      append_text(*text, ids);
    } else if (const auto* system = std::get_if<HarmonySystemContent>(&content)) {
      if (message.role != HarmonyRole::kSystem) {
        return invalid(
            fmt::format("SystemContent may only appear in system messages, found in a message of role {}",
                        to_string(message.role)));
      }
      append_text(system_text(*system, has_functions), ids);
    } else {
      if (message.role != HarmonyRole::kDeveloper) {
        return invalid(fmt::format(
            "DeveloperContent may only appear in developer messages, found in a message of role {}",
            to_string(message.role)));
      }
      append_text(developer_text(std::get<HarmonyDeveloperContent>(content)), ids);
    }
  }
  // A call ends with its own token. The reference writes it for the recipient "all" too.
  ids.push_back(message.role == HarmonyRole::kAssistant && message.recipient ? tokens_.call : tokens_.end);
  return std::nullopt;
}

Result<std::vector<int32_t>> HarmonyRenderer::render_conversation(std::span<const HarmonyMessage> messages,
                                                                  const HarmonyRenderOptions& options) const {
  const bool has_functions = has_function_tools(messages);
  const std::size_t num_dropping = options.auto_drop_analysis ? num_to_drop_from(messages) : 0;
  std::vector<int32_t> ids;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (i < num_dropping && messages[i].channel == "analysis") continue;
    if (std::optional<RequestError> error = append_message(messages[i], has_functions, ids))
      return *std::move(error);
  }
  return ids;
}

Result<std::vector<int32_t>> HarmonyRenderer::render_for_completion(std::span<const HarmonyMessage> messages,
                                                                    const HarmonyRenderOptions& options,
                                                                    HarmonyRole next_role) const {
  Result<std::vector<int32_t>> rendered = render_conversation(messages, options);
  if (!rendered.ok()) return rendered;
  std::vector<int32_t> ids = std::move(rendered).value();
  ids.push_back(tokens_.start);
  append_text(to_string(next_role), ids);
  return ids;
}

Result<std::vector<int32_t>> HarmonyRenderer::render_for_training(std::span<const HarmonyMessage> messages,
                                                                  const HarmonyRenderOptions& options) const {
  Result<std::vector<int32_t>> rendered = render_conversation(messages, options);
  if (!rendered.ok() || messages.empty()) return rendered;
  std::vector<int32_t> ids = std::move(rendered).value();
  const HarmonyMessage& last = messages.back();
  if (last.role == HarmonyRole::kAssistant && last.channel == "final") ids.back() = tokens_.return_;
  return ids;
}

}  // namespace gossamer
