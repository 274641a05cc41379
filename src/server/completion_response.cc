#include "server/completion_response.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "base/check.h"
#include "server/plain_stream.h"

namespace gossamer {

CompletionResponse::CompletionResponse(const Tokenizer& tokenizer, ResponseOptions options,
                                       CompletionForm form)
    : CallResponse(tokenizer, std::move(options)), form_(std::move(form)), streamed_(choices().size()) {}

namespace {

// JSON has no infinity and no NaN: null.
json::array floats_json(const std::vector<float>& values) {
  json::array out;
  out.reserve(values.size());
  for (const float value : values)
    out.push_back(std::isfinite(value) ? json::value(short_double(value)) : json::value(nullptr));
  return out;
}

}  // namespace

json::object CompletionResponse::head() const {
  return {{"id", "cmpl-" + options().id},
          {"object", "text_completion"},
          {"created", options().created},
          {"model", options().model}};
}

CompletionResponse::Echo CompletionResponse::echo_of(std::size_t prompt) const {
  Echo echo;
  if (!form_.echo) return echo;
  PlainStream stream(tokenizer(), {});
  const auto take = [&](const PlainPiece& piece) {
    echo.begins.insert(echo.begins.end(), static_cast<std::size_t>(piece.num_tokens), echo.text.size());
    echo.text += piece.text;
  };
  for (const int32_t id : options().prompts[prompt]) take(stream.push(id));
  take(stream.flush());
  return echo;
}

// Of the prompt's tokens, where there is an `echo`, and of the content's from `first_token` on; null where
// nobody asked. `content_begin`: bytes of the text before the content.
json::value CompletionResponse::logprobs_json(const Choice& choice, std::size_t prompt, const Echo* echo,
                                              std::size_t content_begin, std::size_t first_token,
                                              CharacterCounter& counter) const {
  if (options().top_logprobs < 0) return nullptr;
  CompletionLogprobs lists(tokenizer(), form_.tokens_as_ids);
  if (echo != nullptr) {
    const std::vector<TokenLogprobs>& known = prompt_logprobs(prompt);
    for (std::size_t i = 0; i < echo->begins.size(); ++i) {
      const TokenLogprobs* of_token = i > 0 && i <= known.size() ? &known[i - 1] : nullptr;
      lists.add(options().prompts[prompt][i], of_token, counter.advance(echo->text, 0, echo->begins[i]));
    }
    counter.advance(echo->text, 0, echo->text.size());
  }
  for (std::size_t i = first_token; i < choice.content_tokens().size(); ++i) {
    const ContentToken& token = choice.content_tokens()[i];
    lists.add(token.logprobs.token.id, &token.logprobs,
              counter.advance(choice.content(), content_begin, content_begin + token.begin));
  }
  return std::move(lists).to_json();
}

json::object CompletionResponse::to_json() const {
  GOSSAMER_CHECK(done() && !error());
  json::array choices_out;
  for (std::size_t prompt = 0; prompt < options().prompts.size(); ++prompt) {
    const Echo echo = echo_of(prompt);
    for (const std::size_t index : best_choices(prompt)) {
      const Choice& choice = choices()[index];
      CharacterCounter counter;
      json::object out = {{"index", choices_out.size()},
                          {"text", echo.text + choice.content()},
                          {"logprobs", logprobs_json(choice, prompt, &echo, echo.text.size(), 0, counter)},
                          {"finish_reason", choice.finish_reason()}};
      if (options().return_token_ids) {
        out.emplace("token_ids", ids_json(choice.token_ids()));
        out.emplace("prompt_token_ids", ids_json(options().prompts[prompt]));
      }
      if (!form_.hidden.empty()) out.emplace("hidden_states", floats_json(*form_.hidden[prompt]));
      choices_out.push_back(std::move(out));
    }
  }
  json::object response = head();
  response.emplace("choices", std::move(choices_out));
  response.emplace("usage", usage_json(usage()));
  response.emplace("system_fingerprint", nullptr);
  if (options().include_timings) response.emplace("timings", timings_json(times()));
  return response;
}

void CompletionResponse::append_choice(std::string& out, std::size_t index) {
  const Choice& choice = choices()[index];
  Streamed& streamed = streamed_[index];
  const std::size_t prompt = index / static_cast<std::size_t>(options().best_of);
  const ChoiceDelta delta = choice.delta_since(streamed.cursor);
  const bool has_tokens = options().top_logprobs >= 0 && delta.first_token < choice.content_tokens().size();
  if (delta.empty() && !has_tokens) return;
  // The prompt goes out with the first of the answer: by then its log-probabilities are there.
  const Echo echo = streamed.has_echo ? Echo{} : echo_of(prompt);
  const Echo* first = std::exchange(streamed.has_echo, true) ? nullptr : &echo;
  if (first != nullptr) streamed.echo_bytes = echo.text.size();
  json::object part = {{"index", index},
                       {"text", echo.text + delta.content},
                       {"logprobs", logprobs_json(choice, prompt, first, streamed.echo_bytes,
                                                  delta.first_token, streamed.counter)},
                       {"finish_reason", delta.finished ? json::value(choice.finish_reason()) : nullptr}};
  if (options().return_token_ids) {
    part.emplace("token_ids", new_ids_json(choice, streamed.num_ids));
    if (first != nullptr) part.emplace("prompt_token_ids", ids_json(options().prompts[prompt]));
  }
  json::object chunk = head();
  json::array parts;
  parts.push_back(std::move(part));
  chunk.emplace("choices", std::move(parts));
  if (options().stream_usage) chunk.emplace("usage", nullptr);
  append_event(out, chunk);
}

std::string CompletionResponse::take_events() {
  std::string out;
  if (has_ended_) return out;
  for (std::size_t i = 0; i < choices().size(); ++i) append_choice(out, i);
  if (!done()) return out;
  has_ended_ = true;
  if (error()) {
    append_event(out, gossamer::to_json(*error()));
  } else if (options().stream_usage || options().include_timings) {
    json::object last = head();
    last.emplace("choices", json::array());
    if (options().stream_usage) last.emplace("usage", usage_json(usage()));
    if (options().include_timings) last.emplace("timings", timings_json(times()));
    append_event(out, last);
  }
  out += kDoneEvent;
  return out;
}

}  // namespace gossamer
