// Raw sockets for the tests of the HTTP room, so that bytes can be malformed, late or missing, and a reader
// of responses that knows where one ends.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "http/http_server.h"

namespace gossamer::test {

using namespace std::chrono_literals;

// Much longer than anything here takes: waits end when what is waited for happens.
constexpr std::chrono::milliseconds kPatience{20'000};

// Their allocators keep what is freed.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

struct Response {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
  std::string head;  // as received
  int num_chunks = 0;
  bool complete = false;  // else the connection ended before the response did
};

// A client's end of a connection.
class Client {
 public:
  explicit Client(uint16_t port, int receive_buffer = 0);
  explicit Client(int socket) : socket_(socket) {}
  ~Client();
  Client(Client&& other) noexcept;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // False when the connection is broken.
  bool send(std::string_view bytes);
  // Reads one response; interim ones (100) count. `head` is for answers to HEAD.
  Response read_response(bool head = false);
  // What comes next, at least one byte, or nothing at the end or after `patience`.
  std::string read_some(std::chrono::milliseconds patience = kPatience);
  // Reads until `text` has come; false when the connection ends before.
  bool read_until(std::string_view text);
  // Everything until the end.
  std::string read_rest();
  // True when the server closes within `patience` without sending anything.
  bool sees_close(std::chrono::milliseconds patience = kPatience);
  void shut_down_sending();
  // Closes with a reset, as a client that crashes does.
  void reset();
  void close();
  int socket() const { return socket_; }

 private:
  bool fill();

  int socket_ = -1;
  std::string read_;
};

// "GET /path HTTP/1.1" with a Host and `extra` lines.
std::string get(std::string_view path, std::string_view extra = "");
std::string post(std::string_view path, std::string_view body);

// Polls until `condition` holds; false after kPatience.
bool eventually(const std::function<bool()>& condition);

// The exchanges that a handler has put aside, for the test's thread to answer.
class Waiting {
 public:
  void put(HttpRequest request, std::shared_ptr<HttpExchange> exchange);
  std::shared_ptr<HttpExchange> take();
  std::size_t size();

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<HttpExchange>> exchanges_;
};

}  // namespace gossamer::test
