// CallResponse: what the engine gives for one call of an endpoint, collected into what answers it: one JSON
// body, or server-sent events. A call is one or more prompts with best_of sequences each; the sequences are
// choices (choice.h). Each endpoint has its own kind: chat_response.h, completion_response.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "engine/request.h"
#include "server/api_error.h"
#include "server/choice.h"
#include "text/tokenizer.h"

namespace gossamer {

struct ResponseOptions {
  std::string id;       // without the prefix that its kind has
  int64_t created = 0;  // seconds since 1970
  std::string model;
  int num_choices = 1;
  int best_of = 1;
  int top_logprobs = -1;  // as in CommonFields
  bool return_token_ids = false;
  bool stream_usage = false;     // the last event of a stream tells the usage
  bool include_timings = false;  // the response tells where the time went
  std::vector<std::vector<int32_t>> prompts;
  ChoiceOptions choice;
};

// Of a whole call: the longest of its sequences' times.
struct CallTimes {
  double queue_seconds = 0.0;
  double prefill_seconds = 0.0;
  double decode_seconds = 0.0;
  int64_t preemptions = 0;
  int64_t drafted_tokens = 0;
  int64_t accepted_tokens = 0;
};

struct TokenUsage {
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;  // of those
  int64_t completion_tokens = 0;
  int64_t reasoning_tokens = 0;  // of those
};

class CallResponse {
 public:
  virtual ~CallResponse() = default;
  CallResponse(const CallResponse&) = delete;
  CallResponse& operator=(const CallResponse&) = delete;

  // Takes the next output of the engine's request for prompt number `prompt`. True: a stop string has ended
  // the sequence, and the engine should be told to cancel it.
  bool add(std::size_t prompt, const Output& output);

  // Every sequence has ended, or the call has failed.
  bool done() const { return error_.has_value() || num_unfinished_ == 0; }

  // The call cannot be answered: the engine refused one of its prompts.
  void fail(ApiError error);
  const std::optional<ApiError>& error() const { return error_; }

  // So far.
  TokenUsage usage() const;
  // Of the sequences that have ended.
  const CallTimes& times() const { return times_; }
  // Of the first choice; empty until it has ended.
  const std::string& finish_reason() const { return choices_.front().finish_reason(); }
  // How often the choices' text had to be recovered from broken Harmony.
  HarmonyRecoveryCounts recoveries() const;

  // The whole response, once it is done without an error.
  virtual json::object to_json() const = 0;

  // For streams: what has come since the last call, as the bytes of server-sent events; may be empty. The
  // first call gives the opening events, the first one after done() the closing ones, or the error's.
  virtual std::string take_events() = 0;

 protected:
  // `tokenizer` outlives this.
  CallResponse(const Tokenizer& tokenizer, ResponseOptions options);

  // Every sequence has ended and nothing failed; called once, by add().
  virtual void on_complete() {}

  const Tokenizer& tokenizer() const { return tokenizer_; }
  const ResponseOptions& options() const { return options_; }
  // Of prompt p: best_of from p * best_of on.
  const std::vector<Choice>& choices() const { return choices_; }
  // Of a prompt's tokens, from the second on; so far.
  const std::vector<TokenLogprobs>& prompt_logprobs(std::size_t prompt) const {
    return prompts_.at(prompt).logprobs;
  }
  // Indices into choices() of those of a prompt that are returned, the most likely first; all in their order
  // where all are.
  std::vector<std::size_t> best_choices(std::size_t prompt) const;

 private:
  struct Prompt {
    std::vector<TokenLogprobs> logprobs;
    int64_t cached_tokens = 0;
  };

  const Tokenizer& tokenizer_;
  ResponseOptions options_;
  std::vector<Prompt> prompts_;
  std::vector<Choice> choices_;
  CallTimes times_;
  std::size_t num_unfinished_;
  std::optional<ApiError> error_;
};

// {"prompt_tokens", "completion_tokens", "total_tokens", and both details}
json::object usage_json(const TokenUsage& usage);
// {"queue_ms", "prefill_ms", "decode_ms", ...}
json::object timings_json(const CallTimes& times);

// "data: {...}\n\n"; with a name "event: NAME\n" before it.
void append_event(std::string& out, const json::value& data, std::string_view name = {});
// The last event of chat and completion streams.
inline constexpr std::string_view kDoneEvent = "data: [DONE]\n\n";

// Text of which a piece is empty is null.
json::value text_or_null(const std::string& text);
json::array ids_json(const std::vector<int32_t>& ids);
// Of a stream: those of the choice's tokens that it has not told yet, and counts them as told.
json::array new_ids_json(const Choice& choice, std::size_t& num_told);

}  // namespace gossamer
