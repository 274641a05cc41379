// The state machine of one connection. Everything here runs on the connection's strand unless a comment says
// otherwise. Nothing is allocated for reading while no request is on its way: the socket is waited for, not
// read into a buffer that would lie idle.
#include "http/connection.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "http/answer.h"
#include "http/request_parser.h"
#include "http/send_queue.h"

namespace gossamer {
namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;
using ErrorCode = boost::system::error_code;
using Strand = asio::strand<asio::io_context::executor_type>;
using Socket = asio::posix::basic_stream_descriptor<Strand>;
using Timer = asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Strand>;

constexpr std::size_t kReadBytes = std::size_t{32} << 10;  // on the stack, for each call
constexpr int kReadsInTurn = 16;                           // then other connections have theirs
constexpr std::size_t kWriteBytesInTurn = std::size_t{1} << 20;
constexpr int kGathered = 64;  // pieces of one write
// What a client may send ahead of its answers; the rest waits in the system's buffers.
constexpr std::size_t kMaxEarlyBytes = std::size_t{64} << 10;
// After the last answer: for the client to read it and close, before unread bytes of its own would make the
// system throw the answer away.
constexpr std::chrono::milliseconds kLinger{1000};

constexpr Clock::time_point kNever = Clock::time_point::max();

class HttpConnection final : public Connection,
                             public AnswerOwner,
                             public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(ConnectionShared& shared, int socket, std::string client)
      : shared_(shared),
        socket_(asio::make_strand(shared.io)),
        timer_(socket_.get_executor()),
        transport_(shared.tls ? shared.tls->make_transport(socket) : make_plain_transport(socket)),
        client_(std::move(client)),
        phase_(shared.tls ? Phase::kHandshake : Phase::kServing),
        phase_since_(Clock::now()) {
    socket_.assign(socket);
  }
  ~HttpConnection() override { shared_.on_end(this); }

  void start() {
    asio::post(socket_.get_executor(), [self = shared_from_this()] { self->on_readable(); });
  }

  // Connection and AnswerOwner: from any thread.
  void close_if_idle(Idle which) override {
    asio::post(socket_.get_executor(), [self = shared_from_this(), which] {
      self->on_readable();  // a request that is here already is still answered
      self->closes_when_idle_ = false;
      if (which == Idle::kKept && !self->served_) return;
      if (self->is_idle() || self->phase_ == Phase::kHandshake) self->close(false);
    });
  }
  void cut() override {
    asio::post(socket_.get_executor(), [self = shared_from_this()] { self->close(true); });
  }
  void detach() override {
    for (const std::weak_ptr<Answer>& held : held_) {
      if (const std::shared_ptr<Answer> answer = held.lock()) answer->detach();
    }
  }
  void wake() override {
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
      self->take_news();
      self->advance();
    });
  }
  void run_on_strand(std::function<void()> task) override {
    asio::post(socket_.get_executor(), [self = shared_from_this(), task = std::move(task)] { task(); });
  }
  void run_on_strand_at(Clock::time_point when, std::function<void()> task) override {
    auto timer = std::make_shared<Timer>(socket_.get_executor(), when);
    timer->async_wait([self = shared_from_this(), timer, task = std::move(task)](ErrorCode error) {
      if (!error) task();
    });
  }

 private:
  enum class Phase {
    kHandshake,
    kServing,
    kLingering,  // everything is said; waits for the client to close
    kClosed,
  };

  bool is_idle() const {
    return phase_ == Phase::kServing && parser_ == nullptr && answer_ == nullptr && unsent_.empty() &&
           input_.empty();
  }
  // The answers before must be complete and away: a client that reads none of them gets no more computed.
  bool may_parse() const {
    return phase_ == Phase::kServing && answer_ == nullptr && unsent_.empty() && !close_after_answer_;
  }

  // ---- from the socket

  void on_readable() {
    if (phase_ == Phase::kClosed) return;
    if (phase_ == Phase::kHandshake && !shake_hands()) return;
    std::array<char, kReadBytes> bytes;  // not zeroed
    more_to_read_ = true;
    reading_ = true;
    for (int i = 0; i < kReadsInTurn && !end_of_input_ && wants_input(); ++i) {
      std::size_t got = 0;
      const Transport::Status status = transport_->read(bytes.data(), bytes.size(), got);
      if (status == Transport::Status::kOk) {
        take_input({bytes.data(), got});
        advance();
        continue;
      }
      more_to_read_ = false;
      if (status == Transport::Status::kWantWrite) wait_writable();
      if (status == Transport::Status::kEnd || status == Transport::Status::kFailed) {
        on_end_of_input(status == Transport::Status::kFailed);
      }
      break;
    }
    reading_ = false;
    advance();
  }

  bool shake_hands() {
    switch (transport_->handshake()) {
      case Transport::Status::kOk:
        enter(Phase::kServing);
        return true;
      case Transport::Status::kWantRead:
        wait_readable();
        break;
      case Transport::Status::kWantWrite:
        wait_writable();
        break;
      case Transport::Status::kPlainHttp: {
        transport_ = make_plain_transport(socket_.native_handle());
        enter(Phase::kServing);
        refuse({.status = 400, .message = "this port speaks TLS: use https"});
        advance();
        return false;
      }
      default:
        close(false);
        return false;
    }
    update_timer();
    return false;
  }

  bool wants_input() const {
    return phase_ == Phase::kLingering || (phase_ == Phase::kServing && input_.size() < kMaxEarlyBytes);
  }

  void take_input(std::string_view bytes) {
    if (phase_ != Phase::kServing || close_after_answer_) return;  // nobody will read it
    if (input_.empty() && may_parse()) bytes.remove_prefix(parse(bytes));
    if (phase_ == Phase::kServing) input_ += bytes;
  }

  // The client has closed its side. As most servers do, this takes it for gone, also when it has only shut
  // down sending: it could not be told from one that has closed, and work for nobody would go on.
  void on_end_of_input(bool failed) {
    end_of_input_ = true;
    take_news();  // may be the end of the answer
    if (phase_ == Phase::kClosed) return;
    if (failed || phase_ != Phase::kServing || answer_ != nullptr || unsent_.empty()) return close(failed);
    close_after_answer_ = true;  // what is left of a complete answer still goes out
  }

  // ---- requests

  // Takes bytes for the next request and hands it over when it is complete; returns how many it took.
  std::size_t parse(std::string_view bytes) {
    std::size_t taken = 0;
    if (parser_ == nullptr) {
      while (taken < bytes.size() && (bytes[taken] == '\r' || bytes[taken] == '\n'))
        ++taken;  // RFC 9112, 2.2
      if (taken == bytes.size()) return taken;
      parser_ =
          std::make_unique<RequestParser>(shared_.options.max_header_bytes, shared_.options.max_body_bytes);
      request_start_ = Clock::now();
    }
    taken += parser_->feed(bytes.substr(taken));
    if (parser_->fault()) {
      refuse(*parser_->fault());
    } else if (parser_->done()) {
      handle_request();
    } else if (parser_->wants_continue() && !continued_ && taken == bytes.size()) {
      continued_ = true;
      send("HTTP/1.1 100 Continue\r\n\r\n");
    }
    return taken;
  }

  void note_request() {
    head_method_ = parser_->is_head_method();
    http_1_0_ = parser_->is_http_1_0();
    keep_alive_ = parser_->keep_alive();
    const auto origin = parser_->request().header("Origin");
    cors_lines_ = shared_.cors.response_lines(origin);
  }

  void handle_request() {
    note_request();
    HttpRequest request = std::move(parser_->request());
    parser_.reset();
    continued_ = false;
    served_ = true;
    request.client = client_;
    if (const auto response = shared_.cors.preflight(request)) {
      send_whole(*response);
      return;
    }
    answer_ = std::make_shared<Answer>(shared_from_this(), request_start_);
    std::erase_if(held_, [](const std::weak_ptr<Answer>& held) { return held.expired(); });
    held_.push_back(answer_);
    std::shared_ptr<HttpExchange> exchange = make_exchange(answer_);
    shared_.handler(std::move(request), std::move(exchange));
    take_news();  // most short answers are complete by now
  }

  // Answers what is no request for the handler, and closes.
  void refuse(HttpFault fault) {  // by value: the parser, whose it may be, ends here
    keep_alive_ = false;
    if (parser_ != nullptr) {
      note_request();
      keep_alive_ = false;
      parser_.reset();
    }
    served_ = true;
    send_whole(error_response(fault.status, std::move(fault.message)));
  }

  HttpResponse error_response(int status, std::string message) const {
    if (shared_.options.make_error) return shared_.options.make_error(status, std::move(message));
    return {.status = status, .content_type = "text/plain; charset=utf-8", .body = message + "\n"};
  }

  // ---- answers

  // What the handler has said since the last time becomes bytes.
  void take_news() {
    if (answer_ == nullptr) return;
    Answer::News news = answer_->take();
    if (news.ending == Answer::Ending::kDropped) {
      answer_.reset();
      send_whole(error_response(500, "the request was dropped without an answer"));
      return;
    }
    if (news.whole) {
      answer_.reset();
      send_whole(std::move(*news.head));
      return;
    }
    if (news.head) send_stream_head(*news.head);
    send_chunks(std::move(news.chunks));
    if (news.ending == Answer::Ending::kAborted) {
      flush();
      close(true);
    } else if (news.ending == Answer::Ending::kFinished) {
      if (framing_ == BodyFraming::kChunked && !head_method_) send("0\r\n\r\n");
      answer_.reset();
    } else if (unsent_.bytes() > shared_.options.max_unsent_bytes) {
      flush();
      if (phase_ != Phase::kClosed && unsent_.bytes() > shared_.options.max_unsent_bytes) close(true);
    }
  }

  bool keeps_alive() const { return keep_alive_ && !shared_.draining && !end_of_input_; }

  void send_whole(HttpResponse response) {
    const bool has_body = status_has_body(response.status);
    close_after_answer_ = !keeps_alive();
    send(response_head(response,
                       {.body = has_body ? BodyFraming::kLength : BodyFraming::kNone,
                        .length = response.body.size(),
                        .close = close_after_answer_,
                        .say_keep_alive = http_1_0_},
                       cors_lines_));
    if (has_body && !head_method_) send(std::move(response.body));
  }

  void send_stream_head(const HttpResponse& head) {
    framing_ = !status_has_body(head.status) ? BodyFraming::kNone
               : http_1_0_                   ? BodyFraming::kUntilClose
                                             : BodyFraming::kChunked;
    close_after_answer_ = !keeps_alive() || framing_ == BodyFraming::kUntilClose;
    send(response_head(head, {.body = framing_, .close = close_after_answer_, .say_keep_alive = http_1_0_},
                       cors_lines_));
  }

  // All that waits is one chunk.
  void send_chunks(std::vector<std::string> chunks) {
    if (chunks.empty() || head_method_ || framing_ == BodyFraming::kNone) return;
    std::size_t size = 0;
    for (const std::string& chunk : chunks) size += chunk.size();
    if (framing_ == BodyFraming::kChunked) send(fmt::format("{:x}\r\n", size));
    for (std::string& chunk : chunks) send(std::move(chunk));
    if (framing_ == BodyFraming::kChunked) send("\r\n");
  }

  // ---- to the socket

  void send(std::string&& bytes) {
    if (unsent_.empty()) last_taken_ = Clock::now();
    unsent_.append(std::move(bytes));
  }

  void flush() {
    std::size_t turn = 0;
    while (phase_ == Phase::kServing && !unsent_.empty() && !waits_writable_) {
      std::array<iovec, kGathered> pieces;
      const int count = unsent_.gather(pieces.data(), kGathered);
      std::size_t taken = 0;
      switch (transport_->write(pieces.data(), count, taken)) {
        case Transport::Status::kOk:
          unsent_.consume(taken);
          last_taken_ = Clock::now();
          turn += taken;
          if (turn >= kWriteBytesInTurn) wait_writable();
          break;
        case Transport::Status::kWantRead:
          return;  // comes back with on_readable
        case Transport::Status::kWantWrite:
          wait_writable();
          break;
        default:
          return close(true);
      }
    }
  }

  // ---- what follows from where things stand; after every event

  void advance() {
    if (advancing_) return;  // a handler that answers at once
    advancing_ = true;
    while (phase_ == Phase::kServing) {
      flush();
      if (phase_ != Phase::kServing || answer_ != nullptr || !unsent_.empty()) break;
      if (close_after_answer_) {
        linger();
        break;
      }
      if (input_.empty()) break;
      const std::size_t taken = parse(input_);
      if (phase_ != Phase::kServing) break;
      input_.erase(0, taken);
      if (taken == 0 || (parser_ != nullptr && unsent_.empty())) break;
    }
    advancing_ = false;
    if (phase_ == Phase::kClosed) return;
    if (input_.empty()) input_ = {};
    if (is_idle() != was_idle_) {
      was_idle_ = !was_idle_;
      if (was_idle_) phase_since_ = Clock::now();
    }
    wait_for_input();
    update_timer();
    if (shared_.draining && served_ && was_idle_ && !closes_when_idle_) {
      closes_when_idle_ = true;
      close_if_idle(Idle::kKept);
    }
  }

  void linger() {
    enter(Phase::kLingering);
    input_ = {};
    transport_->send_end();
    if (end_of_input_) close(false);
  }

  void enter(Phase phase) {
    phase_ = phase;
    phase_since_ = Clock::now();
  }

  // `reset` throws away what the system has not yet sent, and tells the client that something is missing.
  void close(bool reset) {
    if (phase_ == Phase::kClosed) return;
    if (reset) {
      const struct linger option { .l_onoff = 1, .l_linger = 0 };
      setsockopt(socket_.native_handle(), SOL_SOCKET, SO_LINGER, &option, sizeof(option));
    } else if (phase_ == Phase::kServing) {
      transport_->send_end();
    }
    phase_ = Phase::kClosed;
    ErrorCode ignored;
    timer_.cancel(ignored);
    socket_.close(ignored);
    transport_.reset();
    parser_.reset();
    unsent_.clear();
    input_ = {};
    if (const std::shared_ptr<Answer> answer = std::move(answer_)) answer->client_gone();
    shared_.on_close();
  }

  // ---- waiting

  void wait_for_input() {
    if (reading_ || end_of_input_) return;
    if (!wants_input()) return wait_reset();
    if (!more_to_read_) return wait_readable();
    if (posted_) return;  // the last turn ended before the input did, and TLS may hold some of it
    posted_ = true;
    asio::post(socket_.get_executor(), [self = shared_from_this()] {
      self->posted_ = false;
      self->on_readable();
    });
  }

  void wait_readable() {
    if (waits_readable_) return;
    waits_readable_ = true;
    socket_.async_wait(Socket::wait_read, [self = shared_from_this()](ErrorCode error) {
      self->waits_readable_ = false;
      if (!error) self->on_readable();
    });
  }

  void wait_writable() {
    if (waits_writable_) return;
    waits_writable_ = true;
    socket_.async_wait(Socket::wait_write, [self = shared_from_this()](ErrorCode error) {
      self->waits_writable_ = false;
      if (!error) self->on_readable();  // TLS may have waited for this to read on; it ends by writing
    });
  }

  // More has been sent ahead than is read now: only a reset can be seen then, not a closed sending side.
  void wait_reset() {
    if (waits_reset_) return;
    waits_reset_ = true;
    socket_.async_wait(Socket::wait_error, [self = shared_from_this()](ErrorCode error) {
      self->waits_reset_ = false;
      if (!error && self->phase_ == Phase::kServing) self->close(true);
    });
  }

  // ---- time

  Clock::time_point deadline() const {
    const HttpServerOptions& options = shared_.options;
    if (phase_ == Phase::kHandshake) return phase_since_ + options.request_timeout;
    if (phase_ == Phase::kLingering) return phase_since_ + kLinger;
    Clock::time_point deadline = kNever;
    if (!unsent_.empty()) deadline = last_taken_ + options.write_timeout;
    if (parser_ != nullptr) deadline = std::min(deadline, request_start_ + options.request_timeout);
    if (is_idle()) deadline = phase_since_ + options.idle_timeout;
    return deadline;
  }

  // Set anew only to come earlier: one that comes too early looks again.
  void update_timer() {
    const Clock::time_point next = deadline();
    if (phase_ == Phase::kClosed || next >= timer_at_) return;
    timer_at_ = next;
    timer_.expires_at(next);
    timer_.async_wait([self = shared_from_this()](ErrorCode error) {
      if (error || self->phase_ == Phase::kClosed) return;
      self->timer_at_ = kNever;
      if (Clock::now() >= self->deadline()) self->on_deadline();
      self->update_timer();
    });
  }

  void on_deadline() {
    if (phase_ == Phase::kServing && !unsent_.empty()) return close(true);
    if (phase_ == Phase::kServing && parser_ != nullptr) {
      refuse({.status = 408,
              .message = fmt::format("the request did not arrive within {} ms",
                                     shared_.options.request_timeout.count())});
      return advance();
    }
    close(false);
  }

  ConnectionShared& shared_;
  Socket socket_;
  Timer timer_;
  std::unique_ptr<Transport> transport_;
  const std::string client_;
  Phase phase_;
  Clock::time_point phase_since_;  // or since when it is idle

  std::string input_;  // read and not yet parsed
  std::unique_ptr<RequestParser> parser_;
  Clock::time_point request_start_;

  std::shared_ptr<Answer> answer_;
  std::vector<std::weak_ptr<Answer>> held_;  // answers that handlers may still hold
  SendQueue unsent_;
  Clock::time_point last_taken_;  // when the client took bytes, or there were none to take
  Clock::time_point timer_at_ = kNever;
  std::string cors_lines_;
  BodyFraming framing_ = BodyFraming::kChunked;

  // Of the request being answered.
  bool head_method_ = false;
  bool http_1_0_ = false;
  bool keep_alive_ = false;

  bool continued_ = false;  // "100 Continue" was sent
  bool served_ = false;     // has answered a request
  bool was_idle_ = true;
  bool close_after_answer_ = false;
  bool closes_when_idle_ = false;
  bool end_of_input_ = false;
  bool more_to_read_ = false;
  bool reading_ = false;
  bool advancing_ = false;
  bool waits_readable_ = false;
  bool waits_writable_ = false;
  bool waits_reset_ = false;
  bool posted_ = false;
};

}  // namespace

std::shared_ptr<Connection> start_connection(ConnectionShared& shared, int socket, std::string client) {
  auto connection = std::make_shared<HttpConnection>(shared, socket, std::move(client));
  connection->start();
  return connection;
}

}  // namespace gossamer
