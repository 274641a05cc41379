#include "server/call_response.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/check.h"

namespace gossamer {
namespace {

// Why a sequence ended that neither the model nor a limit ended.
ApiError failure(const Output& output) {
  if (output.finish_reason == FinishReason::kCancelled)
    return to_api_error({RequestErrorKind::kCancelled, "the request was cancelled"});
  if (output.finish_reason == FinishReason::kDeadline)
    return {.status = 408, .message = output.error, .type = "timeout_error", .code = "deadline_exceeded"};
  return to_api_error({RequestErrorKind::kInternal, output.error});
}

void merge_times(const RequestTimes& times, CallTimes& all) {
  all.queue_seconds = std::max(all.queue_seconds, times.queue_seconds);
  all.prefill_seconds = std::max(all.prefill_seconds, times.prefill_seconds);
  all.decode_seconds = std::max(all.decode_seconds, times.decode_seconds);
  all.preemptions += times.preemptions;
  all.drafted_tokens += times.drafted_tokens;
  all.accepted_tokens += times.accepted_tokens;
}

}  // namespace

CallResponse::CallResponse(const Tokenizer& tokenizer, ResponseOptions options)
    : tokenizer_(tokenizer), options_(std::move(options)), prompts_(options_.prompts.size()) {
  num_unfinished_ = prompts_.size() * static_cast<std::size_t>(options_.best_of);
  choices_.reserve(num_unfinished_);
  for (std::size_t i = 0; i < num_unfinished_; ++i) {
    ChoiceOptions choice = options_.choice;
    choice.call_id_prefix = fmt::format("call_{}_{}_", options_.id, i);
    choices_.emplace_back(tokenizer, std::move(choice));
  }
}

bool CallResponse::add(std::size_t prompt, const Output& output) {
  GOSSAMER_CHECK_LT(prompt, prompts_.size());
  Choice& choice = choices_.at(prompt * static_cast<std::size_t>(options_.best_of) +
                               static_cast<std::size_t>(output.index));
  // The prompt is the same for all its sequences.
  if (output.index == 0) {
    std::vector<TokenLogprobs>& logprobs = prompts_[prompt].logprobs;
    logprobs.insert(logprobs.end(), output.prompt_logprobs.begin(), output.prompt_logprobs.end());
    if (output.finish_reason) prompts_[prompt].cached_tokens = output.times.cached_tokens;
  }
  const bool was_finished = choice.finished();  // then its end is the cancellation that was asked for
  const bool answers = !output.finish_reason || output.finish_reason == FinishReason::kStop ||
                       output.finish_reason == FinishReason::kLength;
  if (answers) {
    choice.add(output);
  } else if (!was_finished) {
    fail(failure(output));
  }
  if (output.finish_reason) {
    merge_times(output.times, times_);
    --num_unfinished_;
    if (num_unfinished_ == 0 && !error_) on_complete();
  }
  return choice.finished() && !was_finished && !output.finish_reason;
}

void CallResponse::fail(ApiError error) {
  if (!error_) error_ = std::move(error);
}

TokenUsage CallResponse::usage() const {
  TokenUsage usage;
  for (const std::vector<int32_t>& prompt : options_.prompts)
    usage.prompt_tokens += static_cast<int64_t>(prompt.size());
  for (const Prompt& prompt : prompts_) usage.cached_tokens += prompt.cached_tokens;
  for (const Choice& choice : choices_) {
    usage.completion_tokens += static_cast<int64_t>(choice.token_ids().size());
    usage.reasoning_tokens += choice.num_reasoning_tokens();
  }
  return usage;
}

HarmonyRecoveryCounts CallResponse::recoveries() const {
  HarmonyRecoveryCounts counts;
  for (const Choice& choice : choices_) counts.add(choice.recoveries());
  return counts;
}

std::vector<std::size_t> CallResponse::best_choices(std::size_t prompt) const {
  std::vector<std::size_t> indices(static_cast<std::size_t>(options_.best_of));
  std::iota(indices.begin(), indices.end(), prompt * indices.size());
  if (options_.best_of > options_.num_choices) {
    std::stable_sort(indices.begin(), indices.end(), [this](std::size_t a, std::size_t b) {
      return choices_[a].mean_logprob() > choices_[b].mean_logprob();
    });
    indices.resize(static_cast<std::size_t>(options_.num_choices));
  }
  return indices;
}

json::object usage_json(const TokenUsage& usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}},
          {"completion_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}}};
}

json::object timings_json(const CallTimes& times) {
  const auto milliseconds = [](double seconds) { return std::round(seconds * 1e6) / 1e3; };
  return {
      {"queue_ms", milliseconds(times.queue_seconds)},   {"prefill_ms", milliseconds(times.prefill_seconds)},
      {"decode_ms", milliseconds(times.decode_seconds)}, {"preemptions", times.preemptions},
      {"drafted_tokens", times.drafted_tokens},          {"accepted_tokens", times.accepted_tokens}};
}

void append_event(std::string& out, const json::value& data, std::string_view name) {
  if (!name.empty()) out.append("event: ").append(name).append("\n");
  out.append("data: ").append(json::serialize(data)).append("\n\n");
}

json::value text_or_null(const std::string& text) {
  return text.empty() ? json::value(nullptr) : json::value(text);
}

json::array ids_json(const std::vector<int32_t>& ids) { return json::array(ids.begin(), ids.end()); }

json::array new_ids_json(const Choice& choice, std::size_t& num_told) {
  const std::vector<int32_t>& ids = choice.token_ids();
  const auto first = ids.begin() + static_cast<std::ptrdiff_t>(std::exchange(num_told, ids.size()));
  return json::array(first, ids.end());
}

}  // namespace gossamer
