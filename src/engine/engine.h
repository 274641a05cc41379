// Engine: turns a model into answers for many requests at once. Token ids in, token ids out; text is left to
// others. One thread calls step(); any thread may submit and cancel. engine_thread.h has such a thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "base/error.h"
#include "engine/drafter.h"
#include "engine/kv_pages.h"
#include "engine/mask_worker.h"
#include "engine/memory_plan.h"
#include "engine/request.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"
#include "engine/sequence.h"
#include "model/model_folder.h"

namespace gossamer {

// Where a step's time went, in seconds, and what it touched: filled by Engine::step for whoever asks
// (`gossamer bench`).
struct StepRecord {
  // Asked for. Layers then run one by one, with a look at each one's routing in between.
  bool count_experts = false;

  double prepare_seconds = 0.0;  // choosing what runs, pages, the batch
  double forward_seconds = 0.0;  // the model, until its logits are here
  double finish_seconds = 0.0;   // sampling, ends of sequences
  int64_t num_tokens = 0;
  int64_t num_logit_rows = 0;
  int64_t experts_touched = 0;  // different experts that some token chose, over all layers
};

struct EngineOptions {
  EngineLimits limits;
  // Ids from here on are never sampled (rows beyond the tokenizer's); 0: all are.
  int64_t num_sampled_ids = 0;
  // The most prompt tokens of one sequence in a step; 0: limits.max_batched_tokens.
  int64_t chunk_tokens = 0;
  // The most tokens that speculation adds to a sequence's step; 0: off.
  int max_draft_tokens = 0;
  // What may wait; beyond it submit() refuses with kOverloaded. 0: no limit.
  int64_t max_waiting_requests = 0;
  int64_t max_waiting_tokens = 0;  // of prompts
};

// How busy an engine is; read by any thread.
struct EngineLoad {
  int64_t waiting_requests = 0;
  int64_t waiting_tokens = 0;
  int64_t running_sequences = 0;
  int64_t total_pages = 0;  // of the attention kind that keeps everything (of the first, where there is none)
  int64_t used_pages = 0;   // by running sequences
  int64_t cached_pages = 0;  // by nobody, kept for prefixes
  // Since the engine was made.
  int64_t steps = 0;
  int64_t prompt_tokens = 0;  // of requests that began
  int64_t cached_tokens = 0;  // of those, found in the prefix cache
  int64_t new_tokens = 0;
  int64_t preemptions = 0;
  int64_t drafted_tokens = 0;
  int64_t accepted_tokens = 0;
};

class Engine {
 public:
  // The backend outlives the engine. Allocates everything that steps touch: pool, workspace, scratch.
  Engine(LoadedModel model, Backend& backend, const EngineOptions& options);
  ~Engine();

  const ModelInfo& info() const { return model_.model->info(); }
  const EngineOptions& options() const { return options_; }

  // Queues a request, from any thread; or says why not: it can never run (an id out of range, an empty
  // prompt, a prompt that with one new token is longer than max_model_len, a parameter out of range), or the
  // queue is full (kOverloaded). max_new_tokens is cut to what max_model_len leaves.
  Result<RequestId> submit(Request request);

  // Ends a request before the next step, from any thread; each sequence's last Output, with kCancelled, comes
  // with that step. `index`: one of its sequences; absent: all. Unknown ids are ignored.
  void cancel(RequestId id, std::optional<int> index = std::nullopt);

  // Runs one step over all running sequences and returns what it gave. Nothing when idle.
  std::vector<Output> step(StepRecord* record = nullptr);

  // Nothing waits, runs, or is still to be said.
  bool idle() const;

  EngineLoad load() const;

  // For benchmarks at depths whose prompts would take too long: from here on a request's prompt but its last
  // token counts as computed, and the pages of its keys and values hold whatever they held before (zeros, or
  // another request's). Its output means nothing. Without prefix cache only.
  void skip_prompts(bool skip);

  // Every page is accounted for. Aborts otherwise; tests call it after every step, debug builds always.
  void check_integrity() const;

 private:
  // What passed, as Output::error has it.
  static constexpr const char* kStartDeadline = "the queueing";
  static constexpr const char* kFirstTokenDeadline = "the first token's";
  static constexpr const char* kEndDeadline = "the";
  using DeadlineQueue = std::multimap<EngineClock::time_point, std::pair<RequestId, const char*>>;
  struct ActiveRequest {
    std::vector<std::unique_ptr<Sequence>> sequences;  // null: ended
    int num_left = 0;
    std::vector<DeadlineQueue::iterator> deadlines;
  };
  // Handed from submit() and cancel() to the next step.
  struct Inbox {
    std::vector<std::vector<std::unique_ptr<Sequence>>> submitted;
    std::vector<std::pair<RequestId, std::optional<int>>> cancelled;
    RequestId next_id = 1;
    int64_t next_serial = 0;
  };
  struct StepLogits {
    int64_t num_rows = 0;
    std::span<const float> logits;  // [num_rows, vocab_size]
    std::span<const float> maxima;  // [num_rows, num_maxima(vocab_size)]
  };
  // A sequence in the step: its logits begin at first_row.
  struct StepSequence {
    StepPlan::Entry entry;
    int64_t first_row = 0;
    int64_t first_position = 0;  // the first row's, of the sequence
    int64_t num_rows = 0;
    int64_t mask = -1;  // into masks_
    // What advance() found:
    int64_t num_computed = 0;  // of the entry's tokens, those that stand: all but wrong drafts
    std::vector<Output> outputs;
  };

  void take_inbox(std::vector<Output>& outputs);
  void expire(EngineClock::time_point now, std::vector<Output>& outputs);
  void end(RequestId id, std::optional<int> index, FinishReason reason, const std::string& error,
           std::vector<Output>& outputs);
  void forget(Sequence& sequence);
  void leave_queue(int64_t prompt_size);
  static RequestTimes final_times(const Sequence& sequence);

  void propose_drafts();
  void observe_drafts(const std::vector<StepSequence>& steps, double seconds);
  void begin(Sequence& sequence, EngineClock::time_point now);
  std::vector<StepSequence> prepare(const StepPlan& plan, EngineClock::time_point now, ForwardBatch& batch);
  void start_masks(std::vector<StepSequence>& steps);
  void forward(const ForwardBatch& batch, StepRecord* record);
  int64_t count_experts(int64_t num_tokens);
  // Rows of the workspace where the host reads them: in place, or in `copy`.
  std::span<const float> host_rows(const Tensor& rows, std::vector<float>& copy);
  void show_prompt_logits(StepSequence& step, std::span<const float> logits, std::span<const float> hidden);
  void advance(StepSequence& step, const StepLogits& step_logits, Sampler& sampler);
  static void fail(StepSequence& step, std::string error);
  static bool append(Sequence& sequence, int32_t token, std::optional<TokenLogprobs> logprobs,
                     std::vector<Output>& outputs);
  EngineLoad finish(std::vector<StepSequence>& steps, std::vector<Output>& outputs);
  void update_load(const EngineLoad& added);

  LoadedModel model_;
  Backend& backend_;
  EngineOptions options_;
  KvPages pages_;
  std::unique_ptr<KvPool> pool_;
  Workspace workspace_;
  Scheduler scheduler_;
  std::vector<Sampler> samplers_;  // one for each host thread
  DraftGain draft_gain_;
  MaskWorker mask_worker_;
  std::vector<MaskWorker::Job> masks_;  // of this step
  std::vector<float> host_logits_;      // where the backend's cannot be read in place
  std::vector<float> host_maxima_;
  std::vector<float> host_hidden_;
  std::unordered_map<RequestId, ActiveRequest> requests_;
  DeadlineQueue deadlines_;
  bool skip_prompts_ = false;

  mutable std::mutex mutex_;  // guards what follows
  Inbox inbox_;
  EngineLoad load_;
  bool has_work_ = false;  // requests_ is not empty
};

}  // namespace gossamer
