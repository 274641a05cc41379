// Choice: one sequence's tokens, as the engine gives them, to what the API calls a choice: content,
// reasoning, tool calls, log-probabilities, and why it ended. It grows only at its ends, so that a stream is
// the differences between its states (ChoiceCursor) and adds up to what the whole response says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "engine/request.h"
#include "server/plain_stream.h"
#include "text/harmony_chat.h"
#include "text/stop_strings.h"
#include "text/tokenizer.h"

namespace gossamer {

struct ChoiceOptions {
  bool harmony = false;
  bool skip_special = true;
  bool logprobs = false;  // the engine gives them with every token
  std::vector<std::string> stops = {};
  std::vector<std::string> functions = {};  // that may be called
  std::string call_id_prefix = {};
};

struct ToolCall {
  std::string id;
  std::string function;
  std::string arguments;  // as the model wrote them: should be JSON, may be anything
};

// A token of the content.
struct ContentToken {
  TokenLogprobs logprobs;
  std::size_t begin = 0;  // byte of the content where its text begins (Choice::is_plain)
};

// Text of one kind without text of another between, or one call. The parts of a choice are its answer in the
// order in which it was given.
struct ChoicePart {
  enum class Kind : uint8_t { kReasoning, kContent, kToolCall };
  Kind kind = Kind::kContent;
  std::size_t begin = 0;  // byte of Choice::reasoning or content, up to the next of its kind; index of a call
};

// How much of a choice a stream has sent.
struct ChoiceCursor {
  std::size_t content = 0;
  std::size_t reasoning = 0;
  std::size_t tokens = 0;     // of Choice::content_tokens
  std::size_t calls = 0;      // begun
  std::size_t arguments = 0;  // bytes of the last of those
  bool finished = false;
};

struct ChoiceDelta {
  struct Call {
    std::size_t index = 0;
    bool is_new = false;  // the stream must say id and function now, and only now
    std::string arguments;
  };
  std::string content;
  std::string reasoning;
  std::vector<Call> calls;
  std::size_t first_token = 0;  // of content_tokens, up to their end
  bool finished = false;

  bool empty() const { return content.empty() && reasoning.empty() && calls.empty() && !finished; }
};

class Choice {
 public:
  // `tokenizer` outlives this.
  Choice(const Tokenizer& tokenizer, ChoiceOptions options);

  // Takes the sequence's next output. What comes behind a stop string is ignored.
  void add(const Output& output);

  // "stop", "length" or "tool_calls"; empty until then.
  const std::string& finish_reason() const { return finish_reason_; }
  bool finished() const { return !finish_reason_.empty(); }

  // No chat form: the content is the whole text.
  bool is_plain() const { return !chat_; }

  const std::string& content() const { return content_; }
  const std::string& reasoning() const { return reasoning_; }
  const std::vector<ToolCall>& tool_calls() const { return tool_calls_; }
  const std::vector<ChoicePart>& parts() const { return parts_; }
  // With logprobs. A token cut away by a stop string is none; in plain text the token
  // that ended it is the last one, though it has no text.
  const std::vector<ContentToken>& content_tokens() const { return content_tokens_; }

  // All that was sampled, headers and end included, up to a stop string.
  const std::vector<int32_t>& token_ids() const { return token_ids_; }
  // With logprobs, of token_ids.
  const std::vector<TokenLogprobs>& token_logprobs() const { return logprobs_; }
  int64_t num_reasoning_tokens() const { return chat_ ? chat_->num_reasoning_tokens() : 0; }
  HarmonyRecoveryCounts recoveries() const { return chat_ ? chat_->recoveries() : HarmonyRecoveryCounts{}; }
  // With logprobs, over token_ids: what best_of compares.
  double mean_logprob() const;

  // What was added since the cursor was here last, and moves it.
  ChoiceDelta delta_since(ChoiceCursor& cursor) const;

 private:
  void push(int32_t id, bool is_end);
  void flush();
  void take(const ChatDelta& delta);
  void take_content(const std::string& text, int64_t first_token, int64_t num_tokens);
  void append_content(const std::string& text);
  void begin_part(ChoicePart::Kind kind, std::size_t begin);
  void release_tokens(std::size_t end);
  void finish(const Output& output);

  const Tokenizer& tokenizer_;
  ChoiceOptions options_;
  std::optional<HarmonyChat> chat_;
  std::optional<PlainStream> plain_;
  StopStrings stops_;  // of the content
  std::string content_;
  std::string reasoning_;
  std::vector<ToolCall> tool_calls_;
  std::vector<ChoicePart> parts_;
  std::string finish_reason_;

  std::vector<int32_t> token_ids_;
  std::vector<TokenLogprobs> logprobs_;  // of token_ids_
  struct HeldToken {
    int64_t token = 0;
    std::size_t begin = 0;
  };
  std::deque<HeldToken> held_tokens_;  // of content that may yet turn out to be a stop string's
  std::size_t num_content_bytes_ = 0;  // so far, those held back among them
  std::vector<ContentToken> content_tokens_;
  double logprob_sum_ = 0.0;
};

}  // namespace gossamer
