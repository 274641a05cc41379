// Log-probabilities in the two forms that OpenAI's API has for them. A part of the responses of the
// endpoints.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "engine/request.h"
#include "text/tokenizer.h"

namespace gossamer {

// Of the doubles that round to the float the one with the fewest digits, which is all that the float knows.
double short_double(float value);

// JSON has no infinity: a token that cannot come gets what OpenAI's API gives for it.
double json_logprob(float logprob);

// An element of a chat choice's logprobs.content: {"token", "logprob", "bytes", "top_logprobs": [...]}. A
// token that is a part of a character has U+FFFD in "token" and tells by "bytes" what it is.
json::object chat_logprob(const Tokenizer& tokenizer, const TokenLogprobs& token);

// The logprobs of a completion: lists over its tokens.
class CompletionLogprobs {
 public:
  // `as_ids`: tokens are named "token_id:5", as vLLM does it.
  CompletionLogprobs(const Tokenizer& tokenizer, bool as_ids) : tokenizer_(tokenizer), as_ids_(as_ids) {}

  // `logprobs`: absent for a prompt's first token, which nothing predicts. `text_offset` in characters.
  void add(int32_t id, const TokenLogprobs* logprobs, int64_t text_offset);

  // {"tokens", "token_logprobs", "top_logprobs", "text_offset"}
  json::object to_json() &&;

 private:
  std::string name(int32_t id) const;

  const Tokenizer& tokenizer_;
  bool as_ids_;
  json::array tokens_;
  json::array token_logprobs_;
  json::array top_logprobs_;
  json::array text_offset_;
};

// Turns ascending byte offsets of a text into offsets in characters, as OpenAI counts them. The text may come
// in parts, each from the byte `begin` of the whole on.
class CharacterCounter {
 public:
  // Characters before byte number `byte` of the whole, which lies in `part` or is its end.
  int64_t advance(std::string_view part, std::size_t begin, std::size_t byte);

 private:
  std::size_t byte_ = 0;
  int64_t characters_ = 0;
};

}  // namespace gossamer
