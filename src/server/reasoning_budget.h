// ReasoningBudget: holds a sequence of Harmony to a grammar, and bounds the tokens of its reasoning: once
// they are used up, the message on the analysis channel can only end, and what follows is held to a second
// grammar, the same without reasoning. So the model itself ends its thought, the answer or the call comes as
// ever, and nothing is ever forced into an answer that has begun. Made by constraints.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/token_constraint.h"
#include "grammar/matcher.h"
#include "text/harmony_tokens.h"

namespace gossamer {

class ReasoningBudget : public TokenConstraint {
 public:
  // Both grammars begin behind "<|start|>assistant".
  ReasoningBudget(std::shared_ptr<const GrammarMasks> with_reasoning,
                  std::shared_ptr<const GrammarMasks> without_reasoning, const HarmonyTokens& tokens,
                  int64_t num_tokens);

  std::string fill_mask(std::span<const int32_t> output, TokenMask mask) override;
  bool is_active(std::span<const int32_t>) const override { return true; }

 private:
  enum class Part : uint8_t { kRole, kChannel, kText };

  // What the tokens so far have come to.
  struct State {
    Part part = Part::kRole;
    std::string name;  // the role or the channel so far
    bool is_reasoning = false;
    int64_t num_left = 0;
    // Where the second grammar begins: the beginning of the first message behind the budget.
    std::optional<std::size_t> spent_at;
  };

  void take(int32_t token);
  void go_back_to(std::span<const int32_t> output);

  std::shared_ptr<const GrammarMasks> masks_;
  GrammarConstraint with_reasoning_;
  GrammarConstraint without_reasoning_;
  HarmonyTokens tokens_;

  std::vector<int32_t> taken_;  // of the output
  State state_;
  std::deque<State> before_;  // the states before the last tokens, so many as may be taken back
};

}  // namespace gossamer
