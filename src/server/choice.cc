#include "server/choice.h"

#include <fmt/format.h>

#include <utility>

namespace gossamer {

Choice::Choice(const Tokenizer& tokenizer, ChoiceOptions options)
    : tokenizer_(tokenizer), options_(std::move(options)), stops_(options_.stops) {
  if (options_.harmony) {
    chat_.emplace(tokenizer, options_.functions);
  } else {
    plain_.emplace(tokenizer, DecodeOptions{.skip_special = options_.skip_special});
  }
}

void Choice::add(const Output& output) {
  if (finished()) return;
  if (output.token) {
    token_ids_.push_back(*output.token);
    if (options_.logprobs) {
      logprobs_.push_back(output.logprobs.value_or(TokenLogprobs{.token = {.id = *output.token}}));
      logprob_sum_ += static_cast<double>(logprobs_.back().token.logprob);
    }
    push(*output.token, output.finish_reason == FinishReason::kStop);
  }
  if (output.finish_reason && !stops_.found()) flush();
  if (output.finish_reason || stops_.found()) finish(output);
}

// The token that ended the sequence is no part of its text; Harmony's own close a message.
void Choice::push(int32_t id, bool is_end) {
  if (chat_ && (!is_end || tokenizer_.is_special(id))) {
    for (const ChatDelta& delta : chat_->push(id)) take(delta);
  } else if (plain_ && !is_end) {
    const PlainPiece piece = plain_->push(id);
    take_content(piece.text, piece.first_token, piece.num_tokens);
  }
}

void Choice::flush() {
  if (chat_) {
    for (const ChatDelta& delta : chat_->flush()) take(delta);
  } else {
    const PlainPiece piece = plain_->flush();
    take_content(piece.text, piece.first_token, piece.num_tokens);
  }
  append_content(stops_.flush());
}

void Choice::take(const ChatDelta& delta) {
  switch (delta.kind) {
    case ChatDelta::Kind::kRole:
      return;
    case ChatDelta::Kind::kReasoning:
      begin_part(ChoicePart::Kind::kReasoning, reasoning_.size());
      reasoning_ += delta.text;
      return;
    case ChatDelta::Kind::kContent:
      return take_content(delta.text, delta.first_token, delta.num_tokens);
    case ChatDelta::Kind::kToolCall:
      begin_part(ChoicePart::Kind::kToolCall, tool_calls_.size());
      tool_calls_.push_back({.id = fmt::format("{}{}", options_.call_id_prefix, tool_calls_.size()),
                             .function = delta.text,
                             .arguments = {}});
      return;
    case ChatDelta::Kind::kArguments:
      tool_calls_.back().arguments += delta.text;
      return;
  }
}

void Choice::take_content(const std::string& text, int64_t first_token, int64_t num_tokens) {
  if (stops_.found()) return;
  for (int64_t token = first_token; options_.logprobs && token < first_token + num_tokens; ++token)
    held_tokens_.push_back({.token = token, .begin = num_content_bytes_});
  num_content_bytes_ += text.size();
  append_content(stops_.push(text));
}

void Choice::append_content(const std::string& text) {
  if (!text.empty()) begin_part(ChoicePart::Kind::kContent, content_.size());
  content_ += text;
  release_tokens(content_.size());
}

// Unless what comes belongs to the part that there is: every call is a part of its own.
void Choice::begin_part(ChoicePart::Kind kind, std::size_t begin) {
  if (parts_.empty() || parts_.back().kind != kind || kind == ChoicePart::Kind::kToolCall)
    parts_.push_back({.kind = kind, .begin = begin});
}

// Those whose text begins before `end`.
void Choice::release_tokens(std::size_t end) {
  for (; !held_tokens_.empty() && held_tokens_.front().begin < end; held_tokens_.pop_front()) {
    const HeldToken& held = held_tokens_.front();
    content_tokens_.push_back(
        {.logprobs = logprobs_.at(static_cast<std::size_t>(held.token)), .begin = held.begin});
  }
}

void Choice::finish(const Output& output) {
  const bool at_stop_token = output.finish_reason == FinishReason::kStop && !stops_.found();
  const bool was_cut = !at_stop_token && !stops_.found();
  finish_reason_ = chat_finish_reason(was_cut, static_cast<int>(tool_calls_.size()));
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
