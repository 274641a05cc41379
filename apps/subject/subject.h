// Subject: the model that eval and verify question, as they see it: an engine in this process
// (engine_subject.h) or an OpenAI-compatible endpoint (http_subject.h), since everything here is something
// that /v1/chat/completions, /v1/completions and /tokenize give. open_subject.h opens either.
//
// Errors are kInvalid or kInternal where this question went wrong, and kOverloaded where whoever is asked
// cannot answer, not now or not such questions: the next will fare no better.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "engine/request.h"

namespace gossamer::apps {

struct CompletionQuestion {
  std::string prompt;
  bool chat = false;             // as a user's message; else the text that is gone on with
  int64_t max_new_tokens = 0;    // reasoning included
  bool stop_at_newline = false;  // from the second token on
  std::string cache_salt = {};   // prompts with different ones share no cached prefix
};

struct CompletionAnswer {
  std::string text;  // in a chat: of the final answer
  std::string reasoning;
  std::string finish_reason;  // "stop" or "length"
  int64_t num_prompt_tokens = 0;
  int64_t num_tokens = 0;           // sampled
  std::vector<int32_t> token_ids;   // the same; empty where an endpoint does not tell them
  std::vector<int32_t> prompt_ids;  // as the model saw it; empty likewise
  int64_t num_cached_tokens = -1;   // of the prompt, computed before; -1: not told
  double seconds_to_first_token = 0.0;
  double seconds = 0.0;
};

struct LikelihoodQuestion {
  std::string context;
  std::vector<std::string> continuations;  // tokenised together with the context, as lm-eval does it
};

struct LikelihoodAnswer {
  std::vector<double> logprobs;  // natural, of each continuation as a whole
  int64_t num_context_tokens = 0;
  int64_t num_dropped_tokens = 0;  // at the context's beginning, where it is too long for the model
};

// Every method may be called from several threads at once; those that ask the model wait for the answer, so
// that as many threads as there are make a batch.
class Subject {
 public:
  virtual ~Subject() = default;

  // What its predictions depend on: model, precision, instructions.
  virtual json::object identity() const = 0;
  virtual int64_t max_model_len() const = 0;
  virtual bool has_chat_form() const = 0;
  virtual std::vector<int32_t> encode(std::string_view text) const = 0;
  virtual std::string decode(std::span<const int32_t> ids) const = 0;
  // What begins a document, for models that want one (<|endoftext|>).
  virtual int32_t prefix_token() const = 0;

  // Everything below waits for this, once: an engine loads its weights, showing progress. Throws Error.
  virtual void load() {}

  // Greedy.
  virtual Result<CompletionAnswer> complete(const CompletionQuestion& question) = 0;
  virtual Result<LikelihoodAnswer> loglikelihood(const LikelihoodQuestion& question) = 0;
  // The natural log-probability of each token but the first, given those before it, and of the `num_top` most
  // likely ones in its place.
  virtual Result<std::vector<TokenLogprobs>> score_tokens(std::span<const int32_t> ids, int num_top) = 0;
  // The final norm's output at the last of the tokens. [hidden_dim]
  virtual Result<std::vector<float>> last_hidden(std::span<const int32_t> ids) = 0;

  // Whether read_logits() has them: of a model in this process.
  virtual bool gives_logits() const { return false; }
  // Has the model read the tokens; `sink` sees the logits and the final norm's output at each of them, in
  // order, on the engine's thread. Nothing, or what went wrong.
  virtual std::optional<RequestError> read_logits(std::span<const int32_t> /*ids*/,
                                                  const LogitsSink& /*sink*/) {
    return RequestError{.kind = RequestErrorKind::kInvalid, .message = "an endpoint gives no logits"};
  }

  // From now on every question, waiting ones too, has kCancelled for an answer.
  virtual void stop() = 0;
};

}  // namespace gossamer::apps
