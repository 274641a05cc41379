#include "http/answer.h"

#include <utility>

namespace gossamer {
namespace {

class Exchange final : public HttpExchange {
 public:
  explicit Exchange(std::shared_ptr<Answer> answer) : answer_(std::move(answer)) {}
  ~Exchange() override { answer_->drop(); }

  void respond(HttpResponse response) override { answer_->respond(std::move(response)); }
  void begin(HttpResponse head) override { answer_->begin(std::move(head)); }
  void write(std::string bytes) override { answer_->write(std::move(bytes)); }
  void finish() override { answer_->finish(); }
  void abort() override { answer_->abort(); }
  void post(std::function<void()> task) override { answer_->post(std::move(task)); }
  void post_at(std::chrono::steady_clock::time_point when, std::function<void()> task) override {
    answer_->post_at(when, std::move(task));
  }
  void on_disconnect(std::function<void()> callback) override { answer_->on_disconnect(std::move(callback)); }
  std::chrono::steady_clock::time_point start() const override { return answer_->start(); }

 private:
  const std::shared_ptr<Answer> answer_;
};

}  // namespace

std::shared_ptr<HttpExchange> make_exchange(std::shared_ptr<Answer> answer) {
  return std::make_shared<Exchange>(std::move(answer));
}

Answer::Answer(std::shared_ptr<AnswerOwner> owner, std::chrono::steady_clock::time_point start)
    : start_(start), owner_(std::move(owner)) {}

void Answer::wake() {
  if (woken_ || owner_ == nullptr) return;
  woken_ = true;
  owner_->wake();
}

void Answer::respond(HttpResponse response) {
  std::function<void()> dropped;  // dies outside the lock: it may hold an exchange
  std::lock_guard lock(mutex_);
  if (begun_ || complete_ || gone_) return;
  begun_ = complete_ = true;
  news_.head = std::move(response);
  news_.whole = true;
  news_.ending = Ending::kFinished;
  dropped.swap(on_disconnect_);
  wake();
}

void Answer::begin(HttpResponse head) {
  std::lock_guard lock(mutex_);
  if (begun_ || complete_ || gone_) return;
  begun_ = true;
  if (!head.body.empty()) news_.chunks.push_back(std::move(head.body));
  news_.head = std::move(head);
  wake();
}

void Answer::write(std::string bytes) {
  std::lock_guard lock(mutex_);
  if (!begun_ || complete_ || gone_ || bytes.empty()) return;
  news_.chunks.push_back(std::move(bytes));
  wake();
}

void Answer::end(Ending ending) {
  std::function<void()> dropped;
  std::lock_guard lock(mutex_);
  if (complete_ || gone_) return;
  if (ending == Ending::kFinished && !begun_) return;
  if (ending == Ending::kDropped && begun_) ending = Ending::kAborted;
  complete_ = true;
  news_.ending = ending;
  dropped.swap(on_disconnect_);
  wake();
}

void Answer::post(std::function<void()> task) {
  std::lock_guard lock(mutex_);
  if (owner_ != nullptr) owner_->run_on_strand(std::move(task));
}

void Answer::post_at(std::chrono::steady_clock::time_point when, std::function<void()> task) {
  std::lock_guard lock(mutex_);
  if (owner_ != nullptr) owner_->run_on_strand_at(when, std::move(task));
}

void Answer::on_disconnect(std::function<void()> callback) {
  {
    std::lock_guard lock(mutex_);
    if (complete_) return;
    if (!gone_) {
      on_disconnect_ = std::move(callback);
      return;
    }
    if (owner_ != nullptr) {
      owner_->run_on_strand(std::move(callback));
      return;
    }
  }
  callback();
}

Answer::News Answer::take() {
  std::lock_guard lock(mutex_);
  woken_ = false;
  return std::exchange(news_, {});
}

void Answer::client_gone() {
  std::function<void()> callback;
  {
    std::lock_guard lock(mutex_);
    if (complete_ || gone_) return;
    gone_ = true;
    news_ = {};
    callback.swap(on_disconnect_);
  }
  if (callback) callback();
}

void Answer::detach() {
  std::shared_ptr<AnswerOwner> owner;  // its end may be the connection's, outside the lock
  std::lock_guard lock(mutex_);
  owner.swap(owner_);
}

}  // namespace gossamer
