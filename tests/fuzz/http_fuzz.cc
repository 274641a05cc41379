// Arbitrary bytes, cut at arbitrary places, to a server in this process whose handler echoes: no crash, no
// hang, nothing but well-formed responses, and each request answered once.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/check.h"
#include "http/http_server.h"

namespace gossamer {
namespace {

constexpr int kPatienceMs = 5000;

std::unique_ptr<HttpServer> start_server() {
  HttpServerOptions options{.port = 0,
                            .num_threads = 1,
                            .max_header_bytes = 512,
                            .max_body_bytes = 1024,
                            .request_timeout = std::chrono::milliseconds(2000),
                            .cors_origins = {"https://a.example"}};
  return std::make_unique<HttpServer>(
      std::move(options), [](HttpRequest request, std::shared_ptr<HttpExchange> exchange) {
        GOSSAMER_CHECK_LE(request.body.size(), 1024U);
        GOSSAMER_CHECK(!request.method.empty());
        percent_decode(request.path);
        std::string echo = request.path + "\n" + request.query + "\n" + request.body;
        if (request.path.size() % 3 == 1) return;  // dropped: 500
        if (request.path.size() % 3 == 2)
          return exchange->respond({.headers = {{"x-echo", request.query}}, .body = std::move(echo)});
        exchange->begin({});
        exchange->write(std::move(echo));
        exchange->finish();
      });
}

int connect_to(uint16_t port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  GOSSAMER_CHECK_EQ(connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  const int yes = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  return socket;
}

// Takes one response off `text`; false when it is incomplete. Checks its form.
bool take_response(std::string_view& text, bool to_head) {
  const std::size_t end = text.find("\r\n\r\n");
  if (end == std::string_view::npos) return false;
  const std::string_view head = text.substr(0, end + 2);
  GOSSAMER_CHECK(head.starts_with("HTTP/1.1 "));
  int status = 0;
  std::from_chars(head.data() + 9, head.data() + 12, status);
  GOSSAMER_CHECK(status >= 100 && status < 600 && status != 101);
  for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
    const std::size_t line_end = head.find("\r\n", at);
    GOSSAMER_CHECK(head.substr(at, line_end - at).find(": ") != std::string_view::npos);
    GOSSAMER_CHECK(head.substr(at, line_end - at).find('\n') == std::string_view::npos);
    at = line_end + 2;
  }
  std::string_view rest = text.substr(end + 4);
  const std::size_t length_at = head.find("Content-Length: ");
  if (to_head || status < 200 || status == 204) {
  } else if (length_at != std::string_view::npos) {
    std::size_t length = 0;
    std::from_chars(head.data() + length_at + 16, head.data() + head.size(), length);
    if (rest.size() < length) return false;
    rest.remove_prefix(length);
  } else if (head.find("Transfer-Encoding: chunked\r\n") != std::string_view::npos) {
    for (std::size_t size = 1; size > 0;) {
      const std::size_t line = rest.find("\r\n");
      if (line == std::string_view::npos) return false;
      const auto [last, error] = std::from_chars(rest.data(), rest.data() + line, size, 16);
      GOSSAMER_CHECK(error == std::errc() && last == rest.data() + line);
      if (rest.size() < line + 2 + size + 2) return false;
      GOSSAMER_CHECK(rest.substr(line + 2 + size, 2) == "\r\n");
      rest.remove_prefix(line + 2 + size + 2);
    }
  } else {  // until the end, which is here
    GOSSAMER_CHECK(head.find("Connection: close\r\n") != std::string_view::npos);
    rest = {};
  }
  text = rest;
  return true;
}

// Sends, ends, reads until the server has closed.
std::string converse(int socket, std::string_view bytes, const uint8_t*& cuts, std::size_t num_cuts) {
  for (std::size_t i = 0; !bytes.empty(); ++i) {
    const std::size_t size = i < num_cuts ? std::min<std::size_t>(cuts[i] + 1, bytes.size()) : bytes.size();
    if (send(socket, bytes.data(), size, MSG_NOSIGNAL) < 0) break;
    bytes.remove_prefix(size);
  }
  std::string all;
  for (bool ended = false;;) {
    pollfd poll{.fd = socket, .events = POLLIN, .revents = 0};
    // What comes at once is read first: the server takes an end of sending for the client's end.
    const int ready = ::poll(&poll, 1, ended ? kPatienceMs : 3);
    if (ready == 0) {
      GOSSAMER_CHECK(!ended);  // a hang
      ended = true;
      shutdown(socket, SHUT_WR);
      continue;
    }
    std::array<char, 16384> part;
    const ssize_t got = recv(socket, part.data(), part.size(), 0);
    if (got <= 0) return all;
    all.append(part.data(), static_cast<std::size_t>(got));
  }
}

}  // namespace
}  // namespace gossamer

// The first byte says how many of the next ones are the sizes of what is sent at once; the rest is sent.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace gossamer;
  static const std::unique_ptr<HttpServer> server = start_server();
  if (size == 0) return 0;
  const std::size_t num_cuts = std::min<std::size_t>(data[0] % 8, size - 1);
  const uint8_t* cuts = data + 1;
  std::string bytes;  // half of the inputs begin well, so that headers, bodies and chunks are reached
  if (data[0] % 16 >= 8) bytes = "POST /ab HTTP/1.1\r\nHost: a\r\n";
  if (data[0] % 32 >= 24) bytes += "Transfer-Encoding: chunked\r\n\r\n";
  bytes.append(reinterpret_cast<const char*>(data) + 1 + num_cuts, size - 1 - num_cuts);
  const int socket = connect_to(server->port());
  const std::string answers = converse(socket, bytes, cuts, num_cuts);
  close(socket);

  // After a HEAD nobody can tell answers apart without knowing which was whose.
  if (bytes.find("HEAD") != std::string::npos) return 0;
  std::string_view rest = answers;
  while (!rest.empty() && take_response(rest, false)) {
  }
  return 0;
}
