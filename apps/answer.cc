#include "apps/answer.h"

#include <fmt/format.h>

#include <utility>

#include "apps/session.h"
#include "base/error.h"

namespace gossamer::apps {
namespace {

std::string seconds_text(double seconds) {
  return seconds < 0.1 ? fmt::format("{:.2f} ms", seconds * 1e3) : fmt::format("{:.2f} s", seconds);
}

std::string rate_text(std::optional<double> rate) {
  return rate ? fmt::format(" ({:.1f} tokens/s)", *rate) : std::string();
}

void add_to_messages(const HarmonyDelta& delta, int& last_message, std::vector<AnswerMessage>& messages) {
  if (messages.empty() || delta.message != last_message) {
    messages.push_back({.part = delta.part,
                        .channel = delta.header.channel,
                        .recipient = delta.header.recipient,
                        .text = {}});
    last_message = delta.message;
  }
  messages.back().text += delta.text;
}

}  // namespace

AnswerReader::AnswerReader(const Tokenizer* tokenizer, bool harmony, const std::vector<std::string>& stops)
    : stops_(stops) {
  if (tokenizer == nullptr) return;
  if (harmony) {
    harmony_.emplace(*tokenizer);
  } else {
    plain_.emplace(*tokenizer);
  }
}

std::vector<HarmonyDelta> AnswerReader::push(int32_t id) {
  if (harmony_) return through_stops(harmony_->push(id));
  if (plain_) return through_stops({{.text = plain_->push(id)}});
  return {};
}

std::vector<HarmonyDelta> AnswerReader::flush() {
  std::vector<HarmonyDelta> deltas;
  if (harmony_) deltas = through_stops(harmony_->flush());
  if (plain_) deltas = through_stops({{.text = plain_->flush()}});
  if (std::string held = stops_.flush(); !held.empty()) {
    deltas.push_back(last_answer_);
    deltas.back().text = std::move(held);
  }
  return deltas;
}

std::vector<HarmonyDelta> AnswerReader::through_stops(std::vector<HarmonyDelta> deltas) {
  std::vector<HarmonyDelta> certain;
  for (HarmonyDelta& delta : deltas) {
    if (stopped()) break;
    const bool is_answer = delta.part == HarmonyPart::kAnswer;
    if (!is_answer || delta.message != last_answer_.message) {
      // No stop string reaches from one message into the next.
      if (std::string held = stops_.flush(); !held.empty()) {
        certain.push_back(last_answer_);
        certain.back().text = std::move(held);
      }
    }
    if (is_answer) {
      last_answer_ = delta;
      delta.text = stops_.push(delta.text);
    }
    // A message without text is none to show, but a call without arguments is a call.
    const bool is_new_call = delta.begins && delta.part == HarmonyPart::kToolCall;
    if (is_new_call || !delta.text.empty()) certain.push_back(std::move(delta));
  }
  return certain;
}

std::string Answer::text_of(HarmonyPart part) const {
  std::string text;
  for (const AnswerMessage& message : messages) {
    if (message.part != part) continue;
    if (!text.empty()) text += "\n\n";
    text += message.text;
  }
  return text;
}

std::optional<double> Answer::prefill_rate() const {
  if (prefill_s <= 0.0) return std::nullopt;
  return static_cast<double>(num_prompt_tokens) / prefill_s;
}

std::optional<double> Answer::decode_rate() const {
  if (decode_s <= 0.0 || token_ids.size() < 2) return std::nullopt;
  return static_cast<double>(token_ids.size() - 1) / decode_s;
}

std::string Answer::summary() const {
  return fmt::format("{} prompt token{} in {}{}, {} in {}{}", num_prompt_tokens,
                     num_prompt_tokens == 1 ? "" : "s", seconds_text(prefill_s), rate_text(prefill_rate()),
                     count_tokens(static_cast<int64_t>(token_ids.size())), seconds_text(decode_s),
                     rate_text(decode_rate()));
}

Answer run_answer(Engine& engine, Request request, AnswerReader reader, const AnswerHooks& hooks) {
  Answer answer;
  answer.num_prompt_tokens = static_cast<int64_t>(request.prompt.size());
  int last_message = 0;
  const auto take = [&](const std::vector<HarmonyDelta>& deltas) {
    for (const HarmonyDelta& delta : deltas) {
      add_to_messages(delta, last_message, answer.messages);
      if (hooks.show) hooks.show(delta);
    }
  };

  Clock::time_point since = Clock::now();
  const Result<RequestId> id = engine.submit(std::move(request));
  if (!id.ok()) throw Error("{}", id.error().message);
  while (!engine.idle()) {
    for (const Output& output : engine.step()) {
      if (output.finish_reason == FinishReason::kError) throw Error("{}", output.error);
      if (output.token) {
        if (answer.token_ids.empty()) {
          answer.prefill_s = seconds_since(since);
          since = Clock::now();
        } else {
          answer.decode_s = seconds_since(since);
        }
        answer.token_ids.push_back(*output.token);
        // The token that ends a plain answer is no part of its text.
        if (output.finish_reason != FinishReason::kStop || reader.is_harmony())
          take(reader.push(*output.token));
      }
      if (output.finish_reason && answer.finish_reason.empty()) {
        answer.finish_reason = output.finish_reason == FinishReason::kStop     ? "stop"
                               : output.finish_reason == FinishReason::kLength ? "length"
                                                                               : "cancelled";
      }
    }
    if (!answer.finish_reason.empty()) continue;
    if (reader.stopped()) {
      answer.finish_reason = "stop";
      engine.cancel(id.value());
    } else if (hooks.interrupted && hooks.interrupted()) {
      engine.cancel(id.value());
    }
  }
  take(reader.flush());
  if (reader.stopped()) answer.finish_reason = "stop";
  return answer;
}

}  // namespace gossamer::apps
