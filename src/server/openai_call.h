// One call of an endpoint, from the JSON that came to what the engine is asked and what collects its answer.
// The way in for the HTTP server and for batch runs:
//
//   prepare_call -> submit each of `requests` -> response->add(...) with what comes
//                -> response->to_json() once it is done, or take_events() again and again
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "engine/request.h"
#include "server/api_error.h"
#include "server/call_response.h"
#include "server/openai_request.h"
#include "server/served_model.h"

namespace gossamer {

enum class Endpoint : uint8_t { kChat, kCompletions };

struct CallIdentity {
  std::string id;             // random_id()
  int64_t created = 0;        // seconds since 1970
  uint64_t default_seed = 0;  // for a body without "seed"
};

struct PreparedCall {
  std::vector<Request> requests;  // one for each prompt, in order
  std::unique_ptr<CallResponse> response;
  bool stream = false;   // the answer is response->take_events(), else response->to_json()
  bool in_list = false;  // that is the one element of a list
};

// Everything that can be refused without running it is refused here. The model outlives the call.
ApiResult<PreparedCall> prepare_call(Endpoint endpoint, const json::value& body, const ServedModel& model,
                                     const CallIdentity& identity);

// For endpoints whose requests become conversations: all that prepare_call does for a chat but the response,
// which the caller makes out of what `response` was filled in with.
ApiResult<PreparedCall> prepare_chat_request(const ChatRequest& request, const ServedModel& model,
                                             const CallIdentity& identity, ResponseOptions& response);

// 24 hexadecimal digits that nothing else has.
std::string random_id();
// What nobody can guess.
uint64_t random_seed();

}  // namespace gossamer
