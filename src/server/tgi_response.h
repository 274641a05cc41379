// TgiResponse: what /generate answers, and the events of /generate_stream: one for each token, the last with
// the whole text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "server/api_error.h"
#include "server/call_response.h"
#include "server/plain_stream.h"

namespace gossamer {

struct TgiOptions {
  std::string full_text_prefix;  // of the text, for return_full_text
  bool details = false;
  bool prefill = false;
  int top_n_tokens = 0;
  std::optional<uint64_t> seed;  // of the first sequence; nothing where it is greedy
  std::vector<int32_t> eos_ids;  // by which the model ends its text
};

class TgiResponse final : public CallResponse {
 public:
  // One prompt; with log-probabilities where there are details or a stream.
  TgiResponse(const Tokenizer& tokenizer, ResponseOptions options, TgiOptions tgi);

  json::object to_json() const override;
  std::string take_events() override;

 private:
  // Number `index` of a choice's tokens; `stream` has been given those before it.
  json::object token_json(const Choice& choice, std::size_t index, PlainStream& stream) const;
  json::array top_tokens_json(const Choice& choice, std::size_t index) const;
  json::array prefill_json() const;
  std::string text_of(const Choice& choice) const;
  std::string_view finish_reason(const Choice& choice) const;
  json::object details_json(std::size_t index) const;
  void append_token(std::string& out, json::object token, std::size_t index, bool is_last) const;

  TgiOptions tgi_;
  PlainStream stream_;  // of the first choice, for events
  std::size_t num_told_ = 0;
  bool has_ended_ = false;
};

// {"error", "error_type"}
json::object to_tgi_json(const ApiError& error);

}  // namespace gossamer
