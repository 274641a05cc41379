// BatchRun: the requests of a file through an engine, as many at once as keep it busy, answers to another
// file in the order in which they end. Called by `gossamer batch`.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "apps/batch_files.h"
#include "apps/session.h"
#include "apps/terminal.h"
#include "engine/engine_thread.h"
#include "server/openai_call.h"

namespace gossamer::apps {

struct BatchOptions {
  int64_t max_in_flight = 64;  // sequences that the engine has, running and waiting
  uint64_t seed = 0;           // of requests without one, together with their custom_id
};

struct BatchTotals {
  std::size_t answered = 0;  // lines written, errors included
  std::size_t failed = 0;    // of those
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
};

class BatchRun {
 public:
  // All of them outlive the run.
  BatchRun(Engine& engine, const ServedModel& model, BatchInput& input, BatchOutput& output,
           const BatchOptions& options);

  // Answers every request that has no answer yet. False when it was interrupted before; every line is then
  // either whole or not there, and another run goes on. Throws Error when the files fail.
  bool run(const InterruptFlag& interrupt);

  const BatchTotals& totals() const { return totals_; }

 private:
  // A request of the file, from its line to its answer.
  struct Job {
    std::string custom_id;
    std::string id;
    std::unique_ptr<CallResponse> response;
    std::vector<RequestId> submitted;
    bool finished = false;  // it is, or was, in finished_
  };
  // One of its prompts, which the engine has not got yet.
  struct Waiting {
    std::shared_ptr<Job> job;
    std::size_t prompt = 0;
    Request request;
  };

  void fill_engine();
  void start(const BatchLine& line);
  bool submit(const Waiting& waiting);
  void on_output(const std::shared_ptr<Job>& job, std::size_t prompt, const Output& output);
  void finish(const std::shared_ptr<Job>& job);
  bool write_finished();
  void write_line(const std::string& custom_id, const std::string& id, int status, json::object body);
  void show_progress();

  const ServedModel& model_;
  BatchInput& input_;
  BatchOutput& output_;
  BatchOptions options_;
  BatchTotals totals_;
  ProgressLine progress_;
  Clock::time_point start_ = Clock::now();
  bool input_ended_ = false;
  std::deque<Waiting> waiting_;  // of one request of the file

  std::mutex mutex_;  // guards what follows, and every Job
  std::condition_variable changed_;
  std::vector<std::shared_ptr<Job>> finished_;
  int64_t num_in_flight_ = 0;  // sequences
  int64_t num_tokens_ = 0;     // of all answers so far

  EngineThread engine_;  // last: when it goes, its sinks still use the others
};

}  // namespace gossamer::apps
