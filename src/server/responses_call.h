// /v1/responses, from the JSON that came to what the engine is asked: what openai_call.h is for chats. The
// response puts itself into the store when it is complete.
#pragma once

#include "server/openai_call.h"
#include "server/response_store.h"

namespace gossamer {

// The model and the store outlive the call.
ApiResult<PreparedCall> prepare_responses_call(const json::value& body, const ServedModel& model,
                                               const CallIdentity& identity, ResponseStore& store);

}  // namespace gossamer
