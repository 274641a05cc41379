// gossamer serve: a model behind OpenAI's API.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/commands.h"
#include "apps/served_session.h"
#include "apps/serving_options.h"
#include "apps/session.h"
#include "apps/session_model.h"
#include "apps/terminal.h"
#include "base/error.h"
#include "http/http_server.h"
#include "server/model_host.h"
#include "server/server_log.h"
#include "server/service.h"
#include "web/chat_page.h"

namespace gossamer::apps {
namespace {

struct Options {
  ModelOptions model;
  SessionModelOptions session;
  HttpServerOptions http;
  std::vector<std::string> api_keys;
  std::string api_key_file;
  std::vector<std::string> admin_keys;
  std::string admin_key_file;
  double request_timeout = 0.0;
  double queue_timeout = 0.0;
  double shutdown_timeout = 60.0;
  int tensor_parallel_size = 1;
  std::string log_file;
  LogFormat log_format = LogFormat::kText;
  bool log_prompts = false;
};

// One key a line; empty lines and lines that begin with # are none.
void read_keys(const std::string& path, std::vector<std::string>& keys) {
  if (path.empty()) return;
  std::ifstream file(path);
  if (!file) throw Error("{}: cannot be read; it should hold a key a line", path);
  const std::size_t before = keys.size();
  for (std::string line; std::getline(file, line);) {
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (!line.empty() && line.front() != '#') keys.push_back(line);
  }
  if (keys.size() == before) throw Error("{}: expected a key a line, found none", path);
}

bool is_loopback(const std::string& host) { return host.starts_with("127.") || host == "::1"; }

// {"model": "...", "weights": "w8", ...}: what is not said is as on the command line.
ModelOptions model_options(const Options& options, const json::object& request) {
  ModelOptions model = options.model;
  const auto text = [&](const char* key, std::string& value) {
    const json::value* found = request.if_contains(key);
    if (found == nullptr) return;
    if (!found->is_string()) throw Error("{}: expected a string, found {}", key, json::serialize(*found));
    value = std::string(found->as_string());
  };
  for (const auto& member : request) {
    constexpr std::array<std::string_view, 6> kKnown = {"model",       "dtype",          "weights",
                                                        "activations", "kv_cache_dtype", "max_model_len"};
    if (std::find(kKnown.begin(), kKnown.end(), member.key()) == kKnown.end())
      throw Error("{}: expected one of {}", std::string(member.key()), fmt::join(kKnown, ", "));
  }
  text("model", model.model);
  text("dtype", model.precision.dtype);
  text("weights", model.precision.weights);
  text("activations", model.precision.activations);
  text("kv_cache_dtype", model.precision.kv_cache_dtype);
  if (const json::value* length = request.if_contains("max_model_len")) {
    if (!length->is_int64() || length->as_int64() < 1)
      throw Error("max_model_len: expected a positive integer, found {}", json::serialize(*length));
    model.max_model_len = length->as_int64();
  }
  return model;
}

// A profile that another model must not write over: "profile.json" is "profile.2.json" of the second.
std::string numbered_path(const std::string& path, int number) {
  if (path.empty()) return path;
  const std::filesystem::path name(path);
  return (name.parent_path() /
          fmt::format("{}.{}{}", name.stem().string(), number, name.extension().string()))
      .string();
}

// False: a signal came.
bool wait_unless_interrupted(const InterruptFlag& interrupt, std::chrono::milliseconds time) {
  pollfd poll_fd = {.fd = interrupt.fd(), .events = POLLIN, .revents = 0};
  return poll(&poll_fd, 1, static_cast<int>(time.count())) <= 0;
}

void run(Options& options) {
  if (options.tensor_parallel_size != 1) {
    throw Error(
        "--tensor-parallel-size {}: a model runs on one rank, with all cores of this machine; leave the "
        "option out, or say 1",
        options.tensor_parallel_size);
  }
  read_keys(options.api_key_file, options.api_keys);
  read_keys(options.admin_key_file, options.admin_keys);
  ServerLog log(options.log_file, options.log_format);
  auto model = std::make_unique<SessionModel>(options.model, options.session, log);
  model->plan();

  ModelHost host;
  std::atomic<int> num_models{1};
  Service service({.version = GOSSAMER_VERSION,
                   .api_keys = options.api_keys,
                   .admin_keys = options.admin_keys,
                   .request_timeout = options.request_timeout,
                   .queue_timeout = options.queue_timeout,
                   .log_prompts = options.log_prompts,
                   .page = chat_page(),
                   .page_gzip = chat_page_gzip(),
                   .open_model =
                       [&](const json::object& request) {
                         ModelOptions other = model_options(options, request);
                         other.profile.path = numbered_path(other.profile.path, ++num_models);
                         return std::make_unique<SessionModel>(other, options.session, log);
                       }},
                  host, log);
  options.http.make_error = Service::make_http_error;
  InterruptFlag interrupt(InterruptFlag::kAndTermination);
  HttpServer server(options.http,
                    [&service](HttpRequest request, const std::shared_ptr<HttpExchange>& exchange) {
                      service.handle(std::move(request), exchange);
                    });
  if (!is_loopback(options.http.host) && options.api_keys.empty()) {
    log.warn(fmt::format(
        "NO API KEY: WHOEVER REACHES {} CAN USE THIS SERVER. --api-key OR --api-key-file CLOSES IT",
        server.url()));
  }
  log.note(fmt::format("listening on {}", server.url()));
  host.load(std::move(model));

  constexpr auto kInterval = std::chrono::milliseconds(50);
  bool is_starting = true;
  while (wait_unless_interrupted(interrupt, is_starting ? kInterval : std::chrono::milliseconds(-1))) {
    const ModelStatus status = host.status();
    if (!is_starting || status.state == ModelState::kLoading) continue;
    if (status.state == ModelState::kFailed) throw Error("{}", status.error);
    is_starting = false;
    log.note("ready");
  }

  service.drain();
  server.drain();
  interrupt.clear();
  log.note(fmt::format("shutting down: {} call(s) to end, for at most {} s; a second signal ends them now",
                       service.num_calls(), options.shutdown_timeout));
  const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                           std::chrono::duration<double>(options.shutdown_timeout));
  while (service.num_calls() > 0 && Clock::now() < deadline &&
         wait_unless_interrupted(interrupt, kInterval)) {
  }
  if (const std::size_t left = service.num_calls(); left > 0) {
    log.warn(fmt::format("{} call(s) were cut off", left));
    service.cancel_calls();
  }
  constexpr auto kLastWords = std::chrono::milliseconds(2000);
  server.stop(kLastWords);
  log.note("stopped");
}

void add_http_options(CLI::App& command, Options& options) {
  command.add_option("--host", options.http.host, "The address to listen on; 0.0.0.0 or :: for all")
      ->capture_default_str();
  command.add_option("--port", options.http.port, "0: any that is free; the log says which")
      ->capture_default_str();
  command
      .add_option(
          "--api-key", options.api_keys,
          "Callers must send one of these: Authorization: Bearer KEY. May be repeated; better in a file, "
          "which other users of the machine cannot read off the process list")
      ->envname("GOSSAMER_API_KEY")
      ->allow_extra_args(false);
  command.add_option("--api-key-file", options.api_key_file, "The same, a key a line");
  command
      .add_option("--admin-key", options.admin_keys,
                  "Who sends one of these may load and unload models (/admin). Without one nobody may")
      ->envname("GOSSAMER_ADMIN_KEY")
      ->allow_extra_args(false);
  command.add_option("--admin-key-file", options.admin_key_file, "The same, a key a line");
  command.add_option("--ssl-certfile", options.http.certificate_file,
                     "Speak TLS with this certificate (PEM, chain included)");
  command.add_option("--ssl-keyfile", options.http.private_key_file, "Its private key (PEM)");
  command
      .add_option("--allowed-origins", options.http.cors_origins,
                  "Web pages of these origins may call this server (CORS); may be repeated; \"*\": all")
      ->allow_extra_args(false);
  command.add_option("--max-body-bytes", options.http.max_body_bytes, "A larger request is refused with 413")
      ->capture_default_str();
  command.add_option("--http-threads", options.http.num_threads, "Threads that read and write connections")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
}

void add_operation_options(CLI::App& command, Options& options) {
  command
      .add_option("--max-waiting-requests", options.session.max_waiting_requests,
                  "Beyond so many in the queue a request is refused with 429 before anything is computed")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30))
      ->capture_default_str();
  command
      .add_option("--max-waiting-tokens", options.session.max_waiting_tokens,
                  "The same for the tokens of their prompts, all together")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40))
      ->capture_default_str();
  command
      .add_option(
          "--request-timeout", options.request_timeout,
          "Seconds that an answer may take; then it ends with an error. 0: no limit. A request may ask "
          "for less: X-Request-Timeout: SECONDS")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command
      .add_option("--queue-timeout", options.queue_timeout,
                  "Seconds that a request may wait before it begins to run. 0: no limit")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command
      .add_option("--shutdown-timeout", options.shutdown_timeout,
                  "Seconds that running answers are given after SIGTERM or Ctrl-C")
      ->check(CLI::Range(0.0, 1e6))
      ->capture_default_str();
  command
      .add_option("--current-date", options.session.current_date,
                  "The date that a chat model is told: none (answers do not depend on the day), today, or "
                  "YYYY-MM-DD")
      ->capture_default_str();
  command.add_option("--log-file", options.log_file, "Append the log to this file. Default: standard error");
  command.add_option("--log-format", options.log_format, "text (key=value) or json (an object a line)")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, LogFormat>{{"text", LogFormat::kText}, {"json", LogFormat::kJson}}));
  command.add_flag("--log-prompts", options.log_prompts,
                   "Write what users send into the log; without it no prompt and no answer ever is");
}

}  // namespace

void add_serve(CLI::App& program) {
  CLI::App* command = program.add_subcommand("serve",
                                             "Answer OpenAI's API (/v1/chat/completions, /v1/completions, "
                                             "/v1/responses, /v1/models), with a chat page "
                                             "at /. Requests run together; no answer depends on the others.");
  auto options = std::make_shared<Options>();
  add_model_options(*command, options->model,
                    "a request that could become longer is refused. Default: 16384, or the model's limit, or "
                    "what fits");
  add_serving_options(*command, options->session.serving);
  add_served_names(*command, options->session.served_names);
  command
      ->add_option("--tensor-parallel-size", options->tensor_parallel_size,
                   "Ranks that share a model: 1, until there are more")
      ->capture_default_str();
  add_http_options(*command, *options);
  add_operation_options(*command, *options);
  command->callback([options] { run(*options); });
}

}  // namespace gossamer::apps
