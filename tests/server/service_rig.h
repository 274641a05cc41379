// A Service over the demo model, and exchanges that need no network.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backend/registry.h"
#include "base/error.h"
#include "engine/memory_plan.h"
#include "model/model_folder.h"
#include "server/model_host.h"
#include "server/service.h"
#include "text/tokenizer.h"

namespace gossamer::test {

// Keeps what was answered. Its strand is a thread of its own, so it must not end on it: ServiceRig keeps all.
class FakeExchange final : public HttpExchange, public std::enable_shared_from_this<FakeExchange> {
 public:
  FakeExchange() : thread_([this] { run(); }) {}
  ~FakeExchange() override { stop(); }

  // As when the server ends: the client is cut off, what is posted later is dropped.
  void stop() {
    disconnect();
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
  }

  void respond(HttpResponse response) override { end(std::move(response)); }
  void begin(HttpResponse head) override {
    const std::lock_guard lock(mutex_);
    response_ = std::move(head);
  }
  void write(std::string bytes) override {
    const std::lock_guard lock(mutex_);
    response_.body += bytes;
    changed_.notify_all();
  }
  void finish() override { end({}, /*keep=*/true); }
  void abort() override { end({.status = 0}); }
  void post(std::function<void()> task) override {
    const std::lock_guard lock(mutex_);
    if (stop_) return;
    tasks_.push_back(std::move(task));
    changed_.notify_all();
  }
  void post_at(std::chrono::steady_clock::time_point when, std::function<void()> task) override {
    post([when, task = std::move(task)] {
      std::this_thread::sleep_until(when);
      task();
    });
  }
  void on_disconnect(std::function<void()> callback) override {
    {
      const std::lock_guard lock(mutex_);
      if (!gone_) {
        if (!complete_) on_disconnect_ = std::move(callback);
        return;
      }
    }
    post(std::move(callback));
  }
  std::chrono::steady_clock::time_point start() const override { return start_; }

  // The client goes.
  void disconnect() {
    post([this] {
      std::function<void()> callback;
      {
        const std::lock_guard lock(mutex_);
        if (complete_) return;
        callback = std::exchange(on_disconnect_, nullptr);
        complete_ = true;
        gone_ = true;
      }
      changed_.notify_all();
      if (callback) callback();
    });
  }

  // Until the answer is complete.
  HttpResponse wait() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(60), [this] { return complete_; }));
    return response_;
  }
  // Until so much of the answer is there.
  void wait_for_bytes(std::size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(60),
                                  [&] { return complete_ || response_.body.size() >= count; }));
  }

 private:
  void end(HttpResponse response, bool keep = false) {
    std::function<void()> dropped;  // what it holds goes without the lock
    const std::lock_guard lock(mutex_);
    if (!keep) response_ = std::move(response);
    complete_ = true;
    dropped = std::exchange(on_disconnect_, nullptr);
    changed_.notify_all();
  }
  void run() {
    for (;;) {
      std::function<void()> task;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stop_ || !tasks_.empty(); });
        if (tasks_.empty()) return;
        task = std::move(tasks_.front());
        tasks_.pop_front();
      }
      task();
    }
  }

  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;
  std::function<void()> on_disconnect_;
  HttpResponse response_;
  bool complete_ = false;
  bool gone_ = false;  // the client, before the answer was complete
  bool stop_ = false;
  std::thread thread_;
};

// The demo model; loading it can be held up, or made to fail.
class DemoModel final : public OpenedModel {
 public:
  struct Engines {
    std::unique_ptr<Backend> backend;
    std::unique_ptr<Tokenizer> tokenizer;
    std::unique_ptr<Engine> engine;
  };

  explicit DemoModel(std::string name, std::function<void()> before_load = {}, int64_t max_num_seqs = 4,
                     int64_t max_waiting_requests = 0)
      : name_(std::move(name)),
        before_load_(std::move(before_load)),
        max_num_seqs_(max_num_seqs),
        max_waiting_requests_(max_waiting_requests) {}

  std::string name() const override { return name_; }

  std::shared_ptr<ServedEngine> load(const LoadProgressSink& progress) override {
    progress(1, 4);
    if (before_load_) before_load_();
    const std::filesystem::path folder = std::filesystem::path(GOSSAMER_SOURCE_DIR) / "models/demo";
    auto engines = std::make_shared<Engines>();
    engines->backend = create_backend({.name = "cpu", .num_threads = 1, .instruction_set = {}});
    engines->tokenizer = Tokenizer::load(folder);
    const EngineLimits limits{.max_model_len = 2048,
                              .max_num_seqs = max_num_seqs_,
                              .max_batched_tokens = 512,
                              .max_logit_rows = 64,
                              .kv_cache_tokens = 2048 * max_num_seqs_,
                              .prefix_cache = true};
    engines->engine = std::make_unique<Engine>(
        load_model(ModelFolder::open(folder, {}), *engines->backend), *engines->backend,
        EngineOptions{.limits = limits, .max_waiting_requests = max_waiting_requests_});
    auto served = std::make_shared<ServedEngine>();
    ServedModel& model = served->model;
    model.names = {name_};
    model.tokenizer = engines->tokenizer.get();
    model.has_chat_form = true;
    model.vocab_size = engines->engine->info().vocab_size;
    model.max_model_len = limits.max_model_len;
    model.eos_ids = {*engines->tokenizer->special_id("<|return|>"),
                     *engines->tokenizer->special_id("<|call|>")};
    model.sampling.temperature = 0.0F;
    served->engine = engines->engine.get();
    served->owner = engines;
    served->thread = std::make_unique<EngineThread>(*served->engine);
    progress(4, 4);
    return served;
  }

 private:
  std::string name_;
  std::function<void()> before_load_;
  int64_t max_num_seqs_;
  int64_t max_waiting_requests_;
};

class ServiceRig {
 public:
  explicit ServiceRig(ServiceOptions options = {})
      : log_path_(testing::TempDir() + "gossamer_service_log_" +
                  testing::UnitTest::GetInstance()->current_test_info()->name()),
        log_(log_path_, LogFormat::kJson),
        service_(std::move(options), host_, log_) {}
  // In the order of a program that ends: connections, service, model.
  ~ServiceRig() {
    for (const auto& exchange : exchanges_) exchange->stop();
    std::filesystem::remove(log_path_);
  }

  Service& service() { return service_; }
  ModelHost& host() { return host_; }
  const std::string& log_path() const { return log_path_; }

  // Loads and waits.
  void load(std::unique_ptr<DemoModel> model) {
    ASSERT_TRUE(host_.load(std::move(model)));
    ASSERT_EQ(host_.wait().state, ModelState::kReady);
  }

  // From any thread.
  std::shared_ptr<FakeExchange> send(std::string method, std::string path, std::string body = {},
                                     HttpHeaders headers = {}) {
    auto exchange = std::make_shared<FakeExchange>();
    {
      const std::lock_guard lock(mutex_);
      exchanges_.push_back(exchange);
    }
    exchange->post([this, exchange = exchange.get(),
                    request = HttpRequest{.method = std::move(method),
                                          .path = std::move(path),
                                          .headers = std::move(headers),
                                          .body = std::move(body),
                                          .client = "test"}]() mutable {
      service_.handle(std::move(request), exchange->shared_from_this());
    });
    return exchange;
  }

 private:
  std::string log_path_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<FakeExchange>> exchanges_;  // outlive everything that answers them
  ServerLog log_;
  ModelHost host_;
  Service service_;
};

}  // namespace gossamer::test
