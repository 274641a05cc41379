// CallRun: one call on its way: its requests in the engine, its exchange with the client, and what is between
// them. The engine's thread only queues outputs here; text, JSON and bytes are made on the connection's
// strand, as many outputs at a time as have come: what a stream gets within kStreamInterval of its last write
// waits for the next tick, so that a model which gives tokens faster than anybody reads is not held up by
// what sending each one alone costs.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "http/http_server.h"
#include "server/call_report.h"
#include "server/openai_call.h"
#include "server/served_engine.h"

namespace gossamer {

inline constexpr std::chrono::milliseconds kStreamInterval{50};

struct CallContext {
  std::shared_ptr<ServedEngine> engine;
  std::shared_ptr<HttpExchange> exchange;
  HttpHeaders headers;  // of every answer
  std::function<HttpResponse(const ApiError&)> make_error;
  std::function<void(const CallReport&)> on_end;  // once, on the strand, when the call holds nothing any more
};

class CallRun : public std::enable_shared_from_this<CallRun> {
 public:
  CallRun(CallContext context, PreparedCall call);

  // Gives the engine the requests, or answers with what it says against one. On the strand.
  void start();

  // From any thread: ends the call with this error. Nothing where it has ended.
  void cancel(ApiError error);

 private:
  struct Arrival {
    std::size_t prompt = 0;
    Output output;
  };

  void on_output(std::size_t prompt, Output output);
  void take_arrivals();
  void on_disconnect();
  void end(bool disconnected);

  CallContext context_;
  PreparedCall call_;
  std::vector<RequestId> submitted_;
  std::optional<double> first_token_seconds_;
  bool is_streaming_ = false;
  bool ended_ = false;

  std::mutex mutex_;  // guards what follows
  std::vector<Arrival> arrivals_;
  std::chrono::steady_clock::time_point last_written_;  // by the strand; of whole answers: last read
};

}  // namespace gossamer
