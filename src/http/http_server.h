// HttpServer: HTTP/1.1, plain or under TLS, over Boost.Beast and Asio. Few threads, any number of
// connections (the process's limit of descriptors is raised as far as it goes). Knows nothing of what it
// carries: every request goes to one handler, with an exchange to answer it by.
//
// What a client does wrong is answered here and never reaches the handler: a head that is no HTTP (400), too
// large (431), a body too large (413), a request that does not arrive in time (408). A client that does not
// take what it is sent is cut off after write_timeout.
//
// A client that closes its side while an answer is pending counts as gone, also when it has only shut down
// sending: the two look the same from here, and a model would go on computing for nobody.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/http_message.h"

namespace gossamer {

struct HttpServerOptions {
  std::string host = "127.0.0.1";  // an address; "::" and "0.0.0.0" are all of them
  uint16_t port = 8000;            // 0: any that is free
  int num_threads = 2;
  // PEM files; both or none.
  std::string certificate_file = {};
  std::string private_key_file = {};
  std::size_t max_header_bytes = std::size_t{32} << 10;
  std::size_t max_body_bytes = std::size_t{32} << 20;
  std::size_t max_connections = 20'000;               // beyond it new ones wait in the system's queue
  std::chrono::milliseconds request_timeout{30'000};  // from a request's first byte to its last
  std::chrono::milliseconds idle_timeout{300'000};    // between the requests of a connection
  std::chrono::milliseconds write_timeout{60'000};    // without one byte taken by the client
  // Of a stream: what has been written and neither the client nor the system's buffer has taken. Beyond it,
  // the client is cut off.
  std::size_t max_unsent_bytes = std::size_t{16} << 20;
  // Origins whose pages may call this server ("https://a.example", or "*"); preflights are answered here.
  std::vector<std::string> cors_origins = {};
  // The body of an error that is answered here. `status` as above; by default plain text.
  std::function<HttpResponse(int status, std::string message)> make_error = {};
};

// One request being answered: either respond() once, or begin(), write() any number of times and finish().
// What does not fit this order does nothing: the first respond() or begin() counts. Every member may be
// called from any thread, also after the server's end; after the client has gone they do nothing. An exchange
// that is dropped unanswered is answered with 500, one that was begun is aborted.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;

  virtual void respond(HttpResponse response) = 0;

  // Chunked transfer. `head`'s body, where it has one, is the first chunk.
  virtual void begin(HttpResponse head) = 0;
  virtual void write(std::string bytes) = 0;
  virtual void finish() = 0;
  // Breaks the connection off: the client must not take what it has got for the whole.
  virtual void abort() = 0;

  // Runs `task` on the connection's strand: such tasks of one exchange never run at the same time. Also after
  // the client has gone or the answer is complete; after the server has stopped, `task` is dropped.
  virtual void post(std::function<void()> task) = 0;
  // The same, not before `when`. Tasks of many exchanges for the same moment share one waking.
  virtual void post_at(std::chrono::steady_clock::time_point when, std::function<void()> task) = 0;

  // `callback` runs on the strand when the client has gone before the answer was complete; at once if it has.
  // At most one; never called after the answer is complete.
  virtual void on_disconnect(std::function<void()> callback) = 0;

  // From the first byte of the request.
  virtual std::chrono::steady_clock::time_point start() const = 0;
};

// Called on a server thread, on the connection's strand. Must not throw and should not take long.
using HttpHandler = std::function<void(HttpRequest request, std::shared_ptr<HttpExchange> exchange)>;

class HttpServer {
 public:
  // Binds and listens; throws Error with the address and the reason when it cannot, or a certificate is bad.
  HttpServer(const HttpServerOptions& options, HttpHandler handler);
  // stop(0) unless it was called.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  uint16_t port() const;
  // "http://127.0.0.1:8000"
  std::string url() const;

  std::size_t num_connections() const;

  // From here on every response ends its connection ("Connection: close"), and idle connections are closed.
  // New connections are still taken: somebody must tell them that this server is going away.
  void drain();

  // Closes the port, gives exchanges that are being answered and requests that are arriving until `grace` to
  // be complete, then cuts them off and joins the threads. Not from a handler. Callbacks of on_disconnect
  // have run when it returns.
  void stop(std::chrono::milliseconds grace);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gossamer
