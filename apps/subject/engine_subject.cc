#include "apps/subject/engine_subject.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "apps/answer.h"
#include "apps/subject/likelihood_tokens.h"
#include "base/error.h"

namespace gossamer::apps {
namespace {

// Lets a sequence say these tokens and no others: their log-probabilities are the model's own, and unlike
// Request::prompt_logprobs, which needs the logits of a whole prompt, this takes the prompt from the prefix
// cache.
class ForcedTokens : public TokenConstraint {
 public:
  explicit ForcedTokens(std::vector<int32_t> tokens) : tokens_(std::move(tokens)) {}

  std::string fill_mask(std::span<const int32_t> output, TokenMask mask) override {
    if (output.size() >= tokens_.size()) return "nothing may follow";
    const auto id = static_cast<std::size_t>(tokens_[output.size()]);
    mask[id / 64] |= uint64_t{1} << (id % 64);
    return {};
  }
  bool is_active(std::span<const int32_t> /*output*/) const override { return true; }

 private:
  std::vector<int32_t> tokens_;
};

SamplingParams greedy() { return {.temperature = 0.0F}; }

const char* name_of(FinishReason reason) { return reason == FinishReason::kLength ? "length" : "stop"; }

RequestError cancelled() { return {.kind = RequestErrorKind::kCancelled, .message = "interrupted"}; }

}  // namespace

EngineSubject::EngineSubject(Session& session, ChatOptions chat, NotLoaded)
    : session_(session), tokenizer_(session.require_tokenizer()), chat_(std::move(chat)) {}

EngineSubject::EngineSubject(Session& session, ChatOptions chat)
    : EngineSubject(session, std::move(chat), NotLoaded{}) {
  begin();
}

json::object EngineSubject::identity_of(const Session& session, const ChatOptions& chat) {
  const ModelOptions& options = session.options();
  return {{"model", options.model},
          {"architecture", session.info().architecture},
          {"dtype", options.precision.dtype},
          {"weights", options.precision.weights},
          {"activations", options.precision.activations},
          {"kv_cache_dtype", options.precision.kv_cache_dtype},
          {"smoothing", options.precision.smoothing},
          {"system", chat.system},
          {"reasoning_effort", chat.reasoning_effort.value_or("medium")},
          {"date", chat.date.value_or("")}};
}

std::string EngineSubject::decode(std::span<const int32_t> ids) const {
  return tokenizer_.decode(ids, {.skip_special = true});
}

int32_t EngineSubject::prefix_token() const {
  if (const auto id = tokenizer_.special_id("<|endoftext|>")) return *id;
  const std::vector<int32_t>& ends = session_.defaults().eos_ids;
  if (!ends.empty()) return ends.front();
  throw Error("{}: expected a token that ends texts (eos_token_id), found none", session_.path().string());
}

Result<std::vector<FinishReason>> EngineSubject::ask(Request request, const TokenSink& sink) {
  struct State {
    std::mutex mutex;
    std::condition_variable ended;
    int num_left = 0;
    std::optional<RequestError> error;
    std::vector<FinishReason> reasons;
  };
  const auto state = std::make_shared<State>();
  state->num_left = request.num_sequences;
  state->reasons.resize(static_cast<std::size_t>(request.num_sequences));
  // `sink` refers to the caller's frame, which waits until the last output.
  const auto on_output = [state, &sink](const Output& output) {
    const std::lock_guard lock(state->mutex);
    sink(output);
    if (!output.finish_reason) return;
    state->reasons[static_cast<std::size_t>(output.index)] = *output.finish_reason;
    if (*output.finish_reason == FinishReason::kError)
      state->error = RequestError{.kind = RequestErrorKind::kInternal, .message = output.error};
    if (*output.finish_reason == FinishReason::kCancelled) state->error = cancelled();
    if (--state->num_left == 0) state->ended.notify_one();
  };
  RequestId id = 0;
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return cancelled();
    const Result<RequestId> submitted = engine_->submit(std::move(request), on_output);
    if (!submitted.ok()) return submitted.error();
    id = submitted.value();
    running_.insert(id);
  }
  {
    std::unique_lock lock(state->mutex);
    state->ended.wait(lock, [&] { return state->num_left == 0; });
  }
  const std::lock_guard lock(mutex_);
  running_.erase(id);
  if (state->error) return *state->error;
  return state->reasons;
}

void EngineSubject::stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  for (const RequestId id : running_) engine_->cancel(id);
}

Result<CompletionAnswer> EngineSubject::complete(const CompletionQuestion& question) {
  Request request;
  if (question.chat) {
    std::vector<HarmonyMessage> messages = opening_messages(chat_);
    messages.push_back(user_message(question.prompt));
    request.prompt = render_prompt(tokenizer_, messages);
  } else {
    request.prompt = tokenizer_.encode(question.prompt);
  }
  request.max_new_tokens = question.max_new_tokens;
  request.sampling = greedy();
  request.cache_salt = question.cache_salt;
  request.stop_token_ids = session_.defaults().eos_ids;
  if (question.stop_at_newline) {
    request.min_new_tokens = 1;
    const std::vector<int32_t> newline = tokenizer_.encode("\n");
    if (!newline.empty()) request.stop_token_ids.push_back(newline.back());
  }
  if (const int64_t room = max_model_len() - static_cast<int64_t>(request.prompt.size()); room <= 0) {
    return RequestError{.kind = RequestErrorKind::kInvalid,
                        .message = fmt::format("the prompt has {} tokens, the model takes {}",
                                               request.prompt.size(), max_model_len())};
  }
  CompletionAnswer answer;
  answer.num_prompt_tokens = static_cast<int64_t>(request.prompt.size());
  answer.prompt_ids = request.prompt;
  const Clock::time_point start = Clock::now();
  std::optional<AnswerReader> reader;
  if (question.chat) reader.emplace(&tokenizer_, true, std::vector<std::string>());
  const auto take = [&answer](const std::vector<HarmonyDelta>& deltas) {
    for (const HarmonyDelta& delta : deltas) {
      if (delta.part == HarmonyPart::kAnswer) answer.text += delta.text;
      if (delta.part == HarmonyPart::kReasoning) answer.reasoning += delta.text;
    }
  };
  const Result<std::vector<FinishReason>> ended = ask(std::move(request), [&](const Output& output) {
    if (output.finish_reason) answer.num_cached_tokens = output.times.cached_tokens;
    if (!output.token) return;
    if (++answer.num_tokens == 1) answer.seconds_to_first_token = seconds_since(start);
    answer.token_ids.push_back(*output.token);
    if (reader) take(reader->push(*output.token));
  });
  if (!ended.ok()) return ended.error();
  answer.seconds = seconds_since(start);
  answer.finish_reason = name_of(ended.value().front());
  if (reader) {
    take(reader->flush());
  } else {  // the token that ends it is no part of it
    const bool is_cut = ended.value().front() == FinishReason::kLength;
    answer.text = decode(std::span(answer.token_ids).first(answer.token_ids.size() - (is_cut ? 0 : 1)));
  }
  return answer;
}

// Continuations of the same length after the same context: one request, a sequence for each.
std::optional<RequestError> EngineSubject::score_group(const std::vector<int32_t>& context,
                                                       const std::vector<std::vector<int32_t>>& continuations,
                                                       std::vector<double>& logprobs) {
  Request request;
  request.prompt = context;
  request.max_new_tokens = static_cast<int64_t>(continuations.front().size());
  request.min_new_tokens = request.max_new_tokens;
  request.num_sequences = static_cast<int>(continuations.size());
  request.sampling = greedy();
  request.top_logprobs = 0;
  // Called once for each sequence, in their order.
  request.make_constraint = [&continuations, next = std::make_shared<std::size_t>(0)] {
    return std::make_unique<ForcedTokens>(continuations[(*next)++]);
  };
  logprobs.assign(continuations.size(), 0.0);
  std::vector<std::size_t> num_tokens(continuations.size());
  const Result<std::vector<FinishReason>> ended = ask(std::move(request), [&](const Output& output) {
    if (!output.token || !output.logprobs) return;
    const auto index = static_cast<std::size_t>(output.index);
    GOSSAMER_CHECK_EQ(*output.token, continuations[index][num_tokens[index]]);
    ++num_tokens[index];
    logprobs[index] += static_cast<double>(output.logprobs->token.logprob);
  });
  if (!ended.ok()) return ended.error();
  return std::nullopt;
}

Result<LikelihoodAnswer> EngineSubject::loglikelihood(const LikelihoodQuestion& question) {
  const Result<LikelihoodTokens> split = split_likelihood(*this, question);
  if (!split.ok()) return split.error();
  const LikelihoodTokens& tokens = split.value();
  LikelihoodAnswer answer = tokens.answer;
  // By context and length: those of a group share a request.
  std::map<std::pair<std::vector<int32_t>, std::size_t>, std::vector<std::size_t>> groups;
  for (std::size_t i = 0; i < tokens.parts.size(); ++i)
    groups[{tokens.parts[i].context, tokens.parts[i].continuation.size()}].push_back(i);
  for (const auto& [key, members] : groups) {
    std::vector<std::vector<int32_t>> continuations;
    for (const std::size_t member : members) continuations.push_back(tokens.parts[member].continuation);
    std::vector<double> logprobs;
    if (auto error = score_group(key.first, continuations, logprobs)) return *error;
    for (std::size_t i = 0; i < members.size(); ++i) answer.logprobs[members[i]] = logprobs[i];
  }
  return answer;
}

Result<std::vector<TokenLogprobs>> EngineSubject::score_tokens(std::span<const int32_t> ids, int num_top) {
  Request request;
  request.prompt.assign(ids.begin(), ids.end());
  request.prompt_logprobs = num_top;
  std::vector<TokenLogprobs> scores;
  const Result<std::vector<FinishReason>> ended = ask(std::move(request), [&](const Output& output) {
    scores.insert(scores.end(), output.prompt_logprobs.begin(), output.prompt_logprobs.end());
  });
  if (!ended.ok()) return ended.error();
  GOSSAMER_CHECK_EQ(scores.size() + 1, ids.size());
  return scores;
}

Result<std::vector<float>> EngineSubject::last_hidden(std::span<const int32_t> ids) {
  std::vector<float> last;
  const auto error = read_logits(
      ids, [&](int64_t position, std::span<const float> /*logits*/, std::span<const float> hidden) {
        if (position + 1 == static_cast<int64_t>(ids.size())) last.assign(hidden.begin(), hidden.end());
      });
  if (error) return *error;
  return last;
}

std::optional<RequestError> EngineSubject::read_logits(std::span<const int32_t> ids, const LogitsSink& sink) {
  Request request;
  request.prompt.assign(ids.begin(), ids.end());
  request.on_prompt_logits = sink;
  const Result<std::vector<FinishReason>> ended = ask(std::move(request), [](const Output& /*output*/) {});
  if (!ended.ok()) return ended.error();
  return std::nullopt;
}

}  // namespace gossamer::apps
