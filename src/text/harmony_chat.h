// HarmonyChat: what GPT-OSS samples into the parts of an OpenAI answer: reasoning, content, tool calls.
// Called by the server with the tokens of one choice, as they come or all at once: the parts are the same.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/harmony_recovery.h"
#include "text/harmony_stream.h"
#include "text/tokenizer.h"

namespace gossamer {

// One step of a streamed answer. Concatenated by kind (and call) these are the answer.
struct ChatDelta {
  enum class Kind : uint8_t {
    kRole,       // the first of all, without text: {"role": "assistant"}
    kReasoning,  // more of `reasoning`
    kContent,    // more of `content`
    kToolCall,   // a call begins: `text` is the tool's whole name
    kArguments,  // more of the arguments of that call
  };
  Kind kind = Kind::kContent;
  int tool_call = -1;  // index of the call, from 0, for kToolCall and kArguments
  std::string text = {};
  // The tokens that the text is of, as in HarmonyDelta.
  int64_t first_token = 0;
  int64_t num_tokens = 0;
};

class HarmonyChat {
 public:
  // `tool_names` are the functions that the model may call: those of the request, or none for tool_choice
  // "none". `tokenizer` must outlive this. Throws Error if its vocabulary lacks a token of the format.
  HarmonyChat(const Tokenizer& tokenizer, std::vector<std::string> tool_names);

  std::vector<ChatDelta> push(int32_t id) { return push(std::span(&id, 1)); }
  std::vector<ChatDelta> push(std::span<const int32_t> ids);

  // Ends the answer: returns what was held back. Nothing may be pushed after it.
  std::vector<ChatDelta> flush();

  int num_tool_calls() const { return num_tool_calls_; }
  // usage.completion_tokens_details.reasoning_tokens: those of the text of HarmonyPart::kReasoning.
  int64_t num_reasoning_tokens() const { return num_reasoning_tokens_; }
  // The messages' and the calls'.
  HarmonyRecoveryCounts recoveries() const;

 private:
  enum class Target : uint8_t { kReasoning, kContent, kPreamble, kArguments };
  using Deltas = std::vector<ChatDelta>;

  void take(const HarmonyDelta& delta, Deltas& out);
  void begin_message(const HarmonyDelta& delta, Deltas& out);
  void begin_call(const std::string& name, const HarmonyDelta& delta, Deltas& out);
  void add_text(const HarmonyDelta& delta, Deltas& out);
  void show(ChatDelta delta, int message, Deltas& out);
  void release_preamble(ChatDelta::Kind kind, Deltas& out);
  void begin(Deltas& out);

  // What precedes a message's text in a part that has text of another message already.
  struct Part {
    bool has_text = false;
    int message = -1;  // the last with text in it
  };
  // A piece of a preamble: whether it is content or reasoning shows only in what follows.
  struct Held {
    ChatDelta delta;
    int message = 0;
  };

  HarmonyStream stream_;
  std::vector<std::string> tool_names_;
  HarmonyRecoveryCounts call_recoveries_;
  Target target_ = Target::kContent;
  Part reasoning_;
  Part content_;
  std::vector<Held> preamble_;
  bool has_begun_ = false;
  bool has_arguments_ = false;  // the current call
  bool is_cut_ = false;         // no token has ended the current message
  int num_tool_calls_ = 0;
  int64_t num_reasoning_tokens_ = 0;
};

// The tool that a recipient means, out of those that there are: "functions." before the name is not needed,
// and what stands behind a name but cannot belong to it is ignored ("get_weather<json>"). Never a guess:
// nothing for a name that is none of `tool_names`.
std::optional<std::string> find_tool(std::string_view recipient, std::span<const std::string> tool_names);

// An answer that is complete.
struct ChatParts {
  struct ToolCall {
    std::string name;
    std::string arguments;  // as the model wrote them: JSON unless it failed to
  };
  std::string reasoning;
  std::string content;
  std::vector<ToolCall> tool_calls;
  int64_t num_reasoning_tokens = 0;
  HarmonyRecoveryCounts recoveries;

  void add(const ChatDelta& delta);
};

ChatParts parse_chat(const Tokenizer& tokenizer, std::span<const int32_t> ids,
                     std::vector<std::string> tool_names);

// OpenAI's finish_reason: "length" where a limit cut the answer, "tool_calls" where it has any, else "stop".
std::string_view chat_finish_reason(bool was_cut, int num_tool_calls);

}  // namespace gossamer
