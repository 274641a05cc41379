// The endpoints of Service that run nothing: models, health, metrics, administration.
#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/system_memory.h"
#include "server/json_fields.h"
#include "server/service.h"
#include "server/token_endpoints.h"

namespace gossamer {
namespace {

double milliseconds(double seconds) { return std::round(seconds * 1e5) / 1e2; }

json::object status_json(const ModelStatus& status) {
  json::object out = {{"status", to_string(status.state)}};
  if (!status.name.empty()) out.emplace("model", status.name);
  if (status.state == ModelState::kLoading) {
    out.emplace("percent", std::floor(1000.0 * status.progress) / 10.0);
    out.emplace("seconds_left",
                status.seconds_left ? json::value(milliseconds(*status.seconds_left) / 1e3) : nullptr);
  }
  if (!status.error.empty()) out.emplace("error", status.error);
  return out;
}

// What the engine's next step depends on.
std::string_view waits_for(const EngineLoad& load, const EngineHeartbeat& heartbeat) {
  if (heartbeat.idle) return "requests";
  if (heartbeat.seconds_in_step > 0.0) return "the step that runs";
  if (load.running_sequences == 0 && load.waiting_requests > 0) return "memory for the next request";
  return "nothing";
}

}  // namespace

void Service::list_models(HttpRequest& /*request*/, const std::shared_ptr<HttpExchange>& exchange,
                          RequestScope& scope) {
  const std::shared_ptr<ServedEngine> served = host_.current();
  answer_json(exchange, scope,
              served ? models_json(served->model, served->created)
                     : json::object{{"object", "list"}, {"data", json::array()}});
}

void Service::show_model(HttpRequest& /*request*/, const std::shared_ptr<HttpExchange>& exchange,
                         RequestScope& scope) {
  const std::shared_ptr<ServedEngine> served = host_.current();
  if (!served) return fail(exchange, scope, not_ready());
  answer_result(exchange, scope, model_json(served->model, scope.rest, served->created));
}

void Service::page(HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange, RequestScope& scope) {
  constexpr int kNotFound = 404;
  if (options_.page.empty())
    return fail(exchange, scope,
                {.status = kNotFound, .message = "there is no page here", .code = "unknown_url"});
  HttpResponse response{.content_type = "text/html; charset=utf-8",
                        .headers = {{"Cache-Control", "no-cache"},
                                    {"Vary", "Accept-Encoding"},
                                    {"X-Content-Type-Options", "nosniff"},
                                    {"X-Frame-Options", "DENY"},
                                    {"Referrer-Policy", "no-referrer"}}};
  const bool takes_gzip =
      request.header("accept-encoding").value_or("").find("gzip") != std::string_view::npos;
  if (takes_gzip && !options_.page_gzip.empty()) {
    response.headers.emplace_back("Content-Encoding", "gzip");
    response.body = options_.page_gzip;
  } else {
    response.body = options_.page;
  }
  answer(exchange, scope, std::move(response));
}

// Saturated is not dead: this answers 200 as long as the process answers at all, with what a supervisor needs
// to see whether steps still come.
void Service::health(HttpRequest& /*request*/, const std::shared_ptr<HttpExchange>& exchange,
                     RequestScope& scope) {
  json::object out = status_json(host_.status());
  if (draining_) out["status"] = "draining";
  out.emplace("calls", num_calls());
  if (const std::shared_ptr<ServedEngine> served = host_.current()) {
    const EngineLoad load = served->engine->load();
    const EngineHeartbeat heartbeat = served->thread->heartbeat();
    out.emplace("engine",
                json::object{{"waits_for", waits_for(load, heartbeat)},
                             {"seconds_since_step", milliseconds(heartbeat.seconds_since_step) / 1e3},
                             {"seconds_in_step", milliseconds(heartbeat.seconds_in_step) / 1e3},
                             {"steps", load.steps},
                             {"running_sequences", load.running_sequences},
                             {"waiting_requests", load.waiting_requests},
                             {"waiting_prompt_tokens", load.waiting_tokens},
                             {"kv_pages_used", load.used_pages},
                             {"kv_pages", load.total_pages}});
  }
  answer_json(exchange, scope, out);
}

void Service::health_live(HttpRequest& /*request*/, const std::shared_ptr<HttpExchange>& exchange,
                          RequestScope& scope) {
  answer_json(exchange, scope, {{"status", "live"}});
}

void Service::health_ready(HttpRequest& /*request*/, const std::shared_ptr<HttpExchange>& exchange,
                           RequestScope& scope) {
  if (!draining_ && host_.current()) return answer_json(exchange, scope, {{"status", "ready"}});
  json::object out = status_json(host_.status());
  if (draining_) out["status"] = "draining";
  constexpr int kUnavailable = 503;
  answer(exchange, scope,
         {.status = kUnavailable,
          .headers = {{"Retry-After", std::to_string(retry_seconds(kUnavailable))}},
          .body = json::serialize(out)});
}

void Service::metrics(HttpRequest& /*request*/, const std::shared_ptr<HttpExchange>& exchange,
                      RequestScope& scope) {
  answer(exchange, scope,
         {.content_type = "text/plain; version=0.0.4; charset=utf-8", .body = metrics_.text()});
}

void Service::version(HttpRequest& /*request*/, const std::shared_ptr<HttpExchange>& exchange,
                      RequestScope& scope) {
  answer_json(exchange, scope, {{"version", options_.version}});
}

void Service::admin_status(HttpRequest& /*request*/, const std::shared_ptr<HttpExchange>& exchange,
                           RequestScope& scope) {
  answer_json(exchange, scope, status_json(host_.status()));
}

// 202: it goes on; GET /admin/model tells how far it is. What cannot be opened is refused before the model
// that is there is touched.
void Service::admin_load(HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange,
                         RequestScope& scope) {
  const ApiResult<json::value> body = parse_json_body(request.body);
  if (!body.ok()) return fail(exchange, scope, body.error());
  const json::object* object = body.value().if_object();
  const json::value* model = object == nullptr ? nullptr : object->if_contains("model");
  if (model == nullptr || !model->is_string()) {
    return fail(
        exchange, scope,
        {.message = "model: expected a string, a folder as `gossamer serve` takes it", .param = "model"});
  }
  std::unique_ptr<OpenedModel> opened;
  try {
    opened = options_.open_model(*object);
  } catch (const Error& error) {
    return fail(exchange, scope, {.message = error.what(), .param = "model", .code = "model_not_loadable"});
  }
  const std::string name = opened->name();
  if (!host_.load(std::move(opened))) {
    return fail(exchange, scope,
                {.status = 409,
                 .message = "another model is being loaded or unloaded; GET /admin/model tells how far it is",
                 .code = "model_busy"});
  }
  log_.note(fmt::format("loading {} for {}", name, scope.client));
  constexpr int kAccepted = 202;
  answer_json(exchange, scope, status_json(host_.status()), kAccepted);
}

void Service::admin_unload(HttpRequest& /*request*/, const std::shared_ptr<HttpExchange>& exchange,
                           RequestScope& scope) {
  if (!host_.unload()) {
    return fail(exchange, scope,
                {.status = 409,
                 .message = "another model is being loaded or unloaded; GET /admin/model tells how far it is",
                 .code = "model_busy"});
  }
  log_.note(fmt::format("unloading the model for {}", scope.client));
  constexpr int kAccepted = 202;
  answer_json(exchange, scope, status_json(host_.status()), kAccepted);
}

}  // namespace gossamer
