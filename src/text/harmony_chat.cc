#include "text/harmony_chat.h"

#include <algorithm>
#include <utility>

namespace gossamer {
namespace {

constexpr std::string_view kFunctions = "functions.";
constexpr std::string_view kBetweenMessages = "\n\n";

bool is_identifier_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

bool is_preamble(const HarmonyDelta& delta) {
  return delta.part == HarmonyPart::kAnswer && delta.header.channel == "commentary";
}

}  // namespace

std::optional<std::string> find_tool(std::string_view recipient, std::span<const std::string> tool_names) {
  std::string_view written = recipient;
  if (const std::size_t at = recipient.find(kFunctions); at != std::string_view::npos)
    written = recipient.substr(at + kFunctions.size());
  const std::string* best = nullptr;
  for (const std::string& name : tool_names) {
    if (name == recipient || name == written) return name;
    const bool is_beginning =
        !name.empty() && written.starts_with(name) && !is_identifier_char(written[name.size()]);
    if (is_beginning && (best == nullptr || best->size() < name.size())) best = &name;
  }
  return best == nullptr ? std::nullopt : std::optional(*best);
}

HarmonyChat::HarmonyChat(const Tokenizer& tokenizer, std::vector<std::string> tool_names)
    : stream_(tokenizer), tool_names_(std::move(tool_names)) {}

std::vector<ChatDelta> HarmonyChat::push(std::span<const int32_t> ids) {
  Deltas out;
  begin(out);
  for (const HarmonyDelta& delta : stream_.push(ids)) take(delta, out);
  return out;
}

std::vector<ChatDelta> HarmonyChat::flush() {
  Deltas out;
  begin(out);
  is_cut_ = true;
  for (const HarmonyDelta& delta : stream_.flush()) take(delta, out);
  release_preamble(ChatDelta::Kind::kContent, out);  // no call followed
  return out;
}

HarmonyRecoveryCounts HarmonyChat::recoveries() const {
  HarmonyRecoveryCounts counts = stream_.recoveries();
  counts.add(call_recoveries_);
  return counts;
}

void HarmonyChat::begin(Deltas& out) {
  if (!std::exchange(has_begun_, true)) out.push_back({.kind = ChatDelta::Kind::kRole});
}

void HarmonyChat::take(const HarmonyDelta& delta, Deltas& out) {
  if (delta.begins) begin_message(delta, out);
  add_text(delta, out);
}

void HarmonyChat::begin_message(const HarmonyDelta& delta, Deltas& out) {
  if (delta.part == HarmonyPart::kToolCall) {
    if (const std::optional<std::string> name = find_tool(delta.header.recipient, tool_names_))
      return begin_call(*name, delta, out);
    // Not ours to run: what it says is shown, as any text of its channel.
    call_recoveries_.add(HarmonyRecovery::kCallOfUnknownTool);
    target_ = delta.header.channel == "analysis" ? Target::kReasoning : Target::kContent;
  } else if (delta.part == HarmonyPart::kReasoning) {
    target_ = Target::kReasoning;
  } else {
    // Without tools no call can follow, and there is nothing to wait for.
    target_ = is_preamble(delta) && !tool_names_.empty() ? Target::kPreamble : Target::kContent;
  }
}

void HarmonyChat::begin_call(const std::string& name, const HarmonyDelta& delta, Deltas& out) {
  // Clients take an answer with content for the last one, so what leads to a call is reasoning.
  release_preamble(ChatDelta::Kind::kReasoning, out);
  if (delta.header.recipient.find(kFunctions) == std::string::npos)
    call_recoveries_.add(HarmonyRecovery::kCallWithoutPrefix);
  if (delta.header.channel == "analysis") call_recoveries_.add(HarmonyRecovery::kCallOnAnalysis);
  target_ = Target::kArguments;
  has_arguments_ = false;
  out.push_back({.kind = ChatDelta::Kind::kToolCall, .tool_call = num_tool_calls_++, .text = name});
}

void HarmonyChat::add_text(const HarmonyDelta& delta, Deltas& out) {
  ChatDelta shown = {.text = delta.text, .first_token = delta.first_token, .num_tokens = delta.num_tokens};
  switch (target_) {
    case Target::kReasoning:
      if (delta.part == HarmonyPart::kReasoning) num_reasoning_tokens_ += delta.num_tokens;
      shown.kind = ChatDelta::Kind::kReasoning;
      return show(std::move(shown), delta.message, out);
    case Target::kContent:
      if (!delta.text.empty()) release_preamble(ChatDelta::Kind::kContent, out);
      shown.kind = ChatDelta::Kind::kContent;
      return show(std::move(shown), delta.message, out);
    case Target::kPreamble:
      preamble_.push_back({std::move(shown), delta.message});
      return;
    case Target::kArguments:
      shown.kind = ChatDelta::Kind::kArguments;
      shown.tool_call = num_tool_calls_ - 1;
      has_arguments_ = has_arguments_ || !is_blank(shown.text);
      // A function without parameters is often called with nothing, which no client can parse. (Where a limit
      // cut the call, nobody should run it.)
      if (delta.ends && !is_cut_ && !has_arguments_) shown.text += "{}";
      if (!shown.text.empty()) out.push_back(std::move(shown));
      return;
  }
}

// Appends to reasoning or content; a blank line separates the messages in it.
void HarmonyChat::show(ChatDelta delta, int message, Deltas& out) {
  if (delta.text.empty()) return;
  Part& part = delta.kind == ChatDelta::Kind::kReasoning ? reasoning_ : content_;
  if (part.has_text && part.message != message) delta.text.insert(0, kBetweenMessages);
  part = {.has_text = true, .message = message};
  out.push_back(std::move(delta));
}

void HarmonyChat::release_preamble(ChatDelta::Kind kind, Deltas& out) {
  for (Held& held : std::exchange(preamble_, {})) {
    held.delta.kind = kind;
    show(std::move(held.delta), held.message, out);
  }
}

void ChatParts::add(const ChatDelta& delta) {
  switch (delta.kind) {
    case ChatDelta::Kind::kRole:
      break;
    case ChatDelta::Kind::kReasoning:
      reasoning += delta.text;
      break;
    case ChatDelta::Kind::kContent:
      content += delta.text;
      break;
    case ChatDelta::Kind::kToolCall:
      tool_calls.push_back({.name = delta.text, .arguments = {}});
      break;
    case ChatDelta::Kind::kArguments:
      tool_calls.back().arguments += delta.text;
      break;
  }
}

ChatParts parse_chat(const Tokenizer& tokenizer, std::span<const int32_t> ids,
                     std::vector<std::string> tool_names) {
  ChatParts parts;
  HarmonyChat chat(tokenizer, std::move(tool_names));
  for (const ChatDelta& delta : chat.push(ids)) parts.add(delta);
  for (const ChatDelta& delta : chat.flush()) parts.add(delta);
  parts.num_reasoning_tokens = chat.num_reasoning_tokens();
  parts.recoveries = chat.recoveries();
  return parts;
}

std::string_view chat_finish_reason(bool was_cut, int num_tool_calls) {
  if (was_cut) return "length";
  return num_tool_calls > 0 ? "tool_calls" : "stop";
}

}  // namespace gossamer
