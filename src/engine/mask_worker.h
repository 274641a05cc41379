// MaskWorker: computes the token masks of constrained sequences on a thread of its own while the forward pass
// runs, so that they cost a step nothing.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "engine/token_constraint.h"

namespace gossamer {

class MaskWorker {
 public:
  explicit MaskWorker(int64_t vocab_size) : num_words_(static_cast<std::size_t>((vocab_size + 63) / 64)) {}
  ~MaskWorker();

  // The masks of one sequence in one step: behind its output, and behind each of its draft tokens as long as
  // the constraint allows them.
  struct Job {
    TokenConstraint* constraint = nullptr;
    std::vector<int32_t> output;  // the draft tokens are the last ones
    std::size_t num_drafts = 0;
    // Afterwards. At most num_drafts + 1; one that is empty allows everything.
    std::vector<std::vector<uint64_t>> masks;
    std::string error;  // why there are no more
  };
  // The jobs stay as they are until wait() has returned.
  void start(std::span<Job> jobs);
  void wait();

 private:
  void run();
  void fill(Job& job) const;

  std::size_t num_words_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::span<Job> jobs_;  // guarded by mutex_, as the two below
  bool working_ = false;
  bool stop_ = false;
  std::thread thread_;  // from the first job on
};

}  // namespace gossamer
