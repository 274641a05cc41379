// Service: the endpoints of `gossamer serve`. Takes requests off an HttpServer, finds the route, checks the
// key, and answers: at once, or by a CallRun on the model's engine. docs/server.md describes every endpoint.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "http/http_server.h"
#include "server/api_error.h"
#include "server/call_run.h"
#include "server/model_host.h"
#include "server/openai_call.h"
#include "server/response_store.h"
#include "server/server_log.h"
#include "server/server_metrics.h"

namespace boost::asio {
class thread_pool;
}

namespace gossamer {

struct ServiceOptions {
  std::string version;
  std::vector<std::string> api_keys;    // none: everybody may call
  std::vector<std::string> admin_keys;  // none: nobody may load and unload
  double request_timeout = 0.0;         // seconds from a request's beginning to its end; 0: none
  double queue_timeout = 0.0;           // until its first step; 0: none
  bool log_prompts = false;
  std::string_view page = {};       // what GET / gives, HTML; empty: nothing is there
  std::string_view page_gzip = {};  // the same, compressed
  // Opens what {"model": ...} of /admin/load names; throws Error.
  std::function<std::unique_ptr<OpenedModel>(const json::object& request)> open_model;
};

// What is known of a request while it is answered.
struct RequestScope {
  std::string id;
  std::string method;
  std::string path;
  std::string client;
  std::string_view route = "unknown";  // its pattern
  std::string rest;                    // what a "*" stands for
  std::string prompt;                  // the body, with --log-prompts
};

class Service {
 public:
  // Both outlive this, and so does whatever `options` refers to.
  Service(ServiceOptions options, ModelHost& host, ServerLog& log);
  ~Service();

  // An HttpHandler.
  void handle(HttpRequest request, const std::shared_ptr<HttpExchange>& exchange);
  // HttpServerOptions::make_error: errors that never reach handle() look like all others.
  static HttpResponse make_http_error(int status, std::string message);

  // From here on new calls are refused and not ready is what /health/ready says; those that run go on.
  void drain();
  // Calls that have not ended, those that are still being read among them.
  std::size_t num_calls() const;
  // True when none is left before `deadline`.
  bool wait_for_calls(std::chrono::steady_clock::time_point deadline) const;
  void cancel_calls();

 private:
  enum class Access : uint8_t { kPublic, kKey, kAdmin };
  using Handler = void (Service::*)(HttpRequest&, const std::shared_ptr<HttpExchange>&, RequestScope&);
  // A body to what the engine is asked; ServedModel and store outlive the call.
  using Prepare = ApiResult<PreparedCall> (*)(const json::value& body, const ServedModel& model,
                                              const CallIdentity& identity, ResponseStore& responses);
  using ErrorBody = json::object (*)(const ApiError&);
  struct Route {
    std::string_view method;
    std::string_view path;  // "/v1/models/*": the rest, decoded, is RequestScope::rest
    Access access = Access::kPublic;
    Handler handler = nullptr;  // or, for what runs a model:
    Prepare prepare = nullptr;
    ErrorBody error_body = nullptr;
    // Reads what may take long (a megabyte of prompt, a schema, a model folder): on a thread of its own, so
    // that streams and probes go on.
    bool in_background = false;
  };
  static const std::vector<Route>& routes();
  static Route call_route(std::string_view path, Prepare prepare, ErrorBody error_body = to_json);

  void handle_route(const Route& route, HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange,
                    RequestScope& scope);
  void dispatch(HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange, RequestScope& scope);
  std::optional<ApiError> check_access(const HttpRequest& request, Access access) const;

  // Routes.
  void show_response(HttpRequest&, const std::shared_ptr<HttpExchange>&, RequestScope&);
  void delete_response(HttpRequest&, const std::shared_ptr<HttpExchange>&, RequestScope&);
  void generate_info(HttpRequest&, const std::shared_ptr<HttpExchange>&, RequestScope&);
  void tokenize(HttpRequest&, const std::shared_ptr<HttpExchange>&, RequestScope&);
  void detokenize(HttpRequest&, const std::shared_ptr<HttpExchange>&, RequestScope&);
  void list_models(HttpRequest&, const std::shared_ptr<HttpExchange>&, RequestScope&);
  void show_model(HttpRequest&, const std::shared_ptr<HttpExchange>&, RequestScope&);
  void page(HttpRequest&, const std::shared_ptr<HttpExchange>&, RequestScope&);
  void health(HttpRequest&, const std::shared_ptr<HttpExchange>&, RequestScope&);
  void health_live(HttpRequest&, const std::shared_ptr<HttpExchange>&, RequestScope&);
  void health_ready(HttpRequest&, const std::shared_ptr<HttpExchange>&, RequestScope&);
  void metrics(HttpRequest&, const std::shared_ptr<HttpExchange>&, RequestScope&);
  void version(HttpRequest&, const std::shared_ptr<HttpExchange>&, RequestScope&);
  void admin_status(HttpRequest&, const std::shared_ptr<HttpExchange>&, RequestScope&);
  void admin_load(HttpRequest&, const std::shared_ptr<HttpExchange>&, RequestScope&);
  void admin_unload(HttpRequest&, const std::shared_ptr<HttpExchange>&, RequestScope&);

  void run_call(const Route& route, const HttpRequest& request, const std::shared_ptr<HttpExchange>& exchange,
                RequestScope& scope);

  // The engine to run on, or why there is none.
  ApiResult<std::shared_ptr<ServedEngine>> ready_engine() const;
  ApiError not_ready() const;
  int retry_seconds(int status) const;
  HttpResponse error_response(const ApiError& error, ErrorBody body) const;
  void answer(const std::shared_ptr<HttpExchange>& exchange, const RequestScope& scope,
              HttpResponse response);
  void answer_result(const std::shared_ptr<HttpExchange>& exchange, const RequestScope& scope,
                     const ApiResult<json::object>& result);
  void answer_json(const std::shared_ptr<HttpExchange>& exchange, const RequestScope& scope,
                   const json::value& body, int status = 200);
  void fail(const std::shared_ptr<HttpExchange>& exchange, const RequestScope& scope, const ApiError& error);
  void on_call_end(int64_t serial, const RequestScope& scope, const CallReport& report);
  void log_request(const RequestScope& scope, int status, double seconds, json::object more);

  ServiceOptions options_;
  ModelHost& host_;
  ServerLog& log_;
  ServerMetrics metrics_;
  ResponseStore responses_;
  std::atomic<bool> draining_ = false;

  mutable std::mutex mutex_;  // guards what follows
  mutable std::condition_variable calls_changed_;
  std::unordered_map<int64_t, std::weak_ptr<CallRun>> calls_;
  int64_t next_serial_ = 0;
  std::size_t num_in_background_ = 0;  // requests that workers_ have
  double mean_seconds_ = 1.0;          // of calls, the last ones counting most: what Retry-After is made of

  std::unique_ptr<boost::asio::thread_pool> workers_;  // last: its tasks use the others
};

}  // namespace gossamer
