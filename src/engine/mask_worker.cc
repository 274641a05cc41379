#include "engine/mask_worker.h"

#include <exception>
#include <utility>

namespace gossamer {

MaskWorker::~MaskWorker() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void MaskWorker::start(std::span<Job> jobs) {
  if (jobs.empty()) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    jobs_ = jobs;
    working_ = true;
  }
  if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
  changed_.notify_all();
}

void MaskWorker::wait() {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [this] { return !working_; });
}

void MaskWorker::run() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return stop_ || working_; });
    if (stop_) return;
    const std::span<Job> jobs = jobs_;
    lock.unlock();
    for (Job& job : jobs) {
      try {
        fill(job);
      } catch (const std::exception& error) {  // one request's grammar must not end the others'
        job.error = error.what();
      }
    }
    lock.lock();
    working_ = false;
    changed_.notify_all();
  }
}

void MaskWorker::fill(Job& job) const {
  const std::span<const int32_t> all = job.output;
  for (std::size_t num_accepted = 0; num_accepted <= job.num_drafts; ++num_accepted) {
    const std::span<const int32_t> output = all.first(all.size() - job.num_drafts + num_accepted);
    std::vector<uint64_t> mask;
    if (job.constraint->is_active(output)) {
      mask.assign(num_words_, 0);
      job.error = job.constraint->fill_mask(output, mask);
      if (!job.error.empty()) return;
    }
    job.masks.push_back(std::move(mask));
    if (num_accepted == job.num_drafts) return;
    if (!job.masks.back().empty() && !is_allowed(job.masks.back(), all[output.size()])) return;
  }
}

}  // namespace gossamer
