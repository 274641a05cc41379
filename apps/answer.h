// One answer: a prompt through the engine, sampled ids to text as they come. Shared by generate and chat.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "text/answer_reader.h"

namespace gossamer::apps {

// One message of an answer; an answer in plain text is one message.
struct AnswerMessage {
  HarmonyPart part = HarmonyPart::kAnswer;
  std::string channel;
  std::string recipient;
  std::string text;
};

struct Answer {
  std::vector<int32_t> token_ids;  // everything sampled, a stop token included
  std::vector<AnswerMessage> messages;
  std::string finish_reason;  // "stop", "length", "cancelled"
  int64_t num_prompt_tokens = 0;
  double prefill_s = 0.0;  // until the first token was there
  double decode_s = 0.0;   // for all others

  // All messages of a part, a blank line between them.
  std::string text_of(HarmonyPart part) const;
  // Tokens per second; nothing when there is nothing to divide.
  std::optional<double> prefill_rate() const;
  std::optional<double> decode_rate() const;
  // "12 prompt tokens in 0.10 s (120.0 tokens/s), 34 tokens in 1.00 s (33.0 tokens/s)"
  std::string summary() const;
};

struct AnswerHooks {
  std::function<void(const HarmonyDelta&)> show;
  std::function<bool()> interrupted;  // asked between steps; may be empty
};

// Runs one request to its end. Throws Error when the engine refuses or fails it.
Answer run_answer(Engine& engine, Request request, AnswerReader reader, const AnswerHooks& hooks);

}  // namespace gossamer::apps
