// OpenAiResponse: what the engine gives for one call of an endpoint, collected into the JSON that answers it.
// A call is one or more prompts with best_of sequences each; the sequences are choices (choice.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "engine/request.h"
#include "server/api_error.h"
#include "server/choice.h"
#include "text/tokenizer.h"

namespace gossamer {

enum class Endpoint : uint8_t { kChat, kCompletions };

struct ResponseOptions {
  Endpoint endpoint = Endpoint::kChat;
  std::string id;       // without the prefix that its kind has
  int64_t created = 0;  // seconds since 1970
  std::string model;
  int num_choices = 1;
  int best_of = 1;
  int top_logprobs = -1;  // as in CommonFields
  bool echo = false;
  bool include_reasoning = true;
  bool return_token_ids = false;
  std::vector<std::vector<int32_t>> prompts;
  ChoiceOptions choice;
};

class OpenAiResponse {
 public:
  // `tokenizer` outlives this.
  OpenAiResponse(const Tokenizer& tokenizer, ResponseOptions options);

  // Takes the next output of the engine's request for prompt number `prompt`. True: a stop string has ended
  // the sequence, and the engine should be told to cancel it.
  bool add(std::size_t prompt, const Output& output);

  // Every sequence has ended, or the call has failed.
  bool done() const { return error_.has_value() || num_unfinished_ == 0; }

  // The call cannot be answered: the engine refused one of its prompts.
  void fail(ApiError error);
  const std::optional<ApiError>& error() const { return error_; }

  // The whole response, once it is done without an error: `chat.completion` or `text_completion`.
  json::object to_json() const;
  json::object usage() const;

  // For streams: choice `index` of the response. Not with best_of > num_choices.
  const Choice& choice(std::size_t index) const { return choices_.at(index); }

  // So far.
  int64_t num_prompt_tokens() const;
  int64_t num_completion_tokens() const;

 private:
  struct Prompt {
    std::vector<TokenLogprobs> logprobs;  // from the second token on
    int64_t cached_tokens = 0;
  };

  std::vector<std::size_t> best_choices(std::size_t prompt) const;
  json::object chat_choice(const Choice& choice) const;
  json::object completion_choice(const Choice& choice, std::size_t prompt) const;

  const Tokenizer& tokenizer_;
  ResponseOptions options_;
  std::vector<Prompt> prompts_;
  std::vector<Choice> choices_;  // best_of for each prompt
  std::size_t num_unfinished_;
  std::optional<ApiError> error_;
};

}  // namespace gossamer
