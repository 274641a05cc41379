// ChatResponse: what /v1/chat/completions answers: `chat.completion`, or a stream of `chat.completion.chunk`.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "server/call_response.h"

namespace gossamer {

class ChatResponse final : public CallResponse {
 public:
  // One prompt.
  ChatResponse(const Tokenizer& tokenizer, ResponseOptions options, bool include_reasoning);

  json::object to_json() const override;
  std::string take_events() override;

 private:
  json::object choice_json(const Choice& choice) const;
  json::value logprobs_json(const Choice& choice, std::size_t first_token) const;
  json::object chunk(json::array choices) const;
  void append_chunk(std::string& out, std::size_t index, json::object delta, json::value logprobs,
                    const std::string& finish_reason);
  void append_choice(std::string& out, std::size_t index);

  bool include_reasoning_;
  std::vector<ChoiceCursor> cursors_;  // of a stream
  std::vector<std::size_t> num_ids_;   // that it has told
  bool has_begun_ = false;
  bool has_ended_ = false;
};

}  // namespace gossamer
