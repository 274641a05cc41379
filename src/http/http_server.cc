// The listening socket and the threads; connection.cc has the rest.
#include "http/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <condition_variable>
#include <cstring>
#include <future>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/error.h"
#include "http/connection.h"

namespace gossamer {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;
using ErrorCode = boost::system::error_code;
using Strand = asio::strand<asio::io_context::executor_type>;
using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, Strand>;
using Timer = asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Strand>;

constexpr int kListenQueue = 4096;  // the system's own limit may be lower
constexpr int kAcceptsInTurn = 64;
// While the process or the system has no descriptor left: connections wait in the queue.
constexpr std::chrono::milliseconds kAcceptAgain{50};

// Thousands of connections need as many descriptors, and the default of many systems is 1,024.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);  // best effort: accepting copes without
}

// "127.0.0.1:51000", "[::1]:51000"
std::string to_text(const sockaddr_storage& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET6) {
    sockaddr_in6 six{};
    std::memcpy(&six, &address, sizeof(six));
    if (IN6_IS_ADDR_V4MAPPED(&six.sin6_addr)) {
      inet_ntop(AF_INET, &six.sin6_addr.s6_addr[12], text.data(), text.size());
      return fmt::format("{}:{}", text.data(), ntohs(six.sin6_port));
    }
    inet_ntop(AF_INET6, &six.sin6_addr, text.data(), text.size());
    return fmt::format("[{}]:{}", text.data(), ntohs(six.sin6_port));
  }
  sockaddr_in four{};
  std::memcpy(&four, &address, sizeof(four));
  inet_ntop(AF_INET, &four.sin_addr, text.data(), text.size());
  return fmt::format("{}:{}", text.data(), ntohs(four.sin_port));
}

asio::ip::address parse_address(const std::string& host) {
  ErrorCode error;
  asio::ip::address address = asio::ip::make_address(host, error);
  if (error)
    throw Error("host \"{}\": expected an IP address to listen on, such as 127.0.0.1, or 0.0.0.0 for all",
                host);
  return address;
}

std::unique_ptr<TlsContext> make_tls(const HttpServerOptions& options) {
  if (options.certificate_file.empty() != options.private_key_file.empty())
    throw Error("TLS needs both a certificate file and a private key file, found only {}",
                options.certificate_file.empty() ? options.private_key_file : options.certificate_file);
  if (options.certificate_file.empty()) return nullptr;
  return std::make_unique<TlsContext>(options.certificate_file, options.private_key_file);
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(const HttpServerOptions& options, HttpHandler handler)
      : address_(parse_address(options.host)),
        shared_{.io = io_,
                .options = options,
                .handler = std::move(handler),
                .cors = CorsPolicy(options.cors_origins),
                .tls = make_tls(options),
                .on_close = [this] { on_close(); },
                .on_end = [this](Connection* connection) { on_end(connection); }},
        acceptor_(asio::make_strand(io_)),
        accept_timer_(acceptor_.get_executor()),
        work_(asio::make_work_guard(io_)) {
    raise_descriptor_limit();
    listen();
    asio::post(acceptor_.get_executor(), [this] { accept(); });
    for (int i = 0; i < std::max(options.num_threads, 1); ++i) threads_.emplace_back([this] { io_.run(); });
  }
  ~Impl() { stop(std::chrono::milliseconds(0)); }

  uint16_t port() const { return port_; }
  std::string url() const {
    const std::string host = address_.is_v6() ? "[" + address_.to_string() + "]" : address_.to_string();
    return fmt::format("{}://{}:{}", shared_.tls ? "https" : "http", host, port_);
  }
  std::size_t num_connections() const { return num_open_; }

  void drain() {
    shared_.draining = true;
    for (const auto& connection : connections()) connection->close_if_idle(Connection::Idle::kKept);
  }

  void stop(std::chrono::milliseconds grace) {
    if (threads_.empty()) return;
    for (const std::thread& thread : threads_) GOSSAMER_CHECK(thread.get_id() != std::this_thread::get_id());
    const Clock::time_point deadline = Clock::now() + grace;
    std::promise<void> closed;
    asio::post(acceptor_.get_executor(), [this, &closed] {
      stopping_ = true;
      ErrorCode ignored;
      acceptor_.close(ignored);
      accept_timer_.cancel(ignored);
      closed.set_value();
    });
    closed.get_future().wait();  // none comes after this

    shared_.draining = true;
    for (const auto& connection : connections()) connection->close_if_idle(Connection::Idle::kAny);
    const auto none_open = [this] { return num_open_ == 0; };
    {
      std::unique_lock lock(mutex_);
      changed_.wait_until(lock, deadline, none_open);
    }
    for (const auto& connection : connections()) connection->cut();
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, none_open);
    }
    for (const auto& connection : connections()) connection->detach();
    work_.reset();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  void listen() {
    const asio::ip::tcp::endpoint endpoint(address_, shared_.options.port);
    try {
      acceptor_.open(endpoint.protocol());
      acceptor_.set_option(asio::socket_base::reuse_address(true));
      if (address_.is_v6()) acceptor_.set_option(asio::ip::v6_only(false));  // "::" is all of them
      acceptor_.bind(endpoint);
      acceptor_.listen(kListenQueue);
      acceptor_.native_non_blocking(true);
      port_ = acceptor_.local_endpoint().port();
    } catch (const boost::system::system_error& error) {
      throw Error("cannot listen on {}, port {}: {}; choose another address or port", address_.to_string(),
                  shared_.options.port, error.code().message());
    }
  }

  // ---- on the acceptor's strand

  void accept() {
    if (stopping_) return;
    for (int i = 0; i < kAcceptsInTurn; ++i) {
      if (num_open_ >= shared_.options.max_connections) {
        accepting_paused_ = true;
        if (num_open_ >= shared_.options.max_connections) return;  // on_close() goes on
        accepting_paused_ = false;
      }
      sockaddr_storage address{};
      socklen_t size = sizeof(address);
      const int socket = accept4(acceptor_.native_handle(), reinterpret_cast<sockaddr*>(&address), &size,
                                 SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (socket >= 0) {
        serve(socket, to_text(address));
        continue;
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) break;
      if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) return accept_later();
      // Else it concerns the one connection, which is gone (ECONNABORTED and its kin).
    }
    acceptor_.async_wait(Acceptor::wait_read, [this](ErrorCode error) {
      if (!error) accept();
    });
  }

  void accept_later() {
    accept_timer_.expires_after(kAcceptAgain);
    accept_timer_.async_wait([this](ErrorCode error) {
      if (!error) accept();
    });
  }

  void serve(int socket, std::string client) {
    const int yes = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
    ++num_open_;
    const std::shared_ptr<Connection> connection = start_connection(shared_, socket, std::move(client));
    std::lock_guard lock(mutex_);
    connections_.emplace(connection.get(), connection);
  }

  // ---- from connections

  void on_close() {
    {
      std::lock_guard lock(mutex_);
      --num_open_;
    }
    changed_.notify_all();
    if (accepting_paused_.exchange(false)) asio::post(acceptor_.get_executor(), [this] { accept(); });
  }

  void on_end(Connection* connection) {
    std::lock_guard lock(mutex_);
    connections_.erase(connection);
  }

  std::vector<std::shared_ptr<Connection>> connections() {
    std::vector<std::shared_ptr<Connection>> all;
    std::lock_guard lock(mutex_);
    for (const auto& [pointer, connection] : connections_) {
      if (auto held = connection.lock()) all.push_back(std::move(held));
    }
    return all;
  }

  const asio::ip::address address_;
  uint16_t port_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::unordered_map<Connection*, std::weak_ptr<Connection>> connections_;
  std::atomic<std::size_t> num_open_ = 0;
  std::atomic<bool> accepting_paused_ = false;

  ConnectionShared shared_;  // outlives io_, whose end may be the last connection's
  asio::io_context io_;
  Acceptor acceptor_;
  Timer accept_timer_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  bool stopping_ = false;  // on the acceptor's strand
  std::vector<std::thread> threads_;
};

HttpServer::HttpServer(const HttpServerOptions& options, HttpHandler handler)
    : impl_(std::make_unique<Impl>(options, std::move(handler))) {}
HttpServer::~HttpServer() = default;
uint16_t HttpServer::port() const { return impl_->port(); }
std::string HttpServer::url() const { return impl_->url(); }
std::size_t HttpServer::num_connections() const { return impl_->num_connections(); }
void HttpServer::drain() { impl_->drain(); }
void HttpServer::stop(std::chrono::milliseconds grace) { impl_->stop(grace); }

}  // namespace gossamer
