#include "text/harmony_tokens.h"

#include "base/error.h"

namespace gossamer {
namespace {

int32_t format_token(const Tokenizer& tokenizer, std::string_view text) {
  const std::optional<int32_t> id = tokenizer.special_id(text);
  if (!id)
    throw Error("this tokenizer has no special token {}: Harmony needs the vocabulary of GPT-OSS", text);
  return *id;
}

}  // namespace

HarmonyTokens::HarmonyTokens(const Tokenizer& tokenizer)
    : start(format_token(tokenizer, "<|start|>")),
      message(format_token(tokenizer, "<|message|>")),
      end(format_token(tokenizer, "<|end|>")),
      return_(format_token(tokenizer, "<|return|>")),
      call(format_token(tokenizer, "<|call|>")),
      channel(format_token(tokenizer, "<|channel|>")),
      constrain(format_token(tokenizer, kHarmonyConstrain)),
      end_of_text(tokenizer.special_id("<|endoftext|>")) {}

}  // namespace gossamer
