// The body of /v1/responses read into types, its conversation put together from what came before
// (previous_response_id, item references) and its own items. Called by responses_call.h.
//
// What the model is asked is a ChatRequest: a field that both APIs have is read where the chat's is, so that
// prompts, sampling and constraints have one source. Tools that are no functions (web_search, custom,
// namespace and their kin) are skipped, since agents declare them to every server. Accepted without effect:
// user, metadata (both are repeated), reasoning.summary (reasoning is given whole), text.verbosity,
// max_tool_calls (no tool runs here), stream_options, service_tier, prompt_cache_key and its kin,
// safety_identifier. `strict` is false where a tool is silent.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "server/api_error.h"
#include "server/openai_request.h"
#include "server/response_store.h"

namespace gossamer {

struct ResponsesRequest {
  ChatRequest chat;
  json::array input;  // the request's own items, as they are kept; empty where nothing is
  std::shared_ptr<const StoredResponse> previous;
  bool store = true;
  bool encrypted_reasoning = false;  // reasoning items carry their text once more: see kPlainReasoning
  json::object echo;                 // the fields that a response repeats, all of them
  std::vector<std::size_t> tools;    // for each of chat.tools its index in the request
};

// `id` is that of the call (CallIdentity), for the ids of items.
ApiResult<ResponsesRequest> parse_responses_request(const json::value& body, ResponseStore& store,
                                                    const std::string& id);

// An error about the chat request in the words of the request that it was made of: "messages" is "input".
ApiError in_words_of(const ResponsesRequest& request, ApiError error);

}  // namespace gossamer
