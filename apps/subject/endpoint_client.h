// EndpointClient: calls to an endpoint that wait for their answers, from any thread, over an HttpClient on a
// thread of its own. What http_subject.h sends and receives goes through here.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "apps/endpoint.h"
#include "base/error.h"
#include "base/json.h"
#include "http/http_client.h"

namespace gossamer::apps {

class EndpointClient {
 public:
  // Asks for the models. Throws Error when that fails.
  explicit EndpointClient(const EndpointOptions& options);
  ~EndpointClient();
  EndpointClient(const EndpointClient&) = delete;
  EndpointClient& operator=(const EndpointClient&) = delete;

  const std::vector<EndpointModel>& models() const { return models_; }
  std::string url() const { return endpoint_.url(); }

  // An answer of status 200 as it comes; the last two on this object's thread.
  struct Sink {
    std::function<void()> on_begin;  // of every attempt
    std::function<void(const HttpResponse& head)> on_head;
    std::function<void(std::string_view bytes)> on_body;
  };

  // A POST, answered with status 200; its body is in the response, or went to the sink. Servers that say 429
  // or 503 are asked again, at most kMostAttempts times, after as long as they say. Errors name endpoint,
  // status and what the server said; they are kInvalid where the question is to blame (400, 413, 422), else
  // kOverloaded.
  Result<HttpResponse> post(std::string_view path, const json::object& body, const Sink* sink = nullptr);

  // The object that a POST is answered with.
  Result<json::object> post_for_json(std::string_view path, const json::object& body);

  // From now on everything, what waits too, is kCancelled.
  void stop();

  static constexpr int kMostAttempts = 8;

 private:
  struct Call {
    const Sink* sink = nullptr;
    std::optional<HttpClient::CallId> id;  // sent
    HttpResponse response;
    std::optional<HttpFailure> failure;
    bool has_ended = false;
    std::condition_variable ended;
  };

  void exchange(HttpCall request, Call& call);
  void send(HttpCall request, Call& call);
  void end(Call& call);
  // False: stopped meanwhile.
  bool wait_to_repeat(const HttpResponse& refusal, int attempt);

  Endpoint endpoint_;
  HttpClient client_;
  std::vector<EndpointModel> models_;
  std::unique_ptr<HttpClient::Timer> keeps_running_;

  std::mutex mutex_;  // guards what follows, and Call::has_ended
  std::condition_variable stopped_;
  bool is_stopped_ = false;
  std::set<Call*> running_;

  std::thread thread_;
};

}  // namespace gossamer::apps
