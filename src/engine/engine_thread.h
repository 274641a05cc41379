// EngineThread: an engine with the thread that steps it. Many threads submit and cancel; what comes of a
// request goes to its own sink. Used by the server and by batch runs.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <unordered_map>

#include "engine/engine.h"

namespace gossamer {

// Called on the engine's thread between two steps, in order: keep it short. The last call for a request has
// as many finish reasons behind it as the request has sequences. Must not throw.
using OutputSink = std::function<void(Output output)>;

// How the thread gets on.
struct EngineHeartbeat {
  bool idle = true;                 // there is nothing to do
  double seconds_in_step = 0.0;     // of the step that runs now; 0: none does
  double seconds_since_step = 0.0;  // since one ended last, or since the thread began
};

class EngineThread {
 public:
  // The engine outlives this; nobody else steps it meanwhile.
  explicit EngineThread(Engine& engine);
  // Cancels what runs, delivers the last outputs, joins.
  ~EngineThread();

  // From any thread, a sink's included. An error value when the request can never run or the queue is full.
  Result<RequestId> submit(Request request, OutputSink sink);
  // From any thread. Called from a sink it takes effect before the next step. `index`: one of the request's
  // sequences; absent: all. Unknown ids are ignored.
  void cancel(RequestId id, std::optional<int> index = std::nullopt);

  // From any thread; never waits for a step.
  EngineHeartbeat heartbeat() const;

 private:
  struct Receiver {
    std::shared_ptr<const OutputSink> sink;
    int num_left = 0;  // sequences that have not ended
  };
  void run();
  std::shared_ptr<const OutputSink> receiver_of(const Output& output);

  Engine& engine_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  bool stop_ = false;
  std::unordered_map<RequestId, Receiver> receivers_;
  std::atomic<EngineClock::time_point> step_start_{EngineClock::time_point{}};  // zero: no step runs
  std::atomic<EngineClock::time_point> step_end_{EngineClock::now()};
  std::thread thread_;
};

}  // namespace gossamer
