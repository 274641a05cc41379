// Sequence: one answer in the making. The engine owns it; the scheduler decides when it runs.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <tuple>
#include <vector>

#include "engine/drafter.h"
#include "engine/kv_pages.h"
#include "engine/request.h"

namespace gossamer {

// Who goes first: the smaller. Time of arrival, earlier by kPrioritySeconds for each level of priority, so
// that the order of two requests never changes while they wait.
struct Rank {
  EngineClock::time_point due;
  int64_t serial = 0;
  bool operator<(const Rank& other) const {
    return std::tie(due, serial) < std::tie(other.due, other.serial);
  }
};
inline constexpr std::chrono::seconds kPrioritySeconds{60};

struct Sequence {
  RequestId id = 0;
  int index = 0;  // of the request's sequences
  std::shared_ptr<const Request> request;
  Rank rank;
  uint64_t seed = 0;

  std::vector<int32_t> tokens;  // prompt, then output
  int64_t prompt_size = 0;
  int64_t num_computed = 0;       // tokens whose keys and values are in the pages
  int64_t num_prompt_scored = 0;  // prompt positions whose logits were handed out
  bool is_running = false;        // holds pages
  bool skips_prompt = false;      // Engine::skip_prompts
  SequencePages pages;
  std::vector<int32_t> draft;  // guessed to follow `tokens`; verified in the next step
  DraftLength draft_length;
  NgramIndex ngrams;
  std::unique_ptr<TokenConstraint> constraint;

  EngineClock::time_point submitted;
  EngineClock::time_point started;
  EngineClock::time_point first_token;
  RequestTimes times;

  int64_t num_known() const { return static_cast<int64_t>(tokens.size()); }
  int64_t num_to_run() const { return num_known() - num_computed; }
  int64_t num_output() const { return num_known() - prompt_size; }
  // Tokens whose keys and values it will hold at the end of its next steps: those known and the next one, but
  // none for what is sampled last, which is never computed.
  int64_t num_to_hold() const {
    const int64_t at_most = prompt_size + std::max<int64_t>(request->max_new_tokens, 1) - 1;
    return std::max(num_known(), std::min(num_known() + 1, at_most));
  }
  std::span<const int32_t> prompt() const {
    return std::span(tokens).first(static_cast<std::size_t>(prompt_size));
  }
  std::span<const int32_t> output() const {
    return std::span(tokens).subspan(static_cast<std::size_t>(prompt_size));
  }
  // Logits are wanted at every prompt position, which a cached prefix does not give.
  bool wants_prompt_logits() const {
    return request->on_prompt_logits != nullptr || request->prompt_logprobs >= 0;
  }
  bool has_begun() const { return started != EngineClock::time_point(); }
};

}  // namespace gossamer
