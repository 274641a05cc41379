// The special tokens that Harmony is made of, looked up once: shared by what writes and what reads the
// format.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "text/tokenizer.h"

namespace gossamer {

struct HarmonyTokens {
  // Throws Error naming the token that the vocabulary lacks.
  explicit HarmonyTokens(const Tokenizer& tokenizer);

  // <|end|>, <|return|> or <|call|>: each of them ends a message.
  bool ends_message(int32_t id) const { return id == end || id == return_ || id == call; }

  int32_t start;
  int32_t message;
  int32_t end;
  int32_t return_;
  int32_t call;
  int32_t channel;
  int32_t constrain;
  std::optional<int32_t> end_of_text;  // no part of the format, but models stop with it
};

// How <|constrain|> looks in a content type, "<|constrain|>json".
inline constexpr std::string_view kHarmonyConstrain = "<|constrain|>";

}  // namespace gossamer
