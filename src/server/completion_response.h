// CompletionResponse: what /v1/completions answers: `text_completion`, whole or in a stream.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "server/call_response.h"
#include "server/logprobs_json.h"

namespace gossamer {

// What a completion's response has beside what every call's has.
struct CompletionForm {
  bool echo = false;           // the prompt is the beginning of the text
  bool tokens_as_ids = false;  // in logprobs
  // Of each prompt, filled in when the call is done; none where nobody asked.
  std::vector<std::shared_ptr<const std::vector<float>>> hidden = {};
};

class CompletionResponse final : public CallResponse {
 public:
  CompletionResponse(const Tokenizer& tokenizer, ResponseOptions options, CompletionForm form);

  json::object to_json() const override;
  std::string take_events() override;

 private:
  // A prompt as it is echoed.
  struct Echo {
    std::string text;
    std::vector<std::size_t> begins;  // of its tokens in the text
  };
  struct Streamed {
    ChoiceCursor cursor;
    CharacterCounter counter;
    std::size_t num_ids = 0;     // of Choice::token_ids
    bool has_echo = false;       // it was sent
    std::size_t echo_bytes = 0;  // of it
  };

  json::object head() const;
  Echo echo_of(std::size_t prompt) const;
  json::value logprobs_json(const Choice& choice, std::size_t prompt, const Echo* echo,
                            std::size_t content_begin, std::size_t first_token,
                            CharacterCounter& counter) const;
  void append_choice(std::string& out, std::size_t index);

  CompletionForm form_;
  std::vector<Streamed> streamed_;  // of choices()
  bool has_ended_ = false;
};

}  // namespace gossamer
