// What is asked of an engine and what it gives: token ids only.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/sampler.h"
#include "engine/token_constraint.h"

namespace gossamer {

using RequestId = int64_t;
using EngineClock = std::chrono::steady_clock;

// Logits [vocab_size] and the final norm's output [hidden_dim] of one prompt position; valid during the call.
using LogitsSink =
    std::function<void(int64_t position, std::span<const float> logits, std::span<const float> hidden)>;

// A moment that has passed ends the request with kDeadline. Absent: none.
struct Deadlines {
  std::optional<EngineClock::time_point> start;  // leaves the queue
  std::optional<EngineClock::time_point> first_token;
  std::optional<EngineClock::time_point> end;
};

inline constexpr int kMaxSequencesPerRequest = 128;

struct Request {
  std::vector<int32_t> prompt;
  int64_t max_new_tokens = 0;  // 0: only the prompt is computed
  int64_t min_new_tokens = 0;  // before so many, no stop token is sampled where the constraint allows another
  int num_sequences = 1;       // answers to the same prompt; the seed of answer i is sampling.seed + i
  SamplingParams sampling;
  std::vector<int32_t> stop_token_ids;  // sampled tokens that end a sequence; they are part of the output
  // Log-probabilities with each token: -1 none, else of the token itself and of so many most likely ones.
  int top_logprobs = -1;
  int prompt_logprobs = -1;     // the same for the prompt's tokens, from the second on
  LogitsSink on_prompt_logits;  // when set: called for every prompt position, in order
  // Makes each sequence its own, when set; called by submit().
  std::function<std::unique_ptr<TokenConstraint>()> make_constraint;
  // Lower goes first. A level is worth kPrioritySeconds of waiting, so that nobody waits for ever.
  int priority = 0;
  Deadlines deadlines;
  // Requests with different ones never share cached prefixes (tenants; adapters).
  std::string cache_salt;
};

struct ModelInfo;

// Why this model cannot run the request with sequences of at most `max_model_len` tokens: an id out of range,
// an empty or too long prompt, a parameter out of range. Nothing when it can.
std::optional<RequestError> check_request(const Request& request, const ModelInfo& info,
                                          int64_t max_model_len);

// One token's natural log-probability under the model itself, before any sampling parameter.
struct TokenLogprobs {
  struct Entry {
    int32_t id = 0;
    float logprob = 0.0F;
  };
  Entry token;
  int64_t rank = 0;        // how many tokens are more likely
  std::vector<Entry> top;  // most likely first; ties: the lower id first
};

enum class FinishReason {
  kStop,       // a stop token was sampled
  kLength,     // max_new_tokens or max_model_len was reached
  kCancelled,  // cancel() was called
  kDeadline,   // one of Deadlines passed; Output::error says which
  kError,      // see Output::error
};

// Where a request's time went; complete with its finish reason.
struct RequestTimes {
  double queue_seconds = 0.0;    // until its first step
  double prefill_seconds = 0.0;  // from there to the first token
  double decode_seconds = 0.0;   // from there to the last
  int64_t cached_tokens = 0;     // of the prompt: keys and values that were there already
  int64_t preemptions = 0;       // how often its pages were given to others
  int64_t drafted_tokens = 0;    // by speculation
  int64_t accepted_tokens = 0;   // of those
};

// What a step gave one sequence: a token, an end, or both; or log-probabilities of prompt tokens. In order.
struct Output {
  RequestId id = 0;
  int index = 0;  // of the request's num_sequences
  std::optional<int32_t> token;
  std::optional<TokenLogprobs> logprobs;       // of the token
  std::vector<TokenLogprobs> prompt_logprobs;  // of the next prompt tokens, from the second on
  std::optional<FinishReason> finish_reason;
  std::string error;
  RequestTimes times;  // with finish_reason
};

}  // namespace gossamer
