#include "tests/http/http_testing.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <stdexcept>
#include <thread>
#include <utility>

namespace gossamer::test {

using Clock = std::chrono::steady_clock;

Client::Client(uint16_t port, int receive_buffer) {
  socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (receive_buffer > 0) setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    throw std::runtime_error(fmt::format("connect: errno {}", errno));
}
Client::~Client() { close(); }
Client::Client(Client&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)), read_(std::move(other.read_)) {}

void Client::close() {
  if (socket_ >= 0) ::close(std::exchange(socket_, -1));
}

void Client::reset() {
  const struct linger option { .l_onoff = 1, .l_linger = 0 };
  setsockopt(socket_, SOL_SOCKET, SO_LINGER, &option, sizeof(option));
  close();
}

void Client::shut_down_sending() { shutdown(socket_, SHUT_WR); }

bool Client::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

std::string Client::read_some(std::chrono::milliseconds patience) {
  if (!read_.empty()) return std::exchange(read_, {});
  pollfd poll{.fd = socket_, .events = POLLIN, .revents = 0};
  if (::poll(&poll, 1, static_cast<int>(patience.count())) <= 0) return {};
  std::array<char, 65536> bytes;
  const ssize_t got = recv(socket_, bytes.data(), bytes.size(), 0);
  return got > 0 ? std::string(bytes.data(), static_cast<std::size_t>(got)) : std::string();
}

bool Client::fill() {
  std::string before = std::exchange(read_, {});
  const std::string more = read_some();
  read_ = std::move(before) + more;
  return !more.empty();
}

bool Client::read_until(std::string_view text) {
  for (;;) {
    const std::size_t at = read_.find(text);
    if (at != std::string::npos) {
      read_.erase(0, at + text.size());
      return true;
    }
    if (!fill()) return false;
  }
}

std::string Client::read_rest() {
  while (fill()) {
  }
  return std::exchange(read_, {});
}

bool Client::sees_close(std::chrono::milliseconds patience) {
  pollfd poll{.fd = socket_, .events = POLLIN, .revents = 0};
  if (!read_.empty() || ::poll(&poll, 1, static_cast<int>(patience.count())) <= 0) return false;
  char byte = 0;
  return recv(socket_, &byte, 1, 0) <= 0;
}

Response Client::read_response(bool head) {
  Response response;
  std::size_t end = 0;
  while ((end = read_.find("\r\n\r\n")) == std::string::npos) {
    if (!fill()) return response;
  }
  response.head = read_.substr(0, end + 2);
  read_.erase(0, end + 4);
  if (response.head.rfind("HTTP/1.1 ", 0) != 0) return response;
  response.status = std::stoi(response.head.substr(9, 3));
  for (std::size_t at = response.head.find("\r\n") + 2; at < response.head.size();) {
    const std::size_t line_end = response.head.find("\r\n", at);
    const std::string line = response.head.substr(at, line_end - at);
    const std::size_t colon = line.find(": ");
    if (colon == std::string::npos) return response;
    std::string name = line.substr(0, colon);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    response.headers[name] = line.substr(colon + 2);
    at = line_end + 2;
  }
  const bool no_body = head || response.status < 200 || response.status == 204 || response.status == 304;
  if (no_body) {
    response.complete = true;
  } else if (response.headers.contains("content-length")) {
    const std::size_t length = std::stoul(response.headers["content-length"]);
    while (read_.size() < length) {
      if (!fill()) break;
    }
    response.complete = read_.size() >= length;
    response.body = read_.substr(0, length);
    read_.erase(0, length);
  } else if (response.headers.contains("transfer-encoding")) {
    for (;;) {
      std::size_t line = 0;
      while ((line = read_.find("\r\n")) == std::string::npos) {
        if (!fill()) return response;
      }
      const std::size_t size = std::stoul(read_.substr(0, line), nullptr, 16);
      while (read_.size() < line + 2 + size + 2) {
        if (!fill()) return response;
      }
      response.body += read_.substr(line + 2, size);
      if (read_.substr(line + 2 + size, 2) != "\r\n") return response;
      read_.erase(0, line + 2 + size + 2);
      if (size == 0) break;
      ++response.num_chunks;
    }
    response.complete = true;
  } else {
    response.body = read_rest();
    response.complete = true;  // as far as anybody can tell
  }
  return response;
}

std::string get(std::string_view path, std::string_view extra) {
  return fmt::format("GET {} HTTP/1.1\r\nHost: test\r\n{}\r\n", path, extra);
}

std::string post(std::string_view path, std::string_view body) {
  return fmt::format("POST {} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{}", path, body.size(),
                     body);
}

bool eventually(const std::function<bool()>& condition) {
  const auto end = Clock::now() + kPatience;
  while (!condition()) {
    if (Clock::now() > end) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

void Waiting::put(HttpRequest, std::shared_ptr<HttpExchange> exchange) {
  std::lock_guard lock(mutex_);
  exchanges_.push_back(std::move(exchange));
}

std::shared_ptr<HttpExchange> Waiting::take() {
  if (!eventually([this] { return size() > 0; })) throw std::runtime_error("no request came");
  std::lock_guard lock(mutex_);
  auto exchange = std::move(exchanges_.front());
  exchanges_.erase(exchanges_.begin());
  return exchange;
}

std::size_t Waiting::size() {
  std::lock_guard lock(mutex_);
  return exchanges_.size();
}

}  // namespace gossamer::test
