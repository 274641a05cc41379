#include "server/service.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cmath>
#include <ctime>
#include <utility>

#include "server/json_fields.h"

namespace gossamer {

namespace {

constexpr std::size_t kMaxRequestIdLength = 128;
constexpr std::size_t kNumWorkers = 2;

std::string request_id(const HttpRequest& request) {
  const std::optional<std::string_view> given = request.header("x-request-id");
  const auto is_plain = [](char c) { return c > ' ' && c < 0x7F && c != '"'; };
  if (given && !given->empty() && given->size() <= kMaxRequestIdLength &&
      std::all_of(given->begin(), given->end(), is_plain))
    return std::string(*given);
  return "req_" + random_id();
}

// Takes as long for a key that is wrong in its first letter as for one that is wrong in its last.
bool equals_secret(std::string_view given, std::string_view secret) {
  unsigned difference = given.size() == secret.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i)
    difference |= static_cast<unsigned char>(given[i]) ^
                  static_cast<unsigned char>(secret.empty() ? 0 : secret[i % secret.size()]);
  return difference == 0;
}

std::string_view bearer_key(const HttpRequest& request) {
  constexpr std::string_view kBearer = "bearer ";
  std::string_view value = request.header("authorization").value_or("");
  const bool is_bearer = value.size() > kBearer.size() &&
                         std::equal(kBearer.begin(), kBearer.end(), value.begin(), [](char a, char b) {
                           return a == std::tolower(static_cast<unsigned char>(b));
                         });
  return is_bearer ? value.substr(kBearer.size()) : request.header("x-api-key").value_or("");
}

// Seconds that the client gives a request: "X-Request-Timeout: 2.5".
ApiResult<std::optional<double>> timeout_header(const HttpRequest& request) {
  const std::optional<std::string_view> text = request.header("x-request-timeout");
  if (!text) return std::optional<double>();
  const std::string copy(*text);
  char* end = nullptr;
  const double seconds = std::strtod(copy.c_str(), &end);
  constexpr double kMaxSeconds = 1e6;
  if (copy.empty() || *end != '\0' || !(seconds > 0.0) || seconds > kMaxSeconds) {
    return ApiError{
        .message = fmt::format("X-Request-Timeout: expected seconds, more than 0, found \"{}\"", copy),
        .param = "X-Request-Timeout"};
  }
  return std::optional<double>(seconds);
}

EngineClock::time_point after(EngineClock::time_point start, double seconds) {
  return start + std::chrono::duration_cast<EngineClock::duration>(std::chrono::duration<double>(seconds));
}

double milliseconds(double seconds) { return std::round(seconds * 1e5) / 1e2; }

}  // namespace

Service::Service(ServiceOptions options, ModelHost& host, ServerLog& log)
    : options_(std::move(options)),
      host_(host),
      log_(log),
      metrics_(host, options_.version),
      workers_(std::make_unique<boost::asio::thread_pool>(kNumWorkers)) {}

Service::~Service() = default;

HttpResponse Service::make_http_error(int status, std::string message) {
  return {.status = status,
          .body = json::serialize(to_json(ApiError{.status = status, .message = std::move(message)}))};
}

void Service::handle(HttpRequest request, const std::shared_ptr<HttpExchange>& exchange) {
  RequestScope scope{
      .id = request_id(request), .method = request.method, .path = request.path, .client = request.client};
  if (options_.log_prompts) scope.prompt = request.body;
  dispatch(request, exchange, scope);
}

// An exception here is a flaw of ours, and one request's.
void Service::handle_route(const Route& route, HttpRequest& request,
                           const std::shared_ptr<HttpExchange>& exchange, RequestScope& scope) {
  try {
    if (route.prepare != nullptr) {
      run_call(route, request, exchange, scope);
    } else {
      (this->*route.handler)(request, exchange, scope);
    }
  } catch (const std::exception& error) {
    log_.warn(fmt::format("{} {}: {}", scope.method, scope.path, error.what()));
    fail(exchange, scope, {.status = 500, .message = error.what(), .type = "server_error"});
  }
}

void Service::dispatch(HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange,
                       RequestScope& scope) {
  const Route* found = nullptr;
  std::string allowed;
  for (const Route& route : routes()) {
    const bool is_prefix = route.path.ends_with("*");
    const std::string_view fixed = is_prefix ? route.path.substr(0, route.path.size() - 1) : route.path;
    const bool matches = is_prefix ? request.path.size() > fixed.size() && request.path.starts_with(fixed)
                                   : request.path == fixed;
    if (!matches) continue;
    scope.route = route.path;
    allowed.append(allowed.empty() ? "" : ", ").append(route.method);
    const bool is_head = request.method == "HEAD" && route.method == "GET";
    if (route.method != request.method && !is_head) continue;
    found = &route;
    if (is_prefix) {
      const std::optional<std::string> rest =
          percent_decode(std::string_view(request.path).substr(fixed.size()));
      if (!rest) return fail(exchange, scope, {.message = "the path has a broken percent escape"});
      scope.rest = *rest;
    }
    break;
  }
  if (found == nullptr && allowed.empty()) {
    return fail(exchange, scope,
                {.status = 404,
                 .message = fmt::format("there is no {} {} here", request.method,
                                        request.path.substr(0, kMaxRequestIdLength)),
                 .code = "unknown_url"});
  }
  if (found == nullptr) {
    HttpResponse response = error_response(
        {.status = 405,
         .message = fmt::format("{}: expected {}, found {}", scope.route, allowed, request.method),
         .code = "method_not_allowed"},
        to_json);
    response.headers.emplace_back("Allow", allowed);
    return answer(exchange, scope, std::move(response));
  }
  if (const auto error = check_access(request, found->access)) return fail(exchange, scope, *error);
  if (!found->in_background) return handle_route(*found, request, exchange, scope);
  {
    const std::lock_guard lock(mutex_);
    ++num_in_background_;
  }
  boost::asio::post(*workers_, [this, found, request = std::move(request), exchange, scope]() mutable {
    handle_route(*found, request, exchange, scope);
    {
      const std::lock_guard lock(mutex_);
      --num_in_background_;
    }
    calls_changed_.notify_all();
  });
}

std::optional<ApiError> Service::check_access(const HttpRequest& request, Access access) const {
  if (access == Access::kPublic) return std::nullopt;
  const std::vector<std::string>& keys = access == Access::kAdmin ? options_.admin_keys : options_.api_keys;
  if (access == Access::kAdmin && keys.empty()) {
    return ApiError{.status = 403,
                    .message = "administration is off: start the server with --admin-key to have it",
                    .type = "permission_error",
                    .code = "admin_disabled"};
  }
  if (keys.empty()) return std::nullopt;
  const std::string_view given = bearer_key(request);
  bool is_known = false;
  for (const std::string& key : keys) is_known |= equals_secret(given, key);
  if (is_known) return std::nullopt;
  return ApiError{.status = 401,
                  .message = given.empty() ? "expected a key: Authorization: Bearer KEY"
                                           : "the key in Authorization is not one of this server's",
                  .type = "authentication_error",
                  .code = "invalid_api_key"};
}

// ---- answers ----

int Service::retry_seconds(int status) const {
  constexpr int kTooManyRequests = 429;
  if (status != kTooManyRequests) {
    const ModelStatus model = host_.status();
    return model.seconds_left ? std::clamp(static_cast<int>(std::ceil(*model.seconds_left)), 1, 600) : 5;
  }
  // As long as the queue takes at the pace of the last calls.
  const std::shared_ptr<ServedEngine> served = host_.current();
  if (!served) return 1;
  const EngineLoad load = served->engine->load();
  const double slots = static_cast<double>(std::max<int64_t>(1, load.running_sequences));
  const std::lock_guard lock(mutex_);
  const double seconds = mean_seconds_ * static_cast<double>(load.waiting_requests) / slots;
  return std::clamp(static_cast<int>(std::ceil(seconds)), 1, 120);
}

HttpResponse Service::error_response(const ApiError& error, ErrorBody body) const {
  HttpResponse response{.status = error.status, .body = json::serialize(body(error))};
  if (error.status == 429 || error.status == 503)
    response.headers.emplace_back("Retry-After", std::to_string(retry_seconds(error.status)));
  if (error.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  return response;
}

void Service::answer(const std::shared_ptr<HttpExchange>& exchange, const RequestScope& scope,
                     HttpResponse response) {
  const int status = response.status;
  response.headers.emplace_back("x-request-id", scope.id);
  exchange->respond(std::move(response));
  metrics_.count_response(scope.route, status);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - exchange->start()).count();
  // Probes come every few seconds and say nothing when all is well.
  const bool is_probe = scope.route.starts_with("/health") || scope.route == "/metrics";
  if (!is_probe) log_request(scope, status, seconds, {});
}

void Service::answer_json(const std::shared_ptr<HttpExchange>& exchange, const RequestScope& scope,
                          const json::value& body, int status) {
  answer(exchange, scope, {.status = status, .body = json::serialize(body)});
}

void Service::answer_result(const std::shared_ptr<HttpExchange>& exchange, const RequestScope& scope,
                            const ApiResult<json::object>& result) {
  if (!result.ok()) return fail(exchange, scope, result.error());
  answer_json(exchange, scope, result.value());
}

void Service::fail(const std::shared_ptr<HttpExchange>& exchange, const RequestScope& scope,
                   const ApiError& error) {
  HttpResponse response = error_response(error, to_json);
  response.headers.emplace_back("x-request-id", scope.id);
  exchange->respond(std::move(response));
  metrics_.count_response(scope.route, error.status);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - exchange->start()).count();
  log_request(scope, error.status, seconds, {{"error", error.message}});
}

void Service::log_request(const RequestScope& scope, int status, double seconds, json::object more) {
  json::object fields = {{"id", scope.id},     {"client", scope.client}, {"method", scope.method},
                         {"path", scope.path}, {"status", status},       {"ms", milliseconds(seconds)}};
  for (auto& member : more) fields.emplace(member.key(), std::move(member.value()));
  if (!scope.prompt.empty()) fields.emplace("body", scope.prompt);
  log_.event("request", fields);
}

// ---- calls ----

ApiError Service::not_ready() const {
  const ModelStatus status = host_.status();
  ApiError error{.status = 503, .type = "server_error", .code = "model_not_ready"};
  if (draining_) {
    error.message = "the server is shutting down";
    error.code = "shutting_down";
  } else if (status.state == ModelState::kLoading) {
    error.message = fmt::format("{} is loading: {:.0f} %", status.name, 100.0 * status.progress);
    if (status.seconds_left) error.message += fmt::format(", about {:.0f} s left", *status.seconds_left);
  } else if (status.state == ModelState::kFailed) {
    error.message = fmt::format("{} could not be loaded: {}", status.name, status.error);
  } else if (status.state == ModelState::kUnloading) {
    error.message = "the model is being unloaded";
  } else {
    error.message = "no model is loaded";
  }
  return error;
}

ApiResult<std::shared_ptr<ServedEngine>> Service::ready_engine() const {
  std::shared_ptr<ServedEngine> engine = draining_ ? nullptr : host_.current();
  if (!engine) return not_ready();
  return engine;
}

void Service::run_call(const Route& route, const HttpRequest& request,
                       const std::shared_ptr<HttpExchange>& exchange, RequestScope& scope) {
  const ErrorBody error_body = route.error_body;
  const auto refuse = [&](const ApiError& error) {
    HttpResponse response = error_response(error, error_body);
    answer(exchange, scope, std::move(response));
  };
  ApiResult<std::shared_ptr<ServedEngine>> engine = ready_engine();
  if (!engine.ok()) return refuse(engine.error());
  const ApiResult<json::value> body = parse_json_body(request.body);
  if (!body.ok()) return refuse(body.error());
  ApiResult<std::optional<double>> timeout = timeout_header(request);
  if (!timeout.ok()) return refuse(timeout.error());

  const CallIdentity identity{
      .id = random_id(), .created = static_cast<int64_t>(std::time(nullptr)), .default_seed = random_seed()};
  ApiResult<PreparedCall> prepared = route.prepare(body.value(), engine.value()->model, identity, responses_);
  if (!prepared.ok()) return refuse(prepared.error());
  PreparedCall call = std::move(prepared).value();

  double seconds = timeout.value().value_or(options_.request_timeout);
  if (options_.request_timeout > 0.0) seconds = std::min(seconds, options_.request_timeout);
  for (Request& asked : call.requests) {
    if (seconds > 0.0) asked.deadlines.end = after(exchange->start(), seconds);
    if (options_.queue_timeout > 0.0)
      asked.deadlines.start = after(exchange->start(), options_.queue_timeout);
  }

  int64_t serial = 0;
  {
    const std::lock_guard lock(mutex_);
    serial = next_serial_++;
  }
  auto run = std::make_shared<CallRun>(
      CallContext{
          .engine = std::move(engine).value(),
          .exchange = exchange,
          .headers = {{"x-request-id", scope.id}},
          .make_error = [this,
                         error_body](const ApiError& error) { return error_response(error, error_body); },
          .on_end = [this, serial, scope](const CallReport& report) { on_call_end(serial, scope, report); }},
      std::move(call));
  {
    const std::lock_guard lock(mutex_);
    calls_.emplace(serial, run);
  }
  exchange->post([run] { run->start(); });
}

void Service::on_call_end(int64_t serial, const RequestScope& scope, const CallReport& report) {
  metrics_.count_response(scope.route, report.status);
  metrics_.count_call(report);
  json::object fields;
  if (!report.error.empty()) fields.emplace("error", report.error);
  if (report.disconnected) fields.emplace("disconnected", true);
  fields.emplace("prompt_tokens", report.usage.prompt_tokens);
  fields.emplace("cached_tokens", report.usage.cached_tokens);
  fields.emplace("completion_tokens", report.usage.completion_tokens);
  if (report.usage.reasoning_tokens > 0) fields.emplace("reasoning_tokens", report.usage.reasoning_tokens);
  if (!report.finish_reason.empty()) fields.emplace("finish_reason", report.finish_reason);
  fields.emplace("queue_ms", milliseconds(report.times.queue_seconds));
  fields.emplace("prefill_ms", milliseconds(report.times.prefill_seconds));
  fields.emplace("decode_ms", milliseconds(report.times.decode_seconds));
  if (report.first_token_seconds) fields.emplace("ttft_ms", milliseconds(*report.first_token_seconds));
  log_request(scope, report.status, report.seconds, std::move(fields));
  {
    const std::lock_guard lock(mutex_);
    constexpr double kWeight = 0.1;
    mean_seconds_ += kWeight * (report.seconds - mean_seconds_);
    calls_.erase(serial);
  }
  calls_changed_.notify_all();
}

void Service::drain() { draining_ = true; }

std::size_t Service::num_calls() const {
  const std::lock_guard lock(mutex_);
  return calls_.size() + num_in_background_;
}

bool Service::wait_for_calls(std::chrono::steady_clock::time_point deadline) const {
  std::unique_lock lock(mutex_);
  return calls_changed_.wait_until(lock, deadline,
                                   [this] { return calls_.empty() && num_in_background_ == 0; });
}

void Service::cancel_calls() {
  std::vector<std::shared_ptr<CallRun>> runs;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [serial, weak] : calls_) {
      if (auto run = weak.lock()) runs.push_back(std::move(run));
    }
  }
  for (const auto& run : runs) {
    run->cancel({.status = 503,
                 .message = "the server is shutting down",
                 .type = "server_error",
                 .code = "shutting_down"});
  }
}

}  // namespace gossamer
