// /generate and /generate_stream of text-generation-inference, from the JSON that came to what the engine is
// asked: what openai_call.h is for OpenAI's endpoints. Errors go out by to_tgi_json (tgi_response.h).
#pragma once

#include <cstdint>
#include <string>

#include "server/openai_call.h"

namespace gossamer {

// kRoot is POST /: the body says whether it wants a stream; if not, a list of the one response goes out.
enum class TgiEndpoint : uint8_t { kGenerate, kGenerateStream, kRoot };

// The model outlives the call.
ApiResult<PreparedCall> prepare_tgi_call(TgiEndpoint endpoint, const json::value& body,
                                         const ServedModel& model, const CallIdentity& identity);

// GET /info. `version` is this program's.
json::object tgi_info_json(const ServedModel& model, const std::string& version, int64_t max_requests);

}  // namespace gossamer
