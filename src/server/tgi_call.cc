#include "server/tgi_call.h"

#include <algorithm>
#include <utility>

#include "server/prepare_requests.h"
#include "server/tgi_request.h"
#include "server/tgi_response.h"

namespace gossamer {
namespace {

constexpr int64_t kDefaultNewTokens = 100;  // TGI 2's

// An error about the engine's request in TGI's words.
ApiError in_tgi_words(ApiError error) {
  if (!error.param || *error.param == "inputs") return error;
  const std::string name = *error.param == "max_tokens" ? "max_new_tokens" : *error.param;
  const std::string renamed = "parameters." + name;
  if (error.message.starts_with(*error.param)) error.message.replace(0, error.param->size(), renamed);
  error.param = renamed;
  return error;
}

}  // namespace

ApiResult<PreparedCall> prepare_tgi_call(TgiEndpoint endpoint, const json::value& body,
                                         const ServedModel& model, const CallIdentity& identity) {
  ApiResult<TgiRequest> parsed = parse_tgi_request(body);
  if (!parsed.ok()) return parsed.error();
  TgiRequest request = std::move(parsed).value();
  CommonFields& common = request.common;
  if (endpoint != TgiEndpoint::kRoot) common.stream = endpoint == TgiEndpoint::kGenerateStream;
  if (common.stream && common.best_of > 1)
    return ApiError{.message = "parameters.best_of: expected 1, since the best is told only at the end",
                    .param = "parameters.best_of"};
  if (common.stream && request.prefill)
    return ApiError{.message =
                        "parameters.decoder_input_details: expected false, since a stream does not "
                        "tell of the prompt; /generate does",
                    .param = "parameters.decoder_input_details"};

  std::vector<int32_t> prompt = model.tokenizer->encode(request.inputs, {.parse_special = true});
  if (prompt.empty())
    return ApiError{.message = "inputs: expected at least one token, found none", .param = "inputs"};
  if (request.truncate && *request.truncate < static_cast<int64_t>(prompt.size()))
    prompt.erase(prompt.begin(), prompt.end() - static_cast<std::ptrdiff_t>(*request.truncate));
  if (!common.max_tokens) {
    const int64_t room = model.max_model_len - static_cast<int64_t>(prompt.size());
    common.max_tokens = std::clamp<int64_t>(room, 1, kDefaultNewTokens);
  }
  if (request.details || common.stream || request.top_n_tokens > 0)
    common.top_logprobs = request.top_n_tokens;

  ResponseOptions response;
  std::vector<std::vector<int32_t>> prompts;
  prompts.push_back(std::move(prompt));
  ApiResult<PreparedCall> call =
      prepare_requests(common, std::move(prompts), "inputs", model, identity, response);
  if (!call.ok()) return in_tgi_words(call.error());
  PreparedCall prepared = std::move(call).value();
  prepared.in_list = endpoint == TgiEndpoint::kRoot;
  Request& asked = prepared.requests.front();
  if (request.prefill) asked.prompt_logprobs = 0;
  TgiOptions tgi{.full_text_prefix = request.return_full_text ? request.inputs : std::string(),
                 .details = request.details,
                 .prefill = request.prefill,
                 .top_n_tokens = request.top_n_tokens,
                 .eos_ids = model.eos_ids};
  if (request.samples) tgi.seed = asked.sampling.seed;
  prepared.response = std::make_unique<TgiResponse>(*model.tokenizer, std::move(response), std::move(tgi));
  return prepared;
}

json::object tgi_info_json(const ServedModel& model, const std::string& version, int64_t max_requests) {
  return {{"model_id", model.names.front()},
          {"model_sha", nullptr},
          {"model_pipeline_tag", "text-generation"},
          {"max_concurrent_requests", max_requests},
          {"max_best_of", 128},
          {"max_stop_sequences", 4},
          {"max_input_tokens", model.max_model_len - 1},
          {"max_total_tokens", model.max_model_len},
          {"router", "gossamer"},
          {"version", version},
          {"sha", nullptr},
          {"docker_label", nullptr}};
}

}  // namespace gossamer
