// The bodies of /v1/chat/completions and /v1/completions, as OpenAI's API and vLLM's extensions define them,
// read from JSON into types. Called by openai_call.h. Nothing here knows a model: what depends on one is
// checked there.
//
// Every documented field is read here, or refused by name; unknown fields are ignored, as by OpenAI. Accepted
// without effect: user, metadata, store, service_tier, prompt_cache_key, safety_identifier, verbosity,
// add_special_tokens (none of our tokenizers adds any).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/json.h"
#include "server/api_error.h"
#include "server/guided_output.h"
#include "server/sampling_overrides.h"
#include "text/harmony.h"

namespace gossamer {

// What both endpoints take.
struct CommonFields {
  std::optional<std::string> model;
  SamplingOverrides sampling;
  std::optional<int64_t> max_tokens;  // also max_completion_tokens
  int64_t min_tokens = 0;
  int num_choices = 1;  // n
  int best_of = 1;      // so many are made, the num_choices most likely ones returned
  std::vector<std::string> stop;
  std::vector<int32_t> stop_token_ids;
  bool ignore_eos = false;
  bool skip_special_tokens = true;
  int top_logprobs = -1;  // -1: no log-probabilities; else of each token and so many most likely ones
  bool stream = false;
  bool stream_usage = false;  // stream_options.include_usage
  int priority = 0;           // lower goes first
  std::string cache_salt;
  bool return_token_ids = false;
  bool include_timings = false;  // the response tells where the time went
};

enum class ChatRole : uint8_t { kSystem, kDeveloper, kUser, kAssistant, kTool };

struct ChatToolCall {
  std::string id;
  std::string function;
  std::string arguments;  // JSON text
};

struct ChatMessage {
  ChatRole role = ChatRole::kUser;
  std::optional<std::string> name;     // of the user; of role tool: the function whose result this is
  std::optional<std::string> content;  // parts put together
  std::string reasoning;               // of role assistant
  std::vector<ChatToolCall> tool_calls;
};

struct ChatTool {
  HarmonyTool function;
  bool strict = false;
};

struct ToolChoice {
  enum Mode : uint8_t { kAuto, kNone, kRequired, kNamed };
  Mode mode = kAuto;
  std::string function;                             // kNamed
  std::optional<std::vector<std::string>> allowed;  // allowed_tools: only these of the tools
};

struct ResponseFormat {
  enum Type : uint8_t { kText, kJsonObject, kJsonSchema };
  Type type = kText;
  std::string name;
  std::string description;
  json::value schema;
  bool strict = false;
};

struct ChatRequest {
  CommonFields common;
  std::vector<ChatMessage> messages;
  std::vector<ChatTool> tools;
  ToolChoice tool_choice;
  ResponseFormat response_format;
  std::optional<ReasoningEffort> reasoning_effort;
  bool reasons = true;  // false: reasoning_effort "none"
  // The most tokens of reasoning; then the answer, or the call, must begin.
  std::optional<int64_t> thinking_token_budget;
  // Only where a request says so: GPT-OSS was trained to stop behind one call.
  bool parallel_tool_calls = false;
  bool include_reasoning = true;
};

struct CompletionRequest {
  CommonFields common;
  std::vector<std::variant<std::string, std::vector<int32_t>>> prompts;  // at least one
  bool echo = false;
  bool tokens_as_ids = false;  // logprobs name tokens "token_id:5" (return_tokens_as_token_ids)
  bool hidden_states = false;  // of each prompt's last token (return_hidden_states)
  GuidedOutput guided;
};

ApiResult<ChatRequest> parse_chat_request(const json::value& body);
ApiResult<CompletionRequest> parse_completion_request(const json::value& body);

}  // namespace gossamer
