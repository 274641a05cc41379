#include "server/logprobs_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "base/utf8.h"

namespace gossamer {

double short_double(float value) { return std::strtod(fmt::format("{}", value).c_str(), nullptr); }

double json_logprob(float logprob) {
  constexpr double kImpossible = -9999.0;
  return std::isfinite(logprob) ? std::max(kImpossible, short_double(logprob)) : kImpossible;
}

namespace {

json::object named_logprob(const Tokenizer& tokenizer, const TokenLogprobs::Entry& entry) {
  const std::string_view bytes = tokenizer.token_bytes(entry.id);
  json::array numbers;
  numbers.reserve(bytes.size());
  for (const char byte : bytes) numbers.emplace_back(static_cast<int64_t>(static_cast<unsigned char>(byte)));
  std::string text;
  utf8_append_lossy(bytes, text);
  return {{"token", text}, {"logprob", json_logprob(entry.logprob)}, {"bytes", std::move(numbers)}};
}

// Keys of top_logprobs must tell tokens apart, which U+FFFD would not: "bytes:\xe2\x80", as OpenAI writes it.
std::string token_key(const Tokenizer& tokenizer, int32_t id) {
  const std::string_view bytes = tokenizer.token_bytes(id);
  if (utf8_is_valid(bytes)) return std::string(bytes);
  std::string key = "bytes:";
  for (const char byte : bytes) key += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  return key;
}

}  // namespace

json::object chat_logprob(const Tokenizer& tokenizer, const TokenLogprobs& token) {
  json::object out = named_logprob(tokenizer, token.token);
  json::array top;
  for (const TokenLogprobs::Entry& entry : token.top) top.push_back(named_logprob(tokenizer, entry));
  out.emplace("top_logprobs", std::move(top));
  return out;
}

std::string CompletionLogprobs::name(int32_t id) const {
  return as_ids_ ? fmt::format("token_id:{}", id) : token_key(tokenizer_, id);
}

void CompletionLogprobs::add(int32_t id, const TokenLogprobs* logprobs, int64_t text_offset) {
  tokens_.emplace_back(name(id));
  text_offset_.emplace_back(text_offset);
  if (logprobs == nullptr) {
    token_logprobs_.emplace_back(nullptr);
    top_logprobs_.emplace_back(nullptr);
    return;
  }
  token_logprobs_.emplace_back(json_logprob(logprobs->token.logprob));
  // The most likely ones, and the token itself where it is none of them.
  json::object top;
  for (const TokenLogprobs::Entry& entry : logprobs->top)
    top.emplace(name(entry.id), json_logprob(entry.logprob));
  top.emplace(name(id), json_logprob(logprobs->token.logprob));
  top_logprobs_.push_back(std::move(top));
}

json::object CompletionLogprobs::to_json() && {
  return {{"tokens", std::move(tokens_)},
          {"token_logprobs", std::move(token_logprobs_)},
          {"top_logprobs", std::move(top_logprobs_)},
          {"text_offset", std::move(text_offset_)}};
}

int64_t CharacterCounter::advance(std::string_view part, std::size_t begin, std::size_t byte) {
  for (; byte_ < std::min(byte, begin + part.size()); ++byte_) {
    const bool continues = (static_cast<unsigned char>(part[byte_ - begin]) & 0xC0) == 0x80;
    if (!continues) ++characters_;
  }
  return characters_;
}

}  // namespace gossamer
