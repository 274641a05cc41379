// StubServer: a server that does what a test tells it, right or wrong, over plain sockets with a thread for
// each connection. For tests of clients.
#pragma once

#include <openssl/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "http/http_message.h"

namespace gossamer::test {

class StubConnection {
 public:
  StubConnection(int fd, ssl_st* tls) : fd_(fd), tls_(tls) {}
  ~StubConnection();
  StubConnection(const StubConnection&) = delete;
  StubConnection& operator=(const StubConnection&) = delete;

  // Nothing when the client has gone, or sends no HTTP.
  std::optional<HttpRequest> read_request();

  // False when the client does not take it.
  bool send(std::string_view bytes);
  bool respond(int status, const std::string& body, const std::string& content_type = "application/json",
               const std::string& more_headers = {});

  // 200 with a chunked body. Each piece of `chunk` is one chunk, and one write.
  bool begin(const std::string& content_type = "text/event-stream");
  bool chunk(std::string_view bytes);
  bool end();

  // The connection is not used any more: an orderly end, or a reset.
  void close();
  void reset();
  bool is_closed() const { return fd_ < 0; }
  // Waits for the client to go, at most so long.
  bool wait_for_end(int milliseconds);

 private:
  bool read_more();

  int fd_;
  ssl_st* tls_;
  std::string in_;
};

class StubServer {
 public:
  // Answers one request; runs on the connection's thread.
  using Handler = std::function<void(const HttpRequest& request, StubConnection& connection)>;

  // `tls`: with a certificate of its own for the name "localhost".
  explicit StubServer(Handler handler, bool tls = false);
  ~StubServer();
  StubServer(const StubServer&) = delete;
  StubServer& operator=(const StubServer&) = delete;

  uint16_t port() const { return port_; }
  // "http://127.0.0.1:40000"; of TLS "https://localhost:40000".
  std::string url() const;
  // PEM; of TLS.
  const std::string& certificate() const { return certificate_; }
  int num_connections() const { return num_connections_; }
  // What was received and is no HTTP request.
  int num_broken_requests() const { return num_broken_; }

 private:
  void make_certificate();
  void accept_all();
  void serve(int fd);

  Handler handler_;
  ssl_ctx_st* tls_ = nullptr;
  std::string certificate_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<int> num_connections_ = 0;
  std::atomic<int> num_broken_ = 0;
  std::mutex mutex_;
  std::vector<int> open_;  // connections being served
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace gossamer::test
