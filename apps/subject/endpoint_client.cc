#include "apps/subject/endpoint_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

namespace gossamer::apps {
namespace {

constexpr std::size_t kMostBodyBytes = std::size_t{256} << 20;
constexpr int64_t kMostSecondsToWait = 60;

RequestErrorKind kind_of(int status) {
  const bool is_invalid = status == 400 || status == 413 || status == 422;
  return is_invalid ? RequestErrorKind::kInvalid : RequestErrorKind::kOverloaded;
}

bool asks_to_repeat(int status) { return status == 429 || status == 503; }

RequestError cancelled() { return {.kind = RequestErrorKind::kCancelled, .message = "interrupted"}; }

}  // namespace

EndpointClient::EndpointClient(const EndpointOptions& options)
    : endpoint_(options), client_(client_options(options)) {
  Result<std::vector<EndpointModel>, std::string> models = endpoint_.models(client_);
  if (!models.ok()) throw Error("{}", models.error());
  models_ = std::move(models).value();
  // run() ends with the last timer: this one is there until the destructor takes it away.
  keeps_running_ = client_.start_timer(std::chrono::hours(24 * 365), [] {});
  thread_ = std::thread([this] { client_.run(); });
}

EndpointClient::~EndpointClient() {
  stop();
  client_.post([this] { keeps_running_.reset(); });
  thread_.join();
}

void EndpointClient::stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopped_ = true;
    stopped_.notify_all();
  }
  client_.post([this] {
    std::set<Call*> running;
    {
      const std::lock_guard lock(mutex_);
      running = running_;
    }
    for (Call* call : running) {
      if (!call->id) continue;  // send() will see it
      client_.cancel(*call->id);
      call->failure = HttpFailure{};
      end(*call);
    }
  });
}

void EndpointClient::end(Call& call) {
  const std::lock_guard lock(mutex_);
  running_.erase(&call);
  call.has_ended = true;
  call.ended.notify_one();
}

// On the client's thread.
void EndpointClient::send(HttpCall request, Call& call) {
  bool is_stopped = false;
  {
    const std::lock_guard lock(mutex_);
    is_stopped = is_stopped_;
  }
  if (is_stopped) {
    call.failure = HttpFailure{};
    return end(call);
  }
  HttpObserver observer;
  observer.on_head = [&call](const HttpResponse& head) {
    call.response = head;
    if (head.status == 200 && call.sink != nullptr) call.sink->on_head(head);
  };
  observer.on_body = [this, &call](std::string_view bytes) {
    if (call.response.status == 200 && call.sink != nullptr) return call.sink->on_body(bytes);
    call.response.body += bytes;
    if (call.response.body.size() <= kMostBodyBytes) return;
    client_.cancel(*call.id);
    call.failure = HttpFailure{.kind = HttpFailureKind::kMalformed,
                               .message = fmt::format("{}: expected an answer of at most {} MiB, found more",
                                                      url(), kMostBodyBytes >> 20)};
    end(call);
  };
  observer.on_end = [this, &call](const std::optional<HttpFailure>& failure) {
    call.failure = failure;
    end(call);
  };
  call.id = client_.send(std::move(request), std::move(observer));
}

void EndpointClient::exchange(HttpCall request, Call& call) {
  {
    const std::lock_guard lock(mutex_);
    running_.insert(&call);
  }
  client_.post([this, request = std::move(request), &call]() mutable { send(std::move(request), call); });
  std::unique_lock lock(mutex_);
  call.ended.wait(lock, [&call] { return call.has_ended; });
}

bool EndpointClient::wait_to_repeat(const HttpResponse& refusal, int attempt) {
  int64_t seconds = int64_t{1} << std::min(attempt, 5);
  const HttpRequest named{.headers = refusal.headers};  // to look a header up
  if (const auto after = named.header("retry-after")) {
    int64_t said = 0;
    const auto [end, error] = std::from_chars(after->data(), after->data() + after->size(), said);
    if (error == std::errc() && end == after->data() + after->size() && said >= 0) seconds = said;
  }
  std::unique_lock lock(mutex_);
  return !stopped_.wait_for(lock, std::chrono::seconds(std::min(seconds, kMostSecondsToWait)),
                            [this] { return is_stopped_; });
}

Result<HttpResponse> EndpointClient::post(std::string_view path, const json::object& body, const Sink* sink) {
  for (int attempt = 1;; ++attempt) {
    Call call;
    call.sink = sink;
    if (sink != nullptr) sink->on_begin();
    exchange(endpoint_.call_to(path, "POST", json::serialize(body)), call);
    {
      const std::lock_guard lock(mutex_);
      if (is_stopped_) return cancelled();
    }
    const int status = call.response.status;
    if (call.failure) {
      return RequestError{.kind = RequestErrorKind::kOverloaded,
                          .message = fmt::format("{} (POST {})", call.failure->message, path)};
    }
    if (status == 200) return std::move(call.response);
    if (!asks_to_repeat(status) || attempt == kMostAttempts) {
      const std::string attempts = attempt > 1 ? fmt::format(" (asked {} times)", attempt) : std::string();
      return RequestError{.kind = kind_of(status),
                          .message = fmt::format("{}{}: {} {}{}", url(), path, status,
                                                 error_message(call.response.body), attempts)};
    }
    if (!wait_to_repeat(call.response, attempt)) return cancelled();
  }
}

Result<json::object> EndpointClient::post_for_json(std::string_view path, const json::object& body) {
  const Result<HttpResponse> response = post(path, body);
  if (!response.ok()) return response.error();
  boost::system::error_code error;
  json::value value = json::parse(response.value().body, error);
  if (!error && value.is_object()) return std::move(value.get_object());
  return RequestError{.kind = RequestErrorKind::kOverloaded,
                      .message = fmt::format("{}{}: expected a JSON object, found {}", url(), path,
                                             error_message(response.value().body))};
}

}  // namespace gossamer::apps
