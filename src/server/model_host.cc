#include "server/model_host.h"

#include <exception>
#include <utility>

namespace gossamer {
namespace {

// A look at whether the last call has ended: this often.
constexpr auto kReleaseInterval = std::chrono::milliseconds(2);

}  // namespace

std::string_view to_string(ModelState state) {
  switch (state) {
    case ModelState::kNone:
      return "no model";
    case ModelState::kLoading:
      return "loading";
    case ModelState::kReady:
      return "ready";
    case ModelState::kUnloading:
      return "unloading";
    case ModelState::kFailed:
      return "failed";
  }
  return "";
}

ModelHost::ModelHost() : thread_([this] { run(); }) {}

ModelHost::~ModelHost() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
  // What still runs is cancelled: the engine's thread ends with the last outputs said. Sinks that hold the
  // engine are gone then.
  if (current_) current_->thread.reset();
}

bool ModelHost::load(std::unique_ptr<OpenedModel> model) {
  {
    const std::lock_guard lock(mutex_);
    if (busy_ || stop_) return false;
    busy_ = true;
    status_ = {.state = current_ ? ModelState::kUnloading : ModelState::kLoading, .name = model->name()};
    next_ = std::move(model);
  }
  changed_.notify_all();
  return true;
}

bool ModelHost::unload() {
  {
    const std::lock_guard lock(mutex_);
    if (busy_ || stop_) return false;
    busy_ = true;
    status_.state = ModelState::kUnloading;
  }
  changed_.notify_all();
  return true;
}

std::shared_ptr<ServedEngine> ModelHost::current() const {
  const std::lock_guard lock(mutex_);
  return status_.state == ModelState::kReady ? current_ : nullptr;
}

ModelStatus ModelHost::status() const {
  const std::lock_guard lock(mutex_);
  ModelStatus status = status_;
  if (status.state == ModelState::kLoading && status.progress > 0.0) {
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - load_start_).count();
    status.seconds_left = seconds / status.progress * (1.0 - status.progress);
  }
  return status;
}

ModelStatus ModelHost::wait() const {
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !busy_ || stop_; });
  }
  return status();
}

void ModelHost::run() {
  for (;;) {
    std::shared_ptr<ServedEngine> old;
    std::unique_ptr<OpenedModel> next;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return busy_ || stop_; });
      if (stop_) return;
      old = std::move(current_);
      current_ = nullptr;
      next = std::move(next_);
    }
    if (old) release(std::move(old));
    {
      const std::lock_guard lock(mutex_);
      if (stop_) return;
    }
    if (next) {
      load_next(std::move(next));
    } else {
      const std::lock_guard lock(mutex_);
      status_ = {};
    }
    {
      const std::lock_guard lock(mutex_);
      busy_ = false;
    }
    changed_.notify_all();
  }
}

// Waits for the calls that hold the engine: the last of them must not be the one to end it, since it may be
// on the engine's own thread.
void ModelHost::release(std::shared_ptr<ServedEngine> engine) {
  std::unique_lock lock(mutex_);
  while (engine.use_count() > 1 && !stop_) changed_.wait_for(lock, kReleaseInterval);
  if (stop_) current_ = engine;  // the destructor's
  lock.unlock();
  if (engine.use_count() == 1) engine.reset();
}

void ModelHost::load_next(std::unique_ptr<OpenedModel> model) {
  const std::string name = model->name();
  {
    const std::lock_guard lock(mutex_);
    status_ = {.state = ModelState::kLoading, .name = name};
    load_start_ = std::chrono::steady_clock::now();
  }
  const auto on_progress = [this](std::size_t done, std::size_t total) {
    const std::lock_guard lock(mutex_);
    status_.progress = total == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(total);
  };
  std::shared_ptr<ServedEngine> engine;
  std::string error;
  try {
    engine = model->load(on_progress);
  } catch (const std::exception& exception) {
    error = exception.what();
  }
  model.reset();
  const std::lock_guard lock(mutex_);
  current_ = std::move(engine);
  status_ = current_ ? ModelStatus{.state = ModelState::kReady, .name = name, .progress = 1.0}
                     : ModelStatus{.state = ModelState::kFailed, .name = name, .error = error};
}

}  // namespace gossamer
