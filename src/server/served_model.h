// ServedModel: what the endpoints must know of the model behind them. Made once by apps/, read by every
// request.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/sampler.h"
#include "text/chat_template.h"
#include "text/harmony.h"
#include "text/tokenizer.h"

namespace gossamer {

class GrammarCache;

struct ServedModel {
  std::vector<std::string> names;        // that requests may call it by; at least one, the first is told
  const Tokenizer* tokenizer = nullptr;  // outlives this
  // Of this tokenizer; outlives this. nullptr: no constrained decoding, and what needs it is refused.
  GrammarCache* grammars = nullptr;
  bool has_chat_form = false;  // conversations become prompts by Harmony
  // By this where not by Harmony; outlives this. nullptr: no conversations.
  const ChatTemplate* chat_template = nullptr;
  std::string chat_template_problem;  // why the one that the model has is not used; empty where it has none
  int64_t vocab_size = 0;
  int64_t max_model_len = 0;
  // Where a request is silent.
  SamplingParams sampling;
  ReasoningEffort reasoning_effort = ReasoningEffort::kMedium;
  std::optional<std::string> date;  // YYYY-MM-DD, that the model is told
  std::vector<int32_t> eos_ids;     // end an answer unless the request ignores them
};

}  // namespace gossamer
