// Engine: turns a model into answers for many sequences at once. Token ids in, token ids out; text is left to
// others. One thread owns an engine and calls step() until idle(); submit and cancel come from the same
// thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/error.h"
#include "engine/kv_pages.h"
#include "engine/memory_plan.h"
#include "engine/sampler.h"
#include "engine/scheduler.h"
#include "model/model_folder.h"

namespace gossamer {

using RequestId = int64_t;

// Logits [vocab_size] and the final norm's output [hidden_dim] of one prompt position; valid during the call.
using LogitsSink =
    std::function<void(int64_t position, std::span<const float> logits, std::span<const float> hidden)>;

struct Request {
  std::vector<int32_t> prompt;
  int64_t max_new_tokens = 0;  // 0: only the prompt is computed (for on_prompt_logits)
  SamplingParams sampling;
  std::vector<int32_t> stop_token_ids;  // sampled tokens that end the sequence; they are part of the output
  LogitsSink on_prompt_logits;          // when set: called for every prompt position, in order
};

enum class FinishReason {
  kStop,       // a stop token was sampled
  kLength,     // max_new_tokens or max_model_len was reached
  kCancelled,  // cancel() was called
  kError,      // see Output::error
};

// What one step gave one request: a token, an end, or both.
struct Output {
  RequestId id = 0;
  std::optional<int32_t> token;
  std::optional<FinishReason> finish_reason;
  std::string error;
};

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
  int64_t num_sampled_ids =
      0;                     // ids from here on are never sampled (rows beyond the tokenizer's); 0: all are
  int64_t chunk_tokens = 0;  // the most prompt tokens of one sequence in a step; 0: limits.max_batched_tokens
};

class Engine {
 public:
  // The backend outlives the engine. Allocates everything that steps touch: pool, workspace, scratch.
  Engine(LoadedModel model, Backend& backend, const EngineOptions& options);
  ~Engine();

  const ModelInfo& info() const { return model_.model->info(); }
  const EngineOptions& options() const { return options_; }

  // Queues a request, or says why it can never run: an id out of range, an empty prompt, a prompt that with
  // one new token is longer than max_model_len (with both counts), a parameter out of range. max_new_tokens
  // is cut to what max_model_len leaves.
  Result<RequestId> submit(Request request);

  // Ends a request at once; its last Output, with kCancelled, comes with the next step. Unknown ids are
  // ignored.
  void cancel(RequestId id);

  // Runs one step over all running sequences and returns what it gave. Nothing when idle.
  std::vector<Output> step(StepRecord* record = nullptr);

  bool idle() const { return sequences_.empty() && cancelled_.empty(); }

  // For benchmarks at depths whose prompts would take too long: from here on a request's prompt but its last
  // token counts as computed, and the pages of its keys and values hold whatever they held before (zeros, or
  // another request's). Its output means nothing.
  void skip_prompts(bool skip) { skip_prompts_ = skip; }

  // Every page is owned once. Aborts otherwise; tests call it after every step, debug builds always.
  void check_integrity() const;

 private:
  struct Sequence;

  StepPlan make_plan();
  void skip_prompt(Sequence& sequence);
  void forward(const ForwardBatch& batch, StepRecord* record);
  int64_t count_experts(int64_t num_tokens);
  void download_logits(const StepPlan& plan, const ForwardBatch& batch);
  ForwardBatch make_batch(const StepPlan& plan);
  void finish_step(const StepPlan& plan, std::vector<Output>& outputs);
  void append_token(Sequence& sequence, std::span<const float> logits, std::vector<Output>& outputs);

  LoadedModel model_;
  Backend& backend_;
  EngineOptions options_;
  KvPages pages_;
  std::unique_ptr<KvPool> pool_;
  Workspace workspace_;
  Sampler sampler_;
  std::vector<float> host_logits_;                   // [max_logit_rows, vocab_size]
  std::vector<float> host_hidden_;                   // [max_logit_rows, hidden_dim]
  std::deque<std::unique_ptr<Sequence>> sequences_;  // in order of arrival
  std::vector<RequestId> cancelled_;
  RequestId next_id_ = 1;
  bool skip_prompts_ = false;
};

}  // namespace gossamer
