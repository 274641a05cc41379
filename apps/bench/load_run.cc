#include "apps/bench/load_run.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <unordered_map>
#include <utility>

#include "apps/bench/load_garbage.h"

namespace gossamer::apps {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr std::chrono::milliseconds kTick{50};
// How long a client of a closed loop waits when it was not let in: none hammers a server that says no.
constexpr std::chrono::milliseconds kRetryPause{100};
// A client that is to vanish does so before the longest answer so far would have ended; at first, within
// this.
constexpr double kFirstVanishSeconds = 1.0;
constexpr std::size_t kMaxComplaints = 40;

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

nanoseconds in_seconds(double seconds) { return nanoseconds(static_cast<int64_t>(seconds * 1e9)); }

// Where two answers part, with what stands around it.
std::string difference(const std::string& first, const std::string& other) {
  const auto at = static_cast<std::size_t>(
      std::mismatch(first.begin(), first.end(), other.begin(), other.end()).first - first.begin());
  const std::size_t from = at > 30 ? at - 30 : 0;
  return fmt::format("at byte {}: {} instead of {}", at,
                     json::serialize(json::string(other.substr(from, 80))),
                     json::serialize(json::string(first.substr(from, 80))));
}

class LoadRun {
 public:
  LoadRun(HttpClient& client, LoadPlan& plan, const LoadShape& shape, FirstAnswers* answers,
          const InterruptFlag& interrupt)
      : client_(client),
        plan_(plan),
        shape_(shape),
        answers_(answers),
        interrupt_(interrupt),
        random_(shape.seed),
        progress_(shape.level.rate > 0.0 ? fmt::format("{:g} requests/s", shape.level.rate)
                                         : fmt::format("concurrency {}", shape.level.concurrency)) {}

  LoadResult run() {
    result_.level = shape_.level;
    const double cpu = cpu_seconds();
    const std::size_t opened = client_.num_connections_opened();
    tick();
    if (shape_.level.rate > 0.0) {
      arrive();
    } else {
      for (int64_t i = 0; i < shape_.level.concurrency && may_start(); ++i) start(now());
    }
    client_.run();
    result_.seconds = last_end_;
    result_.cpu_seconds = cpu_seconds() - cpu;
    result_.connections = static_cast<int64_t>(client_.num_connections_opened() - opened);
    return std::move(result_);
  }

 private:
  struct Running {
    std::unique_ptr<LoadStream> stream;  // none: garbage
    GarbageRequest garbage;
    int status = 0;
    HttpClient::CallId call = 0;
    std::unique_ptr<HttpClient::Timer> vanish;
  };

  double now() const { return std::chrono::duration<double>(Clock::now() - begin_).count(); }
  bool is_closed_loop() const { return shape_.level.rate <= 0.0; }

  bool may_start() const {
    if (result_.is_interrupted) return false;
    if (shape_.num_requests > 0 && num_started_ >= shape_.num_requests) return false;
    return shape_.duration_seconds <= 0.0 || now() < shape_.duration_seconds;
  }

  void tick() {
    if (interrupt_.is_set() && !result_.is_interrupted) {
      result_.is_interrupted = true;
      for (const auto& [id, running] : running_) client_.cancel(running->call);
      running_.clear();
      due_.clear();
    }
    const bool is_over = running_.empty() && due_.empty() && pauses_.empty() && !may_start();
    if (is_over) return client_.stop();
    show_progress();
    tick_ = client_.start_timer(kTick, [this] { tick(); });
  }

  void show_progress() {
    const std::string more = fmt::format("{} running, {} done", running_.size(), num_ended_);
    if (shape_.num_requests > 0) {
      progress_.show(static_cast<std::size_t>(num_ended_), static_cast<std::size_t>(shape_.num_requests),
                     more);
    } else {
      progress_.show(static_cast<std::size_t>(std::min(now(), shape_.duration_seconds) * 1e3),
                     static_cast<std::size_t>(shape_.duration_seconds * 1e3), more);
    }
  }

  // An open loop: requests come when they come, whatever the server does.
  void arrive() {
    while (may_start() && next_arrival_ <= now()) {
      ++num_started_;
      due_.push_back(next_arrival_);
      next_arrival_ += std::exponential_distribution<double>(shape_.level.rate)(random_);
    }
    start_due();
    if (may_start())
      arrival_ = client_.start_timer(in_seconds(std::max(0.0, next_arrival_ - now())), [this] { arrive(); });
  }

  // Where only so many may run at once the others wait, and their time runs.
  void start_due() {
    const auto limit = static_cast<std::size_t>(shape_.level.concurrency);
    std::size_t taken = 0;
    for (; taken < due_.size() && (limit == 0 || running_.size() < limit); ++taken) launch(due_[taken]);
    due_.erase(due_.begin(), due_.begin() + static_cast<std::ptrdiff_t>(taken));
  }

  void start(double at) {
    ++num_started_;
    launch(at);
  }

  void launch(double at) {
    const uint64_t id = next_id_++;
    std::uniform_real_distribution<double> share(0.0, 1.0);
    const bool is_garbage = share(random_) < shape_.garbage;
    const bool will_vanish = !is_garbage && share(random_) < shape_.vanish;
    auto running = std::make_unique<Running>();
    Running& one = *running;
    running_.emplace(id, std::move(running));
    result_.most_at_once = std::max(result_.most_at_once, static_cast<int64_t>(running_.size()));
    HttpCall call;
    if (is_garbage) {
      ++result_.garbage.sent;
      one.garbage = make_garbage(num_garbage_++ % kNumGarbageKinds, plan_);
      call = one.garbage.call;
    } else {
      LoadPlan::Item item = plan_.next();
      one.stream = std::make_unique<LoadStream>(plan_.endpoint(), item.prompt, at);
      call = std::move(item.call);
    }
    if (will_vanish) {
      const double seconds = share(random_) * (longest_ > 0.0 ? longest_ : kFirstVanishSeconds);
      one.vanish = client_.start_timer(in_seconds(seconds), [this, id] { vanish(id); });
    }
    one.call =
        client_.send(std::move(call), {.on_head = [this, id](const auto& head) { on_head(id, head); },
                                       .on_body = [this, id](auto bytes) { on_body(id, bytes); },
                                       .on_end = [this, id](const auto& failure) { on_end(id, failure); }});
  }

  void on_head(uint64_t id, const HttpResponse& head) {
    Running& one = *running_.at(id);
    one.status = head.status;
    if (head.status >= 500) ++result_.server_errors;
    if (head.status == 429) ++result_.too_many;
    if (one.stream == nullptr) return;
    one.stream->on_head(head);
    give_up_on_failure(id, one);
  }

  void on_body(uint64_t id, std::string_view bytes) {
    Running& one = *running_.at(id);
    if (one.stream == nullptr) return;
    one.stream->on_body(bytes, now());
    give_up_on_failure(id, one);
  }

  // What a failed stream still sends is of no interest.
  void give_up_on_failure(uint64_t id, const Running& one) {
    if (!one.stream->has_failed()) return;
    client_.cancel(one.call);
    on_end(id, std::nullopt);
  }

  void on_end(uint64_t id, const std::optional<HttpFailure>& failure) {
    const std::unique_ptr<Running> one = take(id);
    bool was_refused = false;
    if (one->stream == nullptr) {
      end_garbage(*one, failure);
      was_refused = one->status == 0;
    } else {
      LoadRecord record = one->stream->finish(failure, now());
      judge(record);
      was_refused = record.failure &&
                    (record.failure->kind == LoadError::kConnect || one->status == 429 || one->status == 503);
      result_.events += record.events;
      result_.records.push_back(std::move(record));
    }
    go_on(was_refused);
  }

  void vanish(uint64_t id) {
    const std::unique_ptr<Running> one = take(id);
    client_.cancel(one->call);
    ++result_.vanished;
    go_on(false);
  }

  std::unique_ptr<Running> take(uint64_t id) {
    std::unique_ptr<Running> one = std::move(running_.at(id));
    running_.erase(id);
    ++num_ended_;
    last_end_ = now();
    return one;
  }

  // The client of a closed loop asks again.
  void go_on(bool was_refused) {
    if (!is_closed_loop()) return start_due();
    if (!may_start()) {
      if (running_.empty() && pauses_.empty()) client_.stop();
      return;
    }
    if (!was_refused) return start(now());
    const uint64_t id = next_id_++;
    pauses_[id] = client_.start_timer(kRetryPause, [this, id] {
      pauses_.erase(id);
      if (may_start()) start(now());
    });
  }

  void judge(LoadRecord& record) {
    if (!record.failure && answers_ != nullptr) {
      const auto [first, is_new] = answers_->try_emplace(record.prompt, record.answer);
      if (!is_new && first->second != record.answer) {
        record.failure = LoadFailure{.kind = LoadError::kMismatch,
                                     .message = fmt::format("prompt {}: another answer, {}", record.prompt,
                                                            difference(first->second, record.answer))};
      }
    }
    record.answer = {};
    if (record.failure) return complain(load_error_name(record.failure->kind), record.failure->message);
    longest_ = std::max(longest_, record.end_to_end());
  }

  void end_garbage(const Running& one, const std::optional<HttpFailure>& failure) {
    if (one.status >= 400 && one.status < 500) {
      ++result_.garbage.refused;
    } else if (failure && failure->kind == HttpFailureKind::kBroken && one.status == 0 &&
               one.garbage.may_close) {
      ++result_.garbage.closed;
    } else {
      ++result_.garbage.taken;
      complain("garbage", fmt::format("{}: expected a status of 4xx, found {}", one.garbage.name,
                                      failure ? failure->message : fmt::format("{}", one.status)));
    }
  }

  void complain(const char* kind, const std::string& message) {
    const std::string text = fmt::format("{}: {}", kind, message);
    if (result_.complaints.size() < kMaxComplaints || result_.complaints.contains(text))
      ++result_.complaints[text];
  }

  HttpClient& client_;
  LoadPlan& plan_;
  const LoadShape& shape_;
  FirstAnswers* answers_;
  const InterruptFlag& interrupt_;
  std::mt19937_64 random_;
  ProgressLine progress_;
  Clock::time_point begin_ = Clock::now();
  LoadResult result_;
  std::unordered_map<uint64_t, std::unique_ptr<Running>> running_;
  std::vector<double> due_;  // arrivals that wait for their turn
  std::unordered_map<uint64_t, std::unique_ptr<HttpClient::Timer>> pauses_;
  std::unique_ptr<HttpClient::Timer> tick_;
  std::unique_ptr<HttpClient::Timer> arrival_;
  uint64_t next_id_ = 0;
  int64_t num_started_ = 0;
  int64_t num_ended_ = 0;
  std::size_t num_garbage_ = 0;
  double next_arrival_ = 0.0;
  double last_end_ = 0.0;
  double longest_ = 0.0;
};

}  // namespace

LoadResult run_load(HttpClient& client, LoadPlan& plan, const LoadShape& shape, FirstAnswers* answers,
                    const InterruptFlag& interrupt) {
  return LoadRun(client, plan, shape, answers, interrupt).run();
}

}  // namespace gossamer::apps
