// Where a handler's threads and a connection's strand meet: what the handler has said and the connection has
// not yet taken, and whether the client is still there. The handler holds it through an exchange
// (make_exchange), the connection directly. Called by connection.cc.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "http/http_server.h"

namespace gossamer {

// The connection, as its answers see it. Its members are called from any thread, and only post.
class AnswerOwner {
 public:
  virtual ~AnswerOwner() = default;
  // The answer has something to take().
  virtual void wake() = 0;
  virtual void run_on_strand(std::function<void()> task) = 0;
  virtual void run_on_strand_at(std::chrono::steady_clock::time_point when, std::function<void()> task) = 0;
};

class Answer {
 public:
  enum class Ending { kOpen, kFinished, kAborted, kDropped };

  // What has come since the last take(), in this order.
  struct News {
    std::optional<HttpResponse> head;
    bool whole = false;  // head is the whole response: respond()
    std::vector<std::string> chunks;
    Ending ending = Ending::kOpen;
  };

  Answer(std::shared_ptr<AnswerOwner> owner, std::chrono::steady_clock::time_point start);

  // The handler's side, from any thread; see HttpExchange.
  void respond(HttpResponse response);
  void begin(HttpResponse head);
  void write(std::string bytes);
  void finish() { end(Ending::kFinished); }
  void abort() { end(Ending::kAborted); }
  // The exchange is gone: 500, or broken off when it had begun.
  void drop() { end(Ending::kDropped); }
  void post(std::function<void()> task);
  void post_at(std::chrono::steady_clock::time_point when, std::function<void()> task);
  void on_disconnect(std::function<void()> callback);
  std::chrono::steady_clock::time_point start() const { return start_; }

  // The connection's side, on its strand.
  News take();
  // Calls the handler back unless it had said everything.
  void client_gone();

  // The server ends: from here on nothing touches the connection.
  void detach();

 private:
  void end(Ending ending);
  void wake();  // with mutex_ held, so that detach() is a limit that nothing crosses

  const std::chrono::steady_clock::time_point start_;
  std::mutex mutex_;
  std::shared_ptr<AnswerOwner> owner_;
  News news_;
  std::function<void()> on_disconnect_;
  bool begun_ = false;     // respond() or begin() was called
  bool complete_ = false;  // the handler has said everything
  bool gone_ = false;      // the client has gone before
  bool woken_ = false;
};

std::shared_ptr<HttpExchange> make_exchange(std::shared_ptr<Answer> answer);

}  // namespace gossamer
