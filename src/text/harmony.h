// Harmony, the conversation format of GPT-OSS: messages to the token ids that the model was trained on. The
// reference is the openai/harmony crate (0.0.8), whose results these functions reproduce id for id.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "text/harmony_tokens.h"
#include "text/tokenizer.h"

namespace gossamer {

enum class HarmonyRole : uint8_t { kUser, kAssistant, kSystem, kDeveloper, kTool };

// "user", "assistant", "system", "developer" or "tool".
std::string_view to_string(HarmonyRole role);
std::optional<HarmonyRole> harmony_role(std::string_view name);

struct HarmonyTool {
  std::string name;
  std::string description;
  std::optional<json::value> parameters = std::nullopt;  // a JSON schema, keys in the caller's order
};

struct HarmonyToolNamespace {
  std::string name;
  std::optional<std::string> description = std::nullopt;
  std::vector<HarmonyTool> tools = {};
};

// Rendered in the order of the keys.
using HarmonyTools = std::map<std::string, HarmonyToolNamespace>;

enum class ReasoningEffort : uint8_t { kLow, kMedium, kHigh };

struct HarmonyChannels {
  std::vector<std::string> valid = {"analysis", "commentary", "final"};
  bool required = true;
};

// The content of the system message. As constructed it is the usual one; what is absent is not rendered.
struct HarmonySystemContent {
  std::optional<std::string> model_identity = "You are ChatGPT, a large language model trained by OpenAI.";
  std::optional<std::string> knowledge_cutoff = "2024-06";
  std::optional<std::string> conversation_start_date = std::nullopt;  // YYYY-MM-DD
  std::optional<ReasoningEffort> reasoning_effort = ReasoningEffort::kMedium;
  HarmonyTools tools = {};  // built-in ones: browser, python
  std::optional<HarmonyChannels> channels = HarmonyChannels{};
};

// What OpenAI's APIs call the system prompt, and the functions that the model may call.
struct HarmonyDeveloperContent {
  std::optional<std::string> instructions = std::nullopt;
  HarmonyTools tools = {};
  // Formats that an answer may have to keep to: "## name\n\n// description\n{schema}". The last section;
  // documented by OpenAI, not known to the crate.
  std::optional<std::string> response_formats = std::nullopt;
};

using HarmonyContent = std::variant<std::string, HarmonySystemContent, HarmonyDeveloperContent>;

struct HarmonyMessage {
  HarmonyRole role = HarmonyRole::kUser;
  std::optional<std::string> name = std::nullopt;  // of the author; a tool must have one: "functions.f"
  std::optional<std::string> recipient = std::nullopt;
  std::optional<std::string> channel = std::nullopt;
  std::optional<std::string> content_type = std::nullopt;  // "<|constrain|>json" gives the special token
  std::vector<HarmonyContent> content = {};
};

struct HarmonyRenderOptions {
  // Once the last assistant message is a final answer, leaves out the analysis before the first final answer.
  bool auto_drop_analysis = true;
};

// Renders for one vocabulary. Safe to use from several threads.
class HarmonyRenderer {
 public:
  // Throws Error if the vocabulary lacks a token of the format. `tokenizer` must outlive this.
  explicit HarmonyRenderer(const Tokenizer& tokenizer);

  // The messages and nothing else. The error of this and the following functions is a message that the format
  // does not allow: a tool without a name, system content in a message of another role.
  Result<std::vector<int32_t>> render_conversation(std::span<const HarmonyMessage> messages,
                                                   const HarmonyRenderOptions& options = {}) const;

  // The messages and the beginning of the next one, by `next_role`: the prompt for a completion.
  Result<std::vector<int32_t>> render_for_completion(std::span<const HarmonyMessage> messages,
                                                     const HarmonyRenderOptions& options = {},
                                                     HarmonyRole next_role = HarmonyRole::kAssistant) const;

  // The messages; the end of a last message that is a final answer is <|return|>, as the model writes it.
  Result<std::vector<int32_t>> render_for_training(std::span<const HarmonyMessage> messages,
                                                   const HarmonyRenderOptions& options = {}) const;

 private:
  std::optional<RequestError> append_message(const HarmonyMessage& message, bool has_functions,
                                             std::vector<int32_t>& ids) const;
  void append_header(const HarmonyMessage& message, std::vector<int32_t>& ids) const;
  void append_text(std::string_view text, std::vector<int32_t>& ids) const;

  const Tokenizer& tokenizer_;
  HarmonyTokens tokens_;
};

}  // namespace gossamer
