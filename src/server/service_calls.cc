// The endpoints of Service that run a model, or read what one has said.
#include <optional>
#include <string>
#include <string_view>

#include "server/json_fields.h"
#include "server/responses_call.h"
#include "server/service.h"
#include "server/tgi_call.h"
#include "server/tgi_response.h"
#include "server/token_endpoints.h"

namespace gossamer {
namespace {

// A parameter of "a=1&b=2", decoded.
std::optional<std::string> query_parameter(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::size_t end = query.find('&');
    const std::string_view pair = query.substr(0, end);
    const std::size_t equals = pair.find('=');
    if (pair.substr(0, equals) == name && equals != std::string_view::npos)
      return percent_decode(pair.substr(equals + 1));
    query = end == std::string_view::npos ? std::string_view() : query.substr(end + 1);
  }
  return std::nullopt;
}

}  // namespace

void Service::chat_completions(HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange,
                               RequestScope& scope) {
  const auto prepare = [](const json::value& body, const ServedEngine& engine, const CallIdentity& identity) {
    return prepare_call(Endpoint::kChat, body, engine.model, identity);
  };
  run_call(request, exchange, scope, prepare, to_json);
}

void Service::completions(HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange,
                          RequestScope& scope) {
  const auto prepare = [](const json::value& body, const ServedEngine& engine, const CallIdentity& identity) {
    return prepare_call(Endpoint::kCompletions, body, engine.model, identity);
  };
  run_call(request, exchange, scope, prepare, to_json);
}

void Service::create_response(HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange,
                              RequestScope& scope) {
  const auto prepare = [this](const json::value& body, const ServedEngine& engine,
                              const CallIdentity& identity) {
    return prepare_responses_call(body, engine.model, identity, responses_);
  };
  run_call(request, exchange, scope, prepare, to_json);
}

void Service::show_response(HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange,
                            RequestScope& scope) {
  constexpr std::string_view kItems = "/input_items";
  if (!scope.rest.ends_with(kItems))
    return answer_result(exchange, scope, retrieve_response(responses_, scope.rest));
  const std::string_view id = std::string_view(scope.rest).substr(0, scope.rest.size() - kItems.size());
  const ItemListQuery query{.limit = query_parameter(request.query, "limit"),
                            .order = query_parameter(request.query, "order"),
                            .after = query_parameter(request.query, "after")};
  answer_result(exchange, scope, list_input_items(responses_, id, query));
}

void Service::delete_response(HttpRequest& /*request*/, const std::shared_ptr<HttpExchange>& exchange,
                              RequestScope& scope) {
  answer_result(exchange, scope, gossamer::delete_response(responses_, scope.rest));
}

void Service::generate(HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange,
                       RequestScope& scope) {
  const auto prepare = [](const json::value& body, const ServedEngine& engine, const CallIdentity& identity) {
    return prepare_tgi_call(TgiEndpoint::kGenerate, body, engine.model, identity);
  };
  run_call(request, exchange, scope, prepare, to_tgi_json);
}

void Service::generate_stream(HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange,
                              RequestScope& scope) {
  const auto prepare = [](const json::value& body, const ServedEngine& engine, const CallIdentity& identity) {
    return prepare_tgi_call(TgiEndpoint::kGenerateStream, body, engine.model, identity);
  };
  run_call(request, exchange, scope, prepare, to_tgi_json);
}

void Service::generate_root(HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange,
                            RequestScope& scope) {
  const auto prepare = [](const json::value& body, const ServedEngine& engine, const CallIdentity& identity) {
    ApiResult<PreparedCall> call = prepare_tgi_call(TgiEndpoint::kRoot, body, engine.model, identity);
    if (!call.ok()) return call;
    PreparedCall prepared = std::move(call).value();
    prepared.in_list = true;
    return ApiResult<PreparedCall>(std::move(prepared));
  };
  run_call(request, exchange, scope, prepare, to_tgi_json);
}

void Service::generate_info(HttpRequest& /*request*/, const std::shared_ptr<HttpExchange>& exchange,
                            RequestScope& scope) {
  const auto engine = ready_engine();
  if (!engine.ok()) return fail(exchange, scope, engine.error());
  answer_json(exchange, scope,
              tgi_info_json(engine.value()->model, options_.version,
                            engine.value()->engine->options().max_waiting_requests));
}

void Service::tokenize(HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange,
                       RequestScope& scope) {
  const auto engine = ready_engine();
  if (!engine.ok()) return fail(exchange, scope, engine.error());
  const ApiResult<json::value> body = parse_json_body(request.body);
  if (!body.ok()) return fail(exchange, scope, body.error());
  answer_result(exchange, scope, gossamer::tokenize(body.value(), engine.value()->model));
}

void Service::detokenize(HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange,
                         RequestScope& scope) {
  const auto engine = ready_engine();
  if (!engine.ok()) return fail(exchange, scope, engine.error());
  const ApiResult<json::value> body = parse_json_body(request.body);
  if (!body.ok()) return fail(exchange, scope, body.error());
  answer_result(exchange, scope, gossamer::detokenize(body.value(), engine.value()->model));
}

}  // namespace gossamer
