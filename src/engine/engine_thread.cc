#include "engine/engine_thread.h"

#include <utility>

namespace gossamer {

EngineThread::EngineThread(Engine& engine) : engine_(engine), thread_([this] { run(); }) {}

EngineThread::~EngineThread() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
    for (const auto& [id, receiver] : receivers_) engine_.cancel(id);
  }
  wake_.notify_all();
  thread_.join();
}

Result<RequestId> EngineThread::submit(Request request, OutputSink sink) {
  const int num_sequences = request.num_sequences;
  // Held until the receiver is known, so that no output comes before.
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stop_) return RequestError{RequestErrorKind::kCancelled, "the engine is stopping"};
  Result<RequestId> id = engine_.submit(std::move(request));
  if (!id.ok()) return id;
  receivers_[id.value()] = {.sink = std::make_shared<const OutputSink>(std::move(sink)),
                            .num_left = num_sequences};
  wake_.notify_all();
  return id;
}

void EngineThread::cancel(RequestId id, std::optional<int> index) { engine_.cancel(id, index); }

EngineHeartbeat EngineThread::heartbeat() const {
  const EngineClock::time_point start = step_start_;
  const EngineClock::time_point now = EngineClock::now();
  const auto seconds_since = [now](EngineClock::time_point time) {
    return std::chrono::duration<double>(now - time).count();
  };
  return {.idle = engine_.idle(),
          .seconds_in_step = start == EngineClock::time_point{} ? 0.0 : seconds_since(start),
          .seconds_since_step = seconds_since(step_end_)};
}

void EngineThread::run() {
  for (;;) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this] { return stop_ || !engine_.idle(); });
      if (stop_ && engine_.idle()) return;
    }
    step_start_ = EngineClock::now();
    std::vector<Output> outputs = engine_.step();
    step_end_ = EngineClock::now();
    step_start_ = EngineClock::time_point{};
    for (Output& output : outputs) {
      if (const auto sink = receiver_of(output)) (*sink)(std::move(output));
    }
  }
}

// The sink is called without the lock: it may submit and cancel.
std::shared_ptr<const OutputSink> EngineThread::receiver_of(const Output& output) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = receivers_.find(output.id);
  std::shared_ptr<const OutputSink> sink = found->second.sink;
  if (output.finish_reason && --found->second.num_left == 0) receivers_.erase(found);
  return sink;
}

}  // namespace gossamer
