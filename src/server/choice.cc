#include "server/choice.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace gossamer {
namespace {

// Messages of one kind follow each other as paragraphs.
void append_paragraph(const HarmonyDelta& delta, int& last_message, std::string& text) {
  if (delta.message != last_message && !text.empty()) text += "\n\n";
  last_message = delta.message;
  text += delta.text;
}

}  // namespace

Choice::Choice(const Tokenizer& tokenizer, ChoiceOptions options)
    : reader_(&tokenizer,
              {.harmony = options.harmony, .skip_special = options.skip_special, .stops = options.stops}),
      options_(std::move(options)) {}

void Choice::add(const Output& output) {
  if (finished()) return;
  if (output.token) {
    token_ids_.push_back(*output.token);
    if (options_.logprobs) {
      logprobs_.push_back(output.logprobs.value_or(TokenLogprobs{.token = {.id = *output.token}}));
      logprob_sum_ += static_cast<double>(logprobs_.back().token.logprob);
    }
    take(reader_.push(*output.token, output.finish_reason == FinishReason::kStop));
  }
  if (output.finish_reason && !reader_.stopped()) take(reader_.flush());
  if (output.finish_reason || reader_.stopped()) finish(output);
}

void Choice::take(const std::vector<HarmonyDelta>& deltas) {
  for (const HarmonyDelta& delta : deltas) append(delta);
  for (const TokenPlace& place : reader_.take_places()) {
    if (place.part == HarmonyPart::kReasoning) ++num_reasoning_tokens_;
    if (place.part == HarmonyPart::kAnswer && options_.logprobs) held_tokens_.push_back(place);
  }
  while (!held_tokens_.empty() && held_tokens_.front().begin < num_answer_bytes_) {
    const TokenPlace& place = held_tokens_.front();
    content_tokens_.push_back(
        {.logprobs = logprobs_.at(static_cast<std::size_t>(place.token)), .begin = place.begin});
    held_tokens_.pop_front();
  }
}

void Choice::append(const HarmonyDelta& delta) {
  if (delta.part == HarmonyPart::kAnswer) num_answer_bytes_ += delta.text.size();
  if (delta.part == HarmonyPart::kReasoning) return append_paragraph(delta, reasoning_message_, reasoning_);
  if (std::optional<std::string> function = called_function(delta))
    return append_call(delta, *std::move(function));
  append_paragraph(delta, content_message_, content_);
}

// Nothing for text that is no call, and for calls of what nobody declared: those are shown to the user, who
// can make more of them than a client of a call it did not allow.
std::optional<std::string> Choice::called_function(const HarmonyDelta& delta) const {
  if (delta.part != HarmonyPart::kToolCall) return std::nullopt;
  constexpr std::string_view kPrefix = "functions.";
  std::string_view name = delta.recipient;
  if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
  const auto it = std::find(options_.functions.begin(), options_.functions.end(), name);
  return it == options_.functions.end() ? std::nullopt : std::optional<std::string>(*it);
}

void Choice::append_call(const HarmonyDelta& delta, std::string function) {
  if (delta.message != call_message_) {
    call_message_ = delta.message;
    tool_calls_.push_back({.id = fmt::format("{}{}", options_.call_id_prefix, tool_calls_.size()),
                           .function = std::move(function),
                           .arguments = {}});
  }
  tool_calls_.back().arguments += delta.text;
}

void Choice::finish(const Output& output) {
  const bool at_stop_token = output.finish_reason == FinishReason::kStop && !reader_.stopped();
  const bool stopped = reader_.stopped() || at_stop_token;
  finish_reason_ = !stopped ? "length" : tool_calls_.empty() ? "stop" : "tool_calls";
  if (is_plain() && at_stop_token && options_.logprobs)
    content_tokens_.push_back({.logprobs = logprobs_.back(), .begin = content_.size()});
}

double Choice::mean_logprob() const {
  return token_ids_.empty() ? 0.0 : logprob_sum_ / static_cast<double>(token_ids_.size());
}

ChoiceDelta Choice::delta_since(ChoiceCursor& cursor) const {
  ChoiceDelta delta;
  delta.content = content_.substr(cursor.content);
  delta.reasoning = reasoning_.substr(cursor.reasoning);
  delta.first_token = cursor.tokens;
  delta.finished = finished() && !cursor.finished;
  // More of the call that was being made, then further ones.
  for (std::size_t i = cursor.calls == 0 ? 0 : cursor.calls - 1; i < tool_calls_.size(); ++i) {
    const bool is_new = i >= cursor.calls;
    std::string arguments = tool_calls_[i].arguments.substr(is_new ? 0 : cursor.arguments);
    if (is_new || !arguments.empty())
      delta.calls.push_back({.index = i, .is_new = is_new, .arguments = std::move(arguments)});
  }
  cursor = {.content = content_.size(),
            .reasoning = reasoning_.size(),
            .tokens = content_tokens_.size(),
            .calls = tool_calls_.size(),
            .arguments = tool_calls_.empty() ? 0 : tool_calls_.back().arguments.size(),
            .finished = finished()};
  return delta;
}

}  // namespace gossamer
