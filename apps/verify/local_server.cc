#include "apps/verify/local_server.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "apps/session_model.h"
#include "apps/verify/check.h"
#include "base/error.h"
#include "http/http_server.h"
#include "server/service.h"

namespace gossamer::apps {
namespace {

// A model that has the positions and a machine that has the memory serve kLongestNeedle; others what they
// would serve by default.
std::unique_ptr<SessionModel> open_model(const ModelOptions& model, const SessionModelOptions& options,
                                         ServerLog& log) {
  if (model.max_model_len == 0) {
    ModelOptions longer = model;
    longer.max_model_len = kLongestNeedle;
    try {
      auto opened = std::make_unique<SessionModel>(longer, options, log);
      opened->plan();
      return opened;
    } catch (const Error&) {  // whatever it was, the model as it is meets it again
    }
  }
  auto opened = std::make_unique<SessionModel>(model, options, log);
  opened->plan();
  return opened;
}

}  // namespace

struct LocalServer::Parts {
  explicit Parts(bool is_verbose) : log(is_verbose ? "" : "/dev/null", LogFormat::kText) {}

  ServerLog log;
  ModelHost host;
  std::unique_ptr<Service> service;
  std::unique_ptr<HttpServer> server;
};

LocalServer::LocalServer(const ModelOptions& model, const ServingOptions& serving)
    : parts_(std::make_unique<Parts>(model.verbose)) {
  Parts& parts = *parts_;
  auto opened = open_model(model, {.serving = serving}, parts.log);
  parts.service =
      std::make_unique<Service>(ServiceOptions{.version = GOSSAMER_VERSION}, parts.host, parts.log);
  parts.host.load(std::move(opened));
  if (const ModelStatus status = parts.host.wait(); status.state != ModelState::kReady)
    throw Error("{}", status.error);
  HttpServerOptions http = {.port = 0};
  http.make_error = Service::make_http_error;
  parts.server = std::make_unique<HttpServer>(
      http, [&service = *parts.service](HttpRequest request, const std::shared_ptr<HttpExchange>& exchange) {
        service.handle(std::move(request), exchange);
      });
}

LocalServer::~LocalServer() {
  parts_->service->drain();
  parts_->service->cancel_calls();
  parts_->server->stop(std::chrono::milliseconds(100));
}

std::string LocalServer::url() const { return parts_->server->url(); }

}  // namespace gossamer::apps
