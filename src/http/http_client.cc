#include "http/http_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/check.h"

namespace gossamer {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kReadBytes = std::size_t{16} << 10;

// Collects a response's head, and its body's bytes until take_body().
class ResponseParser final : public beast::http::basic_parser<false> {
 public:
  explicit ResponseParser(std::size_t max_header_bytes) {
    eager(true);
    header_limit(static_cast<std::uint32_t>(max_header_bytes));
    body_limit(boost::none);
  }

  HttpResponse& head() { return head_; }
  std::string take_body() { return std::exchange(body_, {}); }

 private:
  void on_request_impl(beast::http::verb, beast::string_view, beast::string_view, int, error_code&) override {
  }
  void on_response_impl(int code, beast::string_view, int, error_code&) override {
    head_ = {.status = code, .content_type = {}};
  }
  void on_field_impl(beast::http::field name, beast::string_view name_text, beast::string_view value,
                     error_code&) override {
    if (name == beast::http::field::content_type) head_.content_type = std::string(value);
    head_.headers.emplace_back(std::string(name_text), std::string(value));
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(beast::string_view body, error_code&) override {
    body_.append(body.data(), body.size());
    return body.size();
  }
  void on_chunk_header_impl(std::uint64_t, beast::string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view body, error_code&) override {
    body_.append(body.data(), body.size());
    return body.size();
  }
  void on_finish_impl(error_code&) override {}

  HttpResponse head_;
  std::string body_;
};

struct Connection {
  explicit Connection(asio::io_context& io) : socket(io) {}

  template <typename Handler>
  void read_some(Handler handler) {
    const auto space = buffer.prepare(kReadBytes);
    if (tls) {
      tls->async_read_some(space, std::move(handler));
    } else {
      socket.async_read_some(space, std::move(handler));
    }
  }
  template <typename Handler>
  void write(const std::string& bytes, Handler handler) {
    if (tls) {
      asio::async_write(*tls, asio::buffer(bytes), std::move(handler));
    } else {
      asio::async_write(socket, asio::buffer(bytes), std::move(handler));
    }
  }

  // Nothing may come on an idle connection: bytes or an end mean that the server has closed it.
  bool is_alive() {
    char byte = 0;
    const auto count = ::recv(socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }

  tcp::socket socket;
  std::optional<asio::ssl::stream<tcp::socket&>> tls;
  beast::flat_buffer buffer;
};

class Exchange;

// What the calls of a client share.
struct Core {
  explicit Core(HttpClientOptions options_in) : options(std::move(options_in)), resolver(io) {
    tls.set_default_verify_paths();
    tls.set_verify_mode(options.verify_certificates ? asio::ssl::verify_peer : asio::ssl::verify_none);
    if (options.authority_file.empty()) return;
    error_code error;
    tls.load_verify_file(options.authority_file, error);
    if (error) {
      throw Error("{}: expected a PEM file of certificates to trust, found: {}", options.authority_file,
                  error.message());
    }
  }

  using Endpoints = std::vector<tcp::endpoint>;
  using Resolved = std::function<void(const error_code&, const Endpoints&)>;

  // Each host is looked up once, however many calls wait for it.
  void resolve(const HttpUrl& url, Resolved done) {
    error_code error;
    const asio::ip::address address = asio::ip::make_address(url.host, error);
    if (!error) return done({}, {tcp::endpoint(address, url.port)});
    const std::string key = fmt::format("{} {}", url.host, url.port);
    if (const auto known = resolved.find(key); known != resolved.end()) return done({}, known->second);
    std::vector<Resolved>& queue = waiting[key];
    queue.push_back(std::move(done));
    if (queue.size() > 1) return;
    resolver.async_resolve(
        url.host, std::to_string(url.port),
        [this, key](const error_code& failure, const tcp::resolver::results_type& results) {
          Endpoints endpoints;
          for (const auto& entry : results) endpoints.push_back(entry.endpoint());
          if (!failure) resolved[key] = endpoints;
          for (const Resolved& waiter : std::exchange(waiting[key], {})) waiter(failure, endpoints);
        });
  }

  std::shared_ptr<Connection> take_idle(const std::string& origin) {
    std::vector<std::shared_ptr<Connection>>& of_origin = idle[origin];
    while (!of_origin.empty()) {
      std::shared_ptr<Connection> connection = std::move(of_origin.back());
      of_origin.pop_back();
      --num_idle;
      if (connection->is_alive()) return connection;
    }
    return nullptr;
  }

  void keep(const std::string& origin, std::shared_ptr<Connection> connection) {
    if (num_idle >= options.max_idle_connections) return;
    idle[origin].push_back(std::move(connection));
    ++num_idle;
  }

  HttpClientOptions options;
  asio::io_context io{1};
  asio::ssl::context tls{asio::ssl::context::tls_client};
  tcp::resolver resolver;
  std::map<std::string, Endpoints> resolved;
  std::map<std::string, std::vector<Resolved>> waiting;
  std::map<std::string, std::vector<std::shared_ptr<Connection>>> idle;
  std::size_t num_idle = 0;
  std::size_t num_opened = 0;
  std::unordered_map<HttpClient::CallId, std::shared_ptr<Exchange>> calls;
  HttpClient::CallId next_id = 1;
};

bool has_header(const HttpHeaders& headers, std::string_view name) {
  return HttpRequest{.headers = headers}.header(name).has_value();
}

std::string host_header(const HttpUrl& url) {
  const std::string host = url.host.find(':') == std::string::npos ? url.host : "[" + url.host + "]";
  return url.port == (url.is_tls ? 443 : 80) ? host : fmt::format("{}:{}", host, url.port);
}

std::string request_bytes(const HttpCall& call) {
  std::string text =
      fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\n", call.method, call.url.target, host_header(call.url));
  for (const auto& [name, value] : call.headers) {
    GOSSAMER_CHECK(name.find_first_of("\r\n:") == std::string::npos);
    GOSSAMER_CHECK(value.find_first_of("\r\n") == std::string::npos);
    text += name + ": " + value + "\r\n";
  }
  if (!has_header(call.headers, "user-agent")) text += "User-Agent: gossamer\r\n";
  if (!call.body.empty() && !has_header(call.headers, "content-type"))
    text += "Content-Type: application/json\r\n";
  if (!call.body.empty() || call.method == "POST" || call.method == "PUT")
    text += fmt::format("Content-Length: {}\r\n", call.body.size());
  return text + "\r\n" + call.body;
}

// One call: a connection, a request, a response. Handlers hold it; it has ended when it is no longer among
// Core::calls.
class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(Core& core, HttpClient::CallId id, HttpCall call, HttpObserver observer)
      : core_(core),
        id_(id),
        call_(std::move(call)),
        observer_(std::move(observer)),
        origin_(call_.url.origin()),
        timer_(core.io),
        start_(Clock::now()) {}

  void start() {
    if (has_ended_) return;
    out_ = call_.raw ? std::move(*call_.raw) : request_bytes(call_);
    if (!call_.raw) connection_ = core_.take_idle(origin_);
    if (connection_ != nullptr) return exchange();
    arm_timer();
    core_.resolve(call_.url, [self = shared_from_this()](const error_code& error, const auto& endpoints) {
      if (self->has_ended_) return;
      if (error) return self->fail(HttpFailureKind::kConnect, "cannot look it up: " + error.message());
      self->connect(endpoints);
    });
  }

  // Nothing is told any more.
  void abandon() {
    has_ended_ = true;
    timer_.cancel();
    close();
    core_.calls.erase(id_);
  }

 private:
  void connect(const Core::Endpoints& endpoints) {
    connection_ = std::make_shared<Connection>(core_.io);
    asio::async_connect(connection_->socket, endpoints,
                        [self = shared_from_this()](const error_code& error, const tcp::endpoint&) {
                          if (self->has_ended_) return;
                          if (error) return self->fail(HttpFailureKind::kConnect, error.message());
                          self->on_connected();
                        });
  }

  void on_connected() {
    ++core_.num_opened;
    error_code ignored;
    connection_->socket.set_option(tcp::no_delay(true), ignored);
    if (!call_.url.is_tls) return exchange();
    auto& tls = connection_->tls.emplace(connection_->socket, core_.tls);
    asio::ip::make_address(call_.url.host, ignored);
    if (ignored) SSL_set_tlsext_host_name(tls.native_handle(), call_.url.host.c_str());  // a name, no address
    if (core_.options.verify_certificates)
      tls.set_verify_callback(asio::ssl::host_name_verification(call_.url.host));
    tls.async_handshake(asio::ssl::stream_base::client, [self = shared_from_this()](const error_code& error) {
      if (self->has_ended_) return;
      if (error) return self->fail(HttpFailureKind::kTls, error.message());
      self->exchange();
    });
  }

  // Reading begins with writing: a server may answer, and close, before it has taken everything.
  void exchange() {
    is_connected_ = true;
    last_byte_ = Clock::now();
    arm_timer();
    new_parser();
    connection_->write(out_, [self = shared_from_this()](const error_code& error, std::size_t) {
      if (self->has_ended_) return;
      self->is_written_ = !error;
      if (error) self->write_error_ = error.message();
      error_code ignored;
      if (!error && self->call_.half_close)
        self->connection_->socket.shutdown(tcp::socket::shutdown_send, ignored);
    });
    read();
  }

  void new_parser() {
    parser_.emplace(core_.options.max_header_bytes);
    if (call_.method == "HEAD") parser_->skip(true);
    has_told_head_ = false;
  }

  void read() {
    connection_->read_some([self = shared_from_this()](const error_code& error, std::size_t count) {
      if (self->has_ended_) return;
      self->on_read(error, count);
    });
  }

  void on_read(const error_code& error, std::size_t count) {
    if (error) return on_read_end(error);
    last_byte_ = Clock::now();
    received_ += count;
    beast::flat_buffer& buffer = connection_->buffer;
    buffer.commit(count);
    while (buffer.size() > 0 && !parser_->is_done()) {
      error_code wrong;
      buffer.consume(parser_->put(buffer.data(), wrong));
      if (wrong && wrong != beast::http::error::need_more)
        return fail(HttpFailureKind::kMalformed, "no HTTP/1.1 response: " + wrong.message());
      const bool is_interim = parser_->is_done() && parser_->head().status / 100 == 1;
      if (is_interim) new_parser();
      if (wrong) break;
    }
    deliver();
    if (has_ended_) return;
    parser_->is_done() ? finish() : read();
  }

  void on_read_end(const error_code& error) {
    const bool is_end = error == asio::error::eof || error == asio::ssl::error::stream_truncated;
    if (is_end && received_ > 0) {
      error_code wrong;
      parser_->put_eof(wrong);
      if (!wrong && parser_->is_done() && parser_->is_header_done()) return finish();
    }
    const char* where = received_ == 0               ? "before the first byte of the response"
                        : !parser_->is_header_done() ? "within the response's head"
                                                     : "within the response's body";
    fail(HttpFailureKind::kBroken,
         fmt::format(
             "the connection ended {}: {}", where,
             is_end ? (write_error_.empty() ? "closed by the server" : write_error_) : error.message()));
  }

  void deliver() {
    const std::shared_ptr<Exchange> self = shared_from_this();  // callbacks may cancel this call
    if (parser_->is_header_done() && !has_told_head_) {
      has_told_head_ = true;
      if (observer_.on_head) observer_.on_head(parser_->head());
    }
    const std::string body = parser_->take_body();
    if (!has_ended_ && !body.empty() && observer_.on_body) observer_.on_body(body);
  }

  void finish() {
    const bool can_keep =
        is_written_ && !call_.raw && parser_->keep_alive() && connection_->buffer.size() == 0;
    if (can_keep) core_.keep(origin_, std::exchange(connection_, nullptr));
    end(std::nullopt);
  }

  void fail(HttpFailureKind kind, const std::string& what) {
    end(HttpFailure{.kind = kind, .message = origin_ + ": " + what});
  }

  void end(const std::optional<HttpFailure>& failure) {
    const std::shared_ptr<Exchange> self = shared_from_this();
    abandon();
    if (observer_.on_end) observer_.on_end(failure);
    observer_ = {};
  }

  void close() {
    if (connection_ == nullptr) return;
    error_code ignored;
    connection_->socket.close(ignored);
  }

  Clock::time_point deadline() const {
    Clock::time_point earliest = Clock::time_point::max();
    const auto add = [&](Clock::time_point from, std::chrono::milliseconds limit) {
      if (limit.count() > 0) earliest = std::min(earliest, from + limit);
    };
    add(start_, call_.timeout);
    if (is_connected_) {
      add(last_byte_, call_.idle_timeout);
    } else {
      add(start_, core_.options.connect_timeout);
    }
    return earliest;
  }

  // Bytes move the deadline without touching the timer: it looks again when it fires.
  void arm_timer() {
    const Clock::time_point at = deadline();
    if (at == Clock::time_point::max()) {
      timer_.cancel();
      return;
    }
    timer_.expires_at(at);
    timer_.async_wait([self = shared_from_this()](const error_code& error) {
      if (error || self->has_ended_) return;
      if (Clock::now() < self->deadline()) return self->arm_timer();
      self->on_timeout();
    });
  }

  void on_timeout() {
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    if (!is_connected_)
      return fail(HttpFailureKind::kConnect, fmt::format("no connection within {:.1f} s", seconds));
    fail(HttpFailureKind::kTimeout,
         fmt::format("no whole response within {:.1f} s; {} bytes came", seconds, received_));
  }

  Core& core_;
  HttpClient::CallId id_;
  HttpCall call_;
  HttpObserver observer_;
  std::string origin_;
  asio::steady_timer timer_;
  Clock::time_point start_;
  Clock::time_point last_byte_;
  std::shared_ptr<Connection> connection_;
  std::optional<ResponseParser> parser_;
  std::string out_;
  std::string write_error_;
  std::size_t received_ = 0;
  bool is_connected_ = false;
  bool is_written_ = false;
  bool has_told_head_ = false;
  bool has_ended_ = false;
};

struct TimerState {
  TimerState(asio::io_context& io, std::function<void()> callback_in)
      : timer(io), callback(std::move(callback_in)) {}
  asio::steady_timer timer;
  std::function<void()> callback;  // none: the timer is gone
};

class ClientTimer final : public HttpClient::Timer {
 public:
  explicit ClientTimer(std::shared_ptr<TimerState> state) : state_(std::move(state)) {}
  ~ClientTimer() override {
    state_->callback = nullptr;
    state_->timer.cancel();
  }

 private:
  std::shared_ptr<TimerState> state_;
};

}  // namespace

class HttpClient::Impl {
 public:
  explicit Impl(HttpClientOptions options) : core(std::move(options)) {}
  ~Impl() {
    while (!core.calls.empty()) core.calls.begin()->second->abandon();
  }
  Core core;
};

HttpClient::HttpClient(HttpClientOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}

HttpClient::~HttpClient() = default;

HttpClient::CallId HttpClient::send(HttpCall call, HttpObserver observer) {
  Core& core = impl_->core;
  const CallId id = core.next_id++;
  auto exchange = std::make_shared<Exchange>(core, id, std::move(call), std::move(observer));
  core.calls.emplace(id, exchange);
  asio::post(core.io, [exchange] { exchange->start(); });
  return id;
}

void HttpClient::cancel(CallId id) {
  const auto found = impl_->core.calls.find(id);
  if (found == impl_->core.calls.end()) return;
  const std::shared_ptr<Exchange> exchange = found->second;
  exchange->abandon();
}

std::unique_ptr<HttpClient::Timer> HttpClient::start_timer(std::chrono::nanoseconds delay,
                                                           std::function<void()> callback) {
  auto state = std::make_shared<TimerState>(impl_->core.io, std::move(callback));
  state->timer.expires_after(delay);
  state->timer.async_wait([state](const error_code& error) {
    if (error || !state->callback) return;
    const std::function<void()> now = std::exchange(state->callback, nullptr);  // may destroy the timer
    now();
  });
  return std::make_unique<ClientTimer>(std::move(state));
}

void HttpClient::post(std::function<void()> task) { asio::post(impl_->core.io, std::move(task)); }

void HttpClient::run() {
  impl_->core.io.restart();
  impl_->core.io.run();
}

void HttpClient::stop() { impl_->core.io.stop(); }

std::size_t HttpClient::num_calls() const { return impl_->core.calls.size(); }

std::size_t HttpClient::num_idle_connections() const { return impl_->core.num_idle; }

std::size_t HttpClient::num_connections_opened() const { return impl_->core.num_opened; }

Result<HttpResponse, HttpFailure> fetch(HttpClient& client, HttpCall call, std::size_t max_body_bytes) {
  HttpResponse response;
  std::optional<HttpFailure> failed;
  HttpClient::CallId id = 0;
  const HttpObserver observer = {
      .on_head = [&](const HttpResponse& head) { response = head; },
      .on_body =
          [&](std::string_view bytes) {
            response.body += bytes;
            if (response.body.size() <= max_body_bytes) return;
            client.cancel(id);
            failed = {
                .kind = HttpFailureKind::kMalformed,
                .message = fmt::format("expected a body of at most {} bytes, found more", max_body_bytes)};
            client.stop();
          },
      .on_end =
          [&](const std::optional<HttpFailure>& failure) {
            failed = failure;
            client.stop();
          }};
  id = client.send(std::move(call), observer);
  client.run();
  if (failed) return *std::move(failed);
  return response;
}

Result<HttpUrl, std::string> HttpUrl::parse(std::string_view text) {
  const auto wrong = [&](std::string_view found) {
    return fmt::format("expected http://HOST[:PORT][/PATH] or https://..., found \"{}\": {}", text, found);
  };
  HttpUrl url;
  if (text.starts_with("https://")) {
    url.is_tls = true;
    url.port = 443;
  } else if (!text.starts_with("http://")) {
    return wrong("the scheme is neither http nor https");
  }
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '\x7F')
      return wrong("it has blanks or control characters");
  }
  std::string_view rest = text.substr(url.is_tls ? 8 : 7);
  rest = rest.substr(0, rest.find('#'));
  std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  const std::string_view target = rest.substr(authority.size());
  url.target = target.starts_with('/') ? std::string(target) : "/" + std::string(target);
  if (authority.find('@') != std::string_view::npos) return wrong("user names are not supported");
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) return wrong("\"[\" without \"]\"");
    url.host = authority.substr(1, end - 1);
    port = authority.substr(end + 1);
  } else {
    url.host = authority.substr(0, authority.find(':'));
    port = authority.substr(url.host.size());
  }
  if (url.host.empty()) return wrong("no host");
  if (port.empty()) return url;
  int number = 0;
  for (const char c : port.substr(1)) {
    if (c < '0' || c > '9' || number > 65'535) return wrong("the port is no number up to 65535");
    number = number * 10 + (c - '0');
  }
  if (!port.starts_with(':') || port.size() < 2 || number < 1 || number > 65'535)
    return wrong("the port is no number from 1 to 65535");
  url.port = static_cast<uint16_t>(number);
  return url;
}

std::string HttpUrl::origin() const {
  const bool is_v6 = host.find(':') != std::string::npos;
  return fmt::format("{}://{}{}{}:{}", is_tls ? "https" : "http", is_v6 ? "[" : "", host, is_v6 ? "]" : "",
                     port);
}

}  // namespace gossamer
