// How a conversation becomes a prompt: Harmony, for GPT-OSS. Shared by generate and chat.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/commands.h"
#include "text/harmony.h"
#include "text/tokenizer.h"

namespace gossamer::apps {

struct ChatOptions {
  std::string system;  // the user's instructions
  std::optional<std::string> reasoning_effort;
  std::optional<std::string> date;  // YYYY-MM-DD or "today"

  // Whether one was given that only a model with a chat form can use.
  bool any() const { return !system.empty() || reasoning_effort || date; }
};

void add_chat_options(CLI::App& command, ChatOptions& options);

// The messages that a conversation begins with: Harmony's system message as the openai-harmony library has it
// by default, and, where there are instructions, the developer message that holds them. Throws Error for a
// date that is none.
std::vector<HarmonyMessage> opening_messages(const ChatOptions& options);

HarmonyMessage user_message(std::string text);

// The prompt for the next answer. Throws Error when the format does not allow the messages.
std::vector<int32_t> render_prompt(const Tokenizer& tokenizer, const std::vector<HarmonyMessage>& messages);

}  // namespace gossamer::apps
