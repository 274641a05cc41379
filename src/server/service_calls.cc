// What Service answers, and the endpoints that read what a model has said or how it reads.
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

const std::vector<Service::Route>& Service::routes() {
  using Body = json::value;
  using Model = ServedModel;
  using Identity = CallIdentity;
  using Store = ResponseStore;
  static const std::vector<Route> kRoutes = {
      call_route("/v1/chat/completions",
                 [](const Body& body, const Model& model, const Identity& identity, Store&) {
                   return prepare_call(Endpoint::kChat, body, model, identity);
                 }),
      call_route("/v1/completions",
                 [](const Body& body, const Model& model, const Identity& identity, Store&) {
                   return prepare_call(Endpoint::kCompletions, body, model, identity);
                 }),
      call_route("/v1/responses", prepare_responses_call),
      call_route(
          "/generate",
          [](const Body& body, const Model& model, const Identity& identity, Store&) {
            return prepare_tgi_call(TgiEndpoint::kGenerate, body, model, identity);
          },
          to_tgi_json),
      call_route(
          "/generate_stream",
          [](const Body& body, const Model& model, const Identity& identity, Store&) {
            return prepare_tgi_call(TgiEndpoint::kGenerateStream, body, model, identity);
          },
          to_tgi_json),
      call_route(
          "/",
          [](const Body& body, const Model& model, const Identity& identity, Store&) {
            return prepare_tgi_call(TgiEndpoint::kRoot, body, model, identity);
          },
          to_tgi_json),
      {"GET", "/v1/responses/*", Access::kKey, &Service::show_response},
      {"DELETE", "/v1/responses/*", Access::kKey, &Service::delete_response},
      {"GET", "/info", Access::kKey, &Service::generate_info},
      {.method = "POST",
       .path = "/tokenize",
       .access = Access::kKey,
       .handler = &Service::tokenize,
       .in_background = true},
      {.method = "POST",
       .path = "/detokenize",
       .access = Access::kKey,
       .handler = &Service::detokenize,
       .in_background = true},
      {"GET", "/v1/models", Access::kPublic, &Service::list_models},
      {"GET", "/v1/models/*", Access::kPublic, &Service::show_model},
      {"GET", "/", Access::kPublic, &Service::page},
      {"GET", "/health", Access::kPublic, &Service::health},
      {"GET", "/health/live", Access::kPublic, &Service::health_live},
      {"GET", "/health/ready", Access::kPublic, &Service::health_ready},
      {"GET", "/metrics", Access::kPublic, &Service::metrics},
      {"GET", "/version", Access::kPublic, &Service::version},
      {"GET", "/admin/model", Access::kAdmin, &Service::admin_status},
      {.method = "POST",
       .path = "/admin/load",
       .access = Access::kAdmin,
       .handler = &Service::admin_load,
       .in_background = true},
      {"POST", "/admin/unload", Access::kAdmin, &Service::admin_unload},
  };
  return kRoutes;
}

Service::Route Service::call_route(std::string_view path, Prepare prepare, ErrorBody error_body) {
  return {.method = "POST",
          .path = path,
          .access = Access::kKey,
          .prepare = prepare,
          .error_body = error_body,
          .in_background = true};
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
