#include "server/call_run.h"

#include <chrono>
#include <string>

namespace gossamer {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The same for every stream, so that many are written at one waking.
std::chrono::steady_clock::time_point next_tick(std::chrono::steady_clock::time_point now) {
  return now + kStreamInterval - now.time_since_epoch() % kStreamInterval;
}

}  // namespace

CallRun::CallRun(CallContext context, PreparedCall call)
    : context_(std::move(context)), call_(std::move(call)) {}

void CallRun::start() {
  for (std::size_t prompt = 0; prompt < call_.requests.size(); ++prompt) {
    const Result<RequestId> id = context_.engine->thread->submit(
        std::move(call_.requests[prompt]),
        [self = shared_from_this(), prompt](Output output) { self->on_output(prompt, std::move(output)); });
    if (!id.ok()) {
      call_.response->fail(to_api_error(id.error()));
      return end(/*disconnected=*/false);
    }
    submitted_.push_back(id.value());
  }
  context_.exchange->on_disconnect([self = shared_from_this()] { self->on_disconnect(); });
  if (call_.stream && !ended_) {
    is_streaming_ = true;
    HttpHeaders headers = context_.headers;
    headers.emplace_back("Cache-Control", "no-cache");
    headers.emplace_back("X-Accel-Buffering", "no");  // nginx would hold events back
    context_.exchange->begin({.content_type = "text/event-stream; charset=utf-8",
                              .headers = std::move(headers),
                              .body = call_.response->take_events()});
  }
}

void CallRun::cancel(ApiError error) {
  context_.exchange->post([self = shared_from_this(), error = std::move(error)] {
    if (self->ended_) return;
    self->call_.response->fail(error);
    self->end(/*disconnected=*/false);
  });
}

// On the engine's thread. What comes until the strand takes it goes together; ends are not kept waiting.
void CallRun::on_output(std::size_t prompt, Output output) {
  const bool is_end = output.finish_reason.has_value();
  bool is_first = false;
  bool is_early = false;
  const auto now = std::chrono::steady_clock::now();
  {
    const std::lock_guard lock(mutex_);
    is_first = arrivals_.empty();
    arrivals_.push_back({.prompt = prompt, .output = std::move(output)});
    is_early = now < last_written_ + kStreamInterval;
  }
  if (is_end || (is_first && !is_early)) {
    context_.exchange->post([self = shared_from_this()] { self->take_arrivals(); });
  } else if (is_first) {
    context_.exchange->post_at(next_tick(now), [self = shared_from_this()] { self->take_arrivals(); });
  }
}

void CallRun::take_arrivals() {
  std::vector<Arrival> arrivals;
  {
    const std::lock_guard lock(mutex_);
    arrivals.swap(arrivals_);
  }
  if (ended_) return;
  for (const Arrival& arrival : arrivals) {
    if (arrival.output.token && !first_token_seconds_)
      first_token_seconds_ = seconds_since(context_.exchange->start());
    if (call_.response->add(arrival.prompt, arrival.output))
      context_.engine->thread->cancel(arrival.output.id, arrival.output.index);
  }
  if (call_.response->done()) return end(/*disconnected=*/false);
  if (is_streaming_) {
    std::string events = call_.response->take_events();
    if (events.empty()) return;  // tokens without text: what is first seen has not been kept waiting
    context_.exchange->write(std::move(events));
  }
  const std::lock_guard lock(mutex_);
  last_written_ = std::chrono::steady_clock::now();
}

void CallRun::on_disconnect() {
  if (!ended_) end(/*disconnected=*/true);
}

void CallRun::end(bool disconnected) {
  ended_ = true;
  const std::optional<ApiError> error = call_.response->error();
  if (disconnected || error) {
    for (const RequestId id : submitted_) context_.engine->thread->cancel(id);
  }
  constexpr int kClientClosed = 499;
  CallReport report{.status = disconnected ? kClientClosed : (error ? error->status : 200),
                    .error = error ? error->message : std::string(),
                    .disconnected = disconnected,
                    .usage = call_.response->usage(),
                    .times = call_.response->times(),
                    .recoveries = call_.response->recoveries(),
                    .finish_reason = call_.response->finish_reason(),
                    .first_token_seconds = first_token_seconds_,
                    .seconds = seconds_since(context_.exchange->start())};
  if (is_streaming_ && !disconnected) {
    context_.exchange->write(call_.response->take_events());
    context_.exchange->finish();
  } else if (error && !disconnected) {
    HttpResponse response = context_.make_error(*error);
    response.headers.insert(response.headers.end(), context_.headers.begin(), context_.headers.end());
    context_.exchange->respond(std::move(response));
  } else if (!disconnected) {
    json::value body = call_.response->to_json();
    if (call_.in_list) body = json::array{std::move(body)};
    context_.exchange->respond({.headers = context_.headers, .body = json::serialize(body)});
  }
  // The engine goes first: whoever waits for the end of the call must find it free.
  context_.engine.reset();
  context_.on_end(report);
}

}  // namespace gossamer
