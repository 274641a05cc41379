#include "server/responses_call.h"

#include <fmt/format.h>

#include <cstdlib>
#include <utility>

#include "server/responses_request.h"
#include "server/responses_response.h"

namespace gossamer {
namespace {

// With no more digits than a float knows.
double widened(float number) { return std::strtod(fmt::format("{}", number).c_str(), nullptr); }

std::string_view effort_name(ReasoningEffort effort) {
  if (effort == ReasoningEffort::kLow) return "low";
  return effort == ReasoningEffort::kMedium ? "medium" : "high";
}

// What the request left open and the model decided.
void complete_echo(const ServedModel& model, const SamplingParams& sampling, json::object& echo) {
  if (echo.at("temperature").is_null()) echo["temperature"] = widened(sampling.temperature);
  if (echo.at("top_p").is_null()) echo["top_p"] = widened(sampling.top_p);
  json::object& reasoning = echo.at("reasoning").as_object();
  if (reasoning.at("effort").is_null()) reasoning["effort"] = effort_name(model.reasoning_effort);
}

}  // namespace

ApiResult<PreparedCall> prepare_responses_call(const json::value& body, const ServedModel& model,
                                               const CallIdentity& identity, ResponseStore& store) {
  ApiResult<ResponsesRequest> parsed = parse_responses_request(body, store, identity.id);
  if (!parsed.ok()) return parsed.error();
  ResponsesRequest request = std::move(parsed).value();
  ResponseOptions response;
  ApiResult<PreparedCall> call = prepare_chat_request(request.chat, model, identity, response);
  if (!call.ok()) return in_words_of(request, call.error());
  PreparedCall prepared = std::move(call).value();
  complete_echo(model, prepared.requests.front().sampling, request.echo);
  ResponsesOptions responses{.echo = std::move(request.echo),
                             .include_reasoning = request.chat.include_reasoning,
                             .encrypted_reasoning = request.encrypted_reasoning,
                             .store = request.store ? &store : nullptr,
                             .input = std::move(request.input),
                             .previous = std::move(request.previous)};
  prepared.response =
      std::make_unique<ResponsesResponse>(*model.tokenizer, std::move(response), std::move(responses));
  return prepared;
}

}  // namespace gossamer
