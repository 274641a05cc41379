#include "server/tgi_response.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/utf8.h"
#include "server/logprobs_json.h"

namespace gossamer {
namespace {

std::string lossy_text(const Tokenizer& tokenizer, int32_t id) {
  std::string text;
  utf8_append_lossy(tokenizer.token_bytes(id), text);
  return text;
}

json::object token_object(const Tokenizer& tokenizer, const TokenLogprobs::Entry& entry, std::string text) {
  return {{"id", entry.id},
          {"text", std::move(text)},
          {"logprob", json_logprob(entry.logprob)},
          {"special", tokenizer.is_special(entry.id)}};
}

}  // namespace

json::object to_tgi_json(const ApiError& error) {
  std::string_view type = "generation";
  if (error.status >= 400 && error.status < 500) type = "validation";
  if (error.status == 408) type = "generation";
  if (error.status == 429) type = "overloaded";
  return {{"error", error.message}, {"error_type", type}};
}

TgiResponse::TgiResponse(const Tokenizer& tokenizer, ResponseOptions options, TgiOptions tgi)
    : CallResponse(tokenizer, std::move(options)),
      tgi_(std::move(tgi)),
      stream_(tokenizer, DecodeOptions{.skip_special = true}) {}

json::object TgiResponse::token_json(const Choice& choice, std::size_t index, PlainStream& stream) const {
  const TokenLogprobs::Entry& entry = choice.token_logprobs()[index].token;
  std::string text = stream.push(entry.id).text;
  // A special token stands for itself here; a text that others would finish ends with the last of all.
  if (tokenizer().is_special(entry.id)) {
    text = lossy_text(tokenizer(), entry.id);
  } else if (choice.finished() && index + 1 == choice.token_ids().size()) {
    text += stream.flush().text;
  }
  return token_object(tokenizer(), entry, std::move(text));
}

json::array TgiResponse::top_tokens_json(const Choice& choice, std::size_t index) const {
  json::array out;
  for (const TokenLogprobs::Entry& entry : choice.token_logprobs()[index].top)
    out.push_back(token_object(tokenizer(), entry, lossy_text(tokenizer(), entry.id)));
  return out;
}

// Nothing predicts the first of them.
json::array TgiResponse::prefill_json() const {
  json::array out;
  if (!tgi_.prefill) return out;
  const std::vector<int32_t>& prompt = options().prompts.front();
  const std::vector<TokenLogprobs>& known = prompt_logprobs(0);
  for (std::size_t i = 0; i < prompt.size(); ++i) {
    json::value logprob(nullptr);
    if (i > 0 && i <= known.size()) logprob = json_logprob(known[i - 1].token.logprob);
    out.push_back(json::object{
        {"id", prompt[i]}, {"text", lossy_text(tokenizer(), prompt[i])}, {"logprob", std::move(logprob)}});
  }
  return out;
}

// With the stop string that ended it: TGI's clients expect it there.
std::string TgiResponse::text_of(const Choice& choice) const {
  return tgi_.full_text_prefix + tokenizer().decode(choice.token_ids(), {.skip_special = true});
}

std::string_view TgiResponse::finish_reason(const Choice& choice) const {
  if (choice.finish_reason() == "length") return "length";
  const bool at_eos =
      !choice.token_ids().empty() &&
      std::find(tgi_.eos_ids.begin(), tgi_.eos_ids.end(), choice.token_ids().back()) != tgi_.eos_ids.end();
  return at_eos ? "eos_token" : "stop_sequence";
}

json::object TgiResponse::details_json(std::size_t index) const {
  const Choice& choice = choices()[index];
  PlainStream stream(tokenizer(), DecodeOptions{.skip_special = true});
  json::array tokens;
  json::array top_tokens;
  for (std::size_t i = 0; i < choice.token_logprobs().size(); ++i) {
    tokens.push_back(token_json(choice, i, stream));
    if (tgi_.top_n_tokens > 0) top_tokens.push_back(top_tokens_json(choice, i));
  }
  json::object out = {{"finish_reason", finish_reason(choice)},
                      {"generated_tokens", choice.token_ids().size()},
                      {"seed", tgi_.seed ? json::value(*tgi_.seed + index) : json::value(nullptr)},
                      {"prefill", prefill_json()},
                      {"tokens", std::move(tokens)}};
  if (tgi_.top_n_tokens > 0) out.emplace("top_tokens", std::move(top_tokens));
  return out;
}

json::object TgiResponse::to_json() const {
  GOSSAMER_CHECK(done() && !error());
  const std::size_t best = best_choices(0).front();
  json::object out = {{"generated_text", text_of(choices()[best])}};
  if (!tgi_.details) return out;
  json::object details = details_json(best);
  if (options().best_of > 1) {
    json::array others;
    for (std::size_t i = 0; i < choices().size(); ++i) {
      if (i == best) continue;
      json::object other = {{"generated_text", text_of(choices()[i])}};
      for (auto& member : details_json(i)) other.emplace(member.key(), std::move(member.value()));
      others.push_back(std::move(other));
    }
    details.emplace("best_of_sequences", std::move(others));
  }
  out.emplace("details", std::move(details));
  return out;
}

void TgiResponse::append_token(std::string& out, json::object token, std::size_t index, bool is_last) const {
  const Choice& choice = choices().front();
  json::object event = {{"index", index + 1}, {"token", std::move(token)}};
  if (tgi_.top_n_tokens > 0 && index < choice.token_logprobs().size())
    event.emplace("top_tokens", top_tokens_json(choice, index));
  event.emplace("generated_text", is_last ? json::value(text_of(choice)) : json::value(nullptr));
  event.emplace("details", nullptr);
  if (is_last && tgi_.details) {
    event["details"] = json::object{{"finish_reason", finish_reason(choice)},
                                    {"generated_tokens", choice.token_ids().size()},
                                    {"seed", tgi_.seed ? json::value(*tgi_.seed) : json::value(nullptr)},
                                    {"input_length", options().prompts.front().size()}};
  }
  append_event(out, event);
}

std::string TgiResponse::take_events() {
  std::string out;
  if (has_ended_) return out;
  const Choice& choice = choices().front();
  for (; num_told_ < choice.token_logprobs().size(); ++num_told_) {
    const bool is_last = choice.finished() && num_told_ + 1 == choice.token_logprobs().size();
    append_token(out, token_json(choice, num_told_, stream_), num_told_, is_last);
    has_ended_ = has_ended_ || is_last;
  }
  if (!error() && choice.finished() && !has_ended_) {
    // An end that came without a token: one without text stands for it.
    has_ended_ = true;
    const int32_t id = tgi_.eos_ids.empty() ? 0 : tgi_.eos_ids.front();
    append_token(out, token_object(tokenizer(), {.id = id}, stream_.flush().text), num_told_, true);
  }
  if (error() && !has_ended_) {
    has_ended_ = true;
    append_event(out, to_tgi_json(*error()));
  }
  return out;
}

}  // namespace gossamer
