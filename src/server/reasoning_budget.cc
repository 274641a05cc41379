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
      tokens_(tokens),
      num_left_(num_tokens) {}

// The grammar has made sure that the format is kept to.
void ReasoningBudget::take(int32_t token) {
  ++num_taken_;
  if (token == tokens_.start || token == tokens_.channel) {
    part_ = token == tokens_.start ? Part::kRole : Part::kChannel;
    name_.clear();
  } else if (token == tokens_.message) {
    part_ = Part::kText;
    is_reasoning_ = name_.starts_with("analysis");
  } else if (tokens_.ends_message(token)) {
    is_reasoning_ = false;
  } else if (part_ == Part::kText) {
    if (is_reasoning_) --num_left_;
  } else {
    name_ += masks_->vocabulary().tokens().of(token);
    if (part_ == Part::kRole && name_ == "assistant" && num_left_ <= 0) spent_at_ = num_taken_;
  }
}

std::string ReasoningBudget::fill_mask(std::span<const int32_t> output, TokenMask mask) {
  GOSSAMER_CHECK_LE(num_taken_, output.size());
  while (!spent_at_ && num_taken_ < output.size()) take(output[num_taken_]);
  if (spent_at_) return without_reasoning_.fill_mask(output.subspan(*spent_at_), mask);
  std::string error = with_reasoning_.fill_mask(output, mask);
  // Within a character the message cannot end yet.
  if (error.empty() && is_reasoning_ && num_left_ <= 0 && is_allowed(mask, tokens_.end)) {
    std::fill(mask.begin(), mask.end(), 0);
    mask[static_cast<std::size_t>(tokens_.end) / 64] |= uint64_t{1} << (tokens_.end % 64);
  }
  return error;
}

}  // namespace gossamer
