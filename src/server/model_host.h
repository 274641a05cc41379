// ModelHost: the model that a server answers for, while it is being loaded, unloaded and replaced by another.
// One at a time; loading and unloading run on a thread of the host's own.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "server/served_engine.h"

namespace gossamer {

enum class ModelState : uint8_t { kNone, kLoading, kReady, kUnloading, kFailed };
std::string_view to_string(ModelState state);

struct ModelStatus {
  ModelState state = ModelState::kNone;
  std::string name;                    // that is meant; empty with kNone
  double progress = 0.0;               // of kLoading, 0 to 1
  std::optional<double> seconds_left;  // of kLoading, once there is an estimate
  std::string error;                   // of kFailed
};

using LoadProgressSink = std::function<void(std::size_t done, std::size_t total)>;

// A model that was opened and checked, and is not loaded yet.
class OpenedModel {
 public:
  virtual ~OpenedModel() = default;
  virtual std::string name() const = 0;
  // Once, on the host's thread, when the memory of the model before it is free. Throws Error.
  virtual std::shared_ptr<ServedEngine> load(const LoadProgressSink& progress) = 0;
};

class ModelHost {
 public:
  ModelHost();
  // Cancels what runs on the model and unloads it.
  ~ModelHost();

  // Unloads what is there, once its calls have ended, and loads `model`. False, and nothing happens, while
  // another load or unload is under way.
  bool load(std::unique_ptr<OpenedModel> model);
  bool unload();

  // Where there is one that answers; no new calls get it once it is to go.
  std::shared_ptr<ServedEngine> current() const;
  ModelStatus status() const;

  // Until nothing is under way; what came of it.
  ModelStatus wait() const;

 private:
  void run();
  void release(std::shared_ptr<ServedEngine> engine);
  void load_next(std::unique_ptr<OpenedModel> model);

  mutable std::mutex mutex_;  // guards what follows
  mutable std::condition_variable changed_;
  std::shared_ptr<ServedEngine> current_;
  ModelStatus status_;
  std::chrono::steady_clock::time_point load_start_;
  bool busy_ = false;
  std::unique_ptr<OpenedModel> next_;  // while busy_; null: only unload
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace gossamer
