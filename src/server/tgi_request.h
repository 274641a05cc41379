// The body of /generate and /generate_stream, as Hugging Face's text-generation-inference documents it.
// Called by tgi_call.h.
//
// Every documented parameter works or is refused by name: typical_p, watermark, grammar and adapter_id are.
// Without do_sample and without a temperature, top_k or top_p of its own a request is greedy.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"
#include "server/api_error.h"
#include "server/openai_request.h"

namespace gossamer {

struct TgiRequest {
  CommonFields common;  // stream: what the body says, which POST / obeys
  std::string inputs;
  std::optional<int64_t> truncate;  // of the prompt the last so many tokens are kept
  bool samples = false;
  bool return_full_text = false;
  bool details = false;
  bool prefill = false;  // details of the prompt's tokens
  int top_n_tokens = 0;
};

ApiResult<TgiRequest> parse_tgi_request(const json::value& body);

}  // namespace gossamer
