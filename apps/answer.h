// One answer: a prompt through the engine, sampled ids to text as they come. Shared by generate and chat.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "text/harmony_stream.h"
#include "text/stop_strings.h"
#include "text/stream_detokenizer.h"
#include "text/tokenizer.h"

namespace gossamer::apps {

// Sampled ids to text: split by channels where the model speaks Harmony, else as it is, special tokens
// included. Stop strings end the answer proper; they are not looked for in reasoning and calls.
class AnswerReader {
 public:
  // Without a tokenizer there is never any text.
  AnswerReader(const Tokenizer* tokenizer, bool harmony, const std::vector<std::string>& stops);

  std::vector<HarmonyDelta> push(int32_t id);
  std::vector<HarmonyDelta> flush();

  // A stop string was met: nothing more will come.
  bool stopped() const { return stops_.found(); }
  bool is_harmony() const { return harmony_.has_value(); }

 private:
  std::vector<HarmonyDelta> through_stops(std::vector<HarmonyDelta> deltas);

  std::optional<HarmonyStream> harmony_;
  std::optional<StreamDetokenizer> plain_;
  StopStrings stops_;
  HarmonyDelta last_answer_;  // where text that the stop strings held back belongs
};

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
