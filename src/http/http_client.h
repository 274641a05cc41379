// HttpClient: HTTP/1.1, plain or under TLS, over Boost.Beast and Asio. One thread, thousands of calls at
// once, bodies as they arrive. For `gossamer bench serve` and whatever else asks a server.
//
// Everything happens on the thread that is in run(); members but post() are called there, or while nothing is
// in run().
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "http/http_message.h"

namespace gossamer {

struct HttpUrl {
  bool is_tls = false;
  std::string host = {};  // without the brackets of an IPv6 address
  uint16_t port = 80;
  std::string target = "/";  // path and query, as sent

  // "http://host:8000/v1": http and https only, no user names. The message says what is wrong.
  static Result<HttpUrl, std::string> parse(std::string_view text);

  // "http://host:8000", without the target.
  std::string origin() const;
};

enum class HttpFailureKind {
  kConnect,    // no such host, nobody listens, or no answer within connect_timeout
  kTls,        // the handshake, or a certificate that is not trusted
  kTimeout,    // within timeout or idle_timeout
  kBroken,     // the connection ended, or broke, before the response was whole
  kMalformed,  // what came is no HTTP/1.1 response
};

struct HttpFailure {
  HttpFailureKind kind = HttpFailureKind::kBroken;
  std::string message;
};

struct HttpClientOptions {
  bool verify_certificates = true;
  std::string authority_file = {};  // PEM: trusted besides what the system trusts
  std::chrono::milliseconds connect_timeout{10'000};
  std::size_t max_idle_connections = 4096;  // kept for later calls, of all servers together
  std::size_t max_header_bytes = std::size_t{64} << 10;
};

struct HttpCall {
  std::string method = "GET";
  HttpUrl url = {};
  HttpHeaders headers =
      {};  // beside Host, Content-Length and, where there is a body and none is given, Content-Type
  std::string body = {};
  std::chrono::milliseconds timeout{0};       // from send() to the last byte; 0: none
  std::chrono::milliseconds idle_timeout{0};  // without one byte arriving; 0: none

  // For clients that are to misbehave: these bytes on a connection of their own, instead of a request; with
  // `half_close` nothing more will come.
  std::optional<std::string> raw = {};
  bool half_close = false;
};

// What a call tells. After on_end, and after cancel(), nothing more comes. Callbacks may call the client.
struct HttpObserver {
  std::function<void(const HttpResponse& head)> on_head = {};  // status, headers and content type
  std::function<void(std::string_view bytes)> on_body = {};    // without chunk framing
  // Nothing: the response was whole.
  std::function<void(const std::optional<HttpFailure>& failure)> on_end = {};
};

class HttpClient {
 public:
  // Throws Error when `authority_file` cannot be used.
  explicit HttpClient(HttpClientOptions options);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  using CallId = uint64_t;

  // The callbacks come from run(), never from send() itself.
  CallId send(HttpCall call, HttpObserver observer);

  // Closes the call's connection. Nothing where the call has ended.
  void cancel(CallId id);

  // Destroyed, it does not fire any more.
  class Timer {
   public:
    virtual ~Timer() = default;
  };
  std::unique_ptr<Timer> start_timer(std::chrono::nanoseconds delay, std::function<void()> callback);

  // From any thread: `task` runs on the one that is, or will be, in run().
  void post(std::function<void()> task);

  // Until no call, no timer and no task is left, or stop().
  void run();
  void stop();

  std::size_t num_calls() const;
  std::size_t num_idle_connections() const;
  // Of all time.
  std::size_t num_connections_opened() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// One call, start to end. A body above `max_body_bytes` is a failure.
Result<HttpResponse, HttpFailure> fetch(HttpClient& client, HttpCall call,
                                        std::size_t max_body_bytes = std::size_t{64} << 20);

}  // namespace gossamer
