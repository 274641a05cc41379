// What is the same for every endpoint, once a call's prompts are token ids: everything checked that can be
// checked, sampling merged with the model's own, and the engine's requests made. Called by openai_call.cc and
// its kin.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/api_error.h"
#include "server/call_response.h"
#include "server/openai_call.h"
#include "server/openai_request.h"
#include "server/served_model.h"

namespace gossamer {

// 404 for a model that is not served here.
std::optional<ApiError> check_model_name(const CommonFields& common, const ServedModel& model);

// Ids of a list that stands at `path` in the request.
std::optional<ApiError> check_ids(const std::vector<int32_t>& ids, const std::string& path,
                                  const ServedModel& model);

// `prompt_param`: the field that is to blame when a prompt is too long. Fills in what `response` takes from
// the request; the call's own response is left for the caller to make of it.
ApiResult<PreparedCall> prepare_requests(const CommonFields& common,
                                         std::vector<std::vector<int32_t>> prompts,
                                         std::string_view prompt_param, const ServedModel& model,
                                         const CallIdentity& identity, ResponseOptions& response);

}  // namespace gossamer
