#include "apps/chat_form.h"

#include <CLI/CLI.hpp>
#include <cctype>
#include <ctime>
#include <utility>

#include "base/error.h"

namespace gossamer::apps {
namespace {

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return fmt::format("{:04}-{:02}-{:02}", local.tm_year + 1900, local.tm_mon + 1, local.tm_mday);
}

std::string read_date(const std::string& text) {
  if (text == "today") return today();
  bool shaped = text.size() == 10;
  for (std::size_t i = 0; shaped && i < text.size(); ++i) {
    const bool dash = i == 4 || i == 7;
    shaped = dash ? text[i] == '-' : std::isdigit(static_cast<unsigned char>(text[i])) != 0;
  }
  if (!shaped) throw Error("--date: expected YYYY-MM-DD or today, found \"{}\"", text);
  return text;
}

}  // namespace

void add_chat_options(CLI::App& command, ChatOptions& options) {
  constexpr const char* kGroup = "Models with a chat form (GPT-OSS)";
  command.add_option("--system", options.system, "Instructions to the model (Harmony's developer message)")
      ->group(kGroup);
  command.add_option("--reasoning-effort", options.reasoning_effort, "low, medium (default) or high")
      ->check(CLI::IsMember({"low", "medium", "high"}))
      ->group(kGroup);
  command
      .add_option("--date", options.date,
                  "The date that the model is told: YYYY-MM-DD or today. Default: none, so that the same "
                  "command gives "
                  "the same answer tomorrow")
      ->group(kGroup);
}

std::vector<HarmonyMessage> opening_messages(const ChatOptions& options) {
  HarmonySystemContent system;
  if (options.date) system.conversation_start_date = read_date(*options.date);
  const std::string effort = options.reasoning_effort.value_or("medium");
  system.reasoning_effort = effort == "low"    ? ReasoningEffort::kLow
                            : effort == "high" ? ReasoningEffort::kHigh
                                               : ReasoningEffort::kMedium;
  std::vector<HarmonyMessage> messages;
  messages.push_back({.role = HarmonyRole::kSystem, .content = {std::move(system)}});
  if (!options.system.empty()) {
    messages.push_back({.role = HarmonyRole::kDeveloper,
                        .content = {HarmonyDeveloperContent{.instructions = options.system}}});
  }
  return messages;
}

HarmonyMessage user_message(std::string text) {
  return {.role = HarmonyRole::kUser, .content = {std::move(text)}};
}

std::vector<int32_t> render_prompt(const Tokenizer& tokenizer, const std::vector<HarmonyMessage>& messages) {
  Result<std::vector<int32_t>> ids = HarmonyRenderer(tokenizer).render_for_completion(messages);
  if (!ids.ok()) throw Error("{}", ids.error().message);
  return std::move(ids).value();
}

}  // namespace gossamer::apps
