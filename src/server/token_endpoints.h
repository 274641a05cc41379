// The endpoints that need no engine, in vLLM's form: /tokenize, /detokenize and the list of models. Each
// answers at once.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/json.h"
#include "server/api_error.h"
#include "server/served_model.h"

namespace gossamer {

// {"prompt"} or a chat's {"messages", "tools", ...} -> {"count", "max_model_len", "tokens", "token_strs"}.
ApiResult<json::object> tokenize(const json::value& body, const ServedModel& model);

// {"tokens"} -> {"prompt"}
ApiResult<json::object> detokenize(const json::value& body, const ServedModel& model);

// GET /v1/models: every name that the model has. `created`: seconds since 1970.
json::object models_json(const ServedModel& model, int64_t created);

// GET /v1/models/NAME, the name no longer percent-encoded, and 404.
ApiResult<json::object> model_json(const ServedModel& model, std::string_view name, int64_t created);

}  // namespace gossamer
