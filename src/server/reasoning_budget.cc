#include "server/reasoning_budget.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace gossamer {

ReasoningBudget::ReasoningBudget(std::shared_ptr<const GrammarMasks> with_reasoning,
                                 std::shared_ptr<const GrammarMasks> without_reasoning,
                                 const HarmonyTokens& tokens, int64_t num_tokens)
    : masks_(with_reasoning),
      with_reasoning_(std::move(with_reasoning)),
      without_reasoning_(std::move(without_reasoning)),
      tokens_(tokens) {
  state_.num_left = num_tokens;
}

// The grammar has made sure that the format is kept to.
void ReasoningBudget::take(int32_t token) {
  before_.push_back(state_);
  if (before_.size() > kMaxLookAhead) before_.pop_front();
  taken_.push_back(token);
  if (token == tokens_.start || token == tokens_.channel) {
    state_.part = token == tokens_.start ? Part::kRole : Part::kChannel;
    state_.name.clear();
  } else if (token == tokens_.message) {
    state_.part = Part::kText;
    state_.is_reasoning = state_.name.starts_with("analysis");
  } else if (tokens_.ends_message(token)) {
    state_.is_reasoning = false;
  } else if (state_.part == Part::kText) {
    if (state_.is_reasoning) --state_.num_left;
  } else {
    state_.name += masks_->vocabulary().tokens().of(token);
    if (state_.part == Part::kRole && state_.name == "assistant" && state_.num_left <= 0 && !state_.spent_at)
      state_.spent_at = taken_.size();
  }
}

// Forgets tokens that are not at their place in `output` any more.
void ReasoningBudget::go_back_to(std::span<const int32_t> output) {
  const auto differs = std::mismatch(taken_.begin(), taken_.end(), output.begin(), output.end());
  const auto num_shared = static_cast<std::size_t>(differs.second - output.begin());
  while (taken_.size() > num_shared) {
    GOSSAMER_CHECK(!before_.empty());
    state_ = std::move(before_.back());
    before_.pop_back();
    taken_.pop_back();
  }
}

std::string ReasoningBudget::fill_mask(std::span<const int32_t> output, TokenMask mask) {
  go_back_to(output);
  while (taken_.size() < output.size()) take(output[taken_.size()]);
  if (state_.spent_at) return without_reasoning_.fill_mask(output.subspan(*state_.spent_at), mask);
  std::string error = with_reasoning_.fill_mask(output, mask);
  // Within a character the message cannot end yet.
  if (error.empty() && state_.is_reasoning && state_.num_left <= 0 && is_allowed(mask, tokens_.end)) {
    std::fill(mask.begin(), mask.end(), 0);
    mask[static_cast<std::size_t>(tokens_.end) / 64] |= uint64_t{1} << (tokens_.end % 64);
  }
  return error;
}

}  // namespace gossamer
