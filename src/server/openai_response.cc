#include "server/openai_response.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "server/logprobs_json.h"
#include "server/plain_stream.h"

namespace gossamer {
namespace {

json::value text_or_null(const std::string& text) {
  return text.empty() ? json::value(nullptr) : json::value(text);
}

json::array ids_json(const std::vector<int32_t>& ids) { return json::array(ids.begin(), ids.end()); }

// Why a sequence ended that neither the model nor a limit ended.
ApiError failure(const Output& output) {
  if (output.finish_reason == FinishReason::kCancelled)
    return to_api_error({RequestErrorKind::kCancelled, "the request was cancelled"});
  if (output.finish_reason == FinishReason::kDeadline)
    return {.status = 408, .message = output.error, .type = "timeout_error", .code = "deadline_exceeded"};
  return to_api_error({RequestErrorKind::kInternal, output.error});
}

}  // namespace

OpenAiResponse::OpenAiResponse(const Tokenizer& tokenizer, ResponseOptions options)
    : tokenizer_(tokenizer), options_(std::move(options)), prompts_(options_.prompts.size()) {
  num_unfinished_ = prompts_.size() * static_cast<std::size_t>(options_.best_of);
  choices_.reserve(num_unfinished_);
  for (std::size_t i = 0; i < num_unfinished_; ++i) {
    ChoiceOptions choice = options_.choice;
    choice.call_id_prefix = fmt::format("call_{}_{}_", options_.id, i);
    choices_.emplace_back(tokenizer, std::move(choice));
  }
}

bool OpenAiResponse::add(std::size_t prompt, const Output& output) {
  GOSSAMER_CHECK_LT(prompt, prompts_.size());
  Choice& choice = choices_.at(prompt * static_cast<std::size_t>(options_.best_of) +
                               static_cast<std::size_t>(output.index));
  // The prompt is the same for all its sequences.
  if (output.index == 0) {
    std::vector<TokenLogprobs>& logprobs = prompts_[prompt].logprobs;
    logprobs.insert(logprobs.end(), output.prompt_logprobs.begin(), output.prompt_logprobs.end());
    if (output.finish_reason) prompts_[prompt].cached_tokens = output.times.cached_tokens;
  }
  const bool was_finished = choice.finished();  // then its end is the cancellation that was asked for
  const bool answers = !output.finish_reason || output.finish_reason == FinishReason::kStop ||
                       output.finish_reason == FinishReason::kLength;
  if (answers) {
    choice.add(output);
  } else if (!was_finished) {
    fail(failure(output));
  }
  if (output.finish_reason) --num_unfinished_;
  return choice.finished() && !was_finished && !output.finish_reason;
}

void OpenAiResponse::fail(ApiError error) {
  if (!error_) error_ = std::move(error);
}

int64_t OpenAiResponse::num_prompt_tokens() const {
  int64_t count = 0;
  for (const std::vector<int32_t>& prompt : options_.prompts) count += static_cast<int64_t>(prompt.size());
  return count;
}

int64_t OpenAiResponse::num_completion_tokens() const {
  int64_t count = 0;
  for (const Choice& choice : choices_) count += static_cast<int64_t>(choice.token_ids().size());
  return count;
}

json::object OpenAiResponse::usage() const {
  int64_t cached = 0;
  for (const Prompt& prompt : prompts_) cached += prompt.cached_tokens;
  int64_t reasoning = 0;
  for (const Choice& choice : choices_) reasoning += choice.num_reasoning_tokens();
  return {{"prompt_tokens", num_prompt_tokens()},
          {"completion_tokens", num_completion_tokens()},
          {"total_tokens", num_prompt_tokens() + num_completion_tokens()},
          {"prompt_tokens_details", {{"cached_tokens", cached}}},
          {"completion_tokens_details", {{"reasoning_tokens", reasoning}}}};
}

// Indices into choices_ of those of a prompt that are returned, the most likely first; all in their order
// where all are.
std::vector<std::size_t> OpenAiResponse::best_choices(std::size_t prompt) const {
  std::vector<std::size_t> indices(static_cast<std::size_t>(options_.best_of));
  std::iota(indices.begin(), indices.end(), prompt * indices.size());
  if (options_.best_of > options_.num_choices) {
    std::stable_sort(indices.begin(), indices.end(), [this](std::size_t a, std::size_t b) {
      return choices_[a].mean_logprob() > choices_[b].mean_logprob();
    });
    indices.resize(static_cast<std::size_t>(options_.num_choices));
  }
  return indices;
}

json::object OpenAiResponse::chat_choice(const Choice& choice) const {
  json::object message = {
      {"role", "assistant"}, {"content", text_or_null(choice.content())}, {"refusal", nullptr}};
  std::string reasoning = choice.reasoning();
  if (!choice.tool_calls().empty() && !choice.content().empty()) {
    // Clients take a message with content for an answer and do not look for calls. (Where the model keeps to
    // the form there is none: HarmonyChat takes what leads to a call for reasoning.)
    message["content"] = nullptr;
    if (!reasoning.empty()) reasoning += "\n\n";
    reasoning += choice.content();
  }
  if (options_.include_reasoning && !reasoning.empty()) {
    message.emplace("reasoning", reasoning);
    message.emplace("reasoning_content", reasoning);
  }
  if (!choice.tool_calls().empty()) {
    json::array calls;
    for (const ToolCall& call : choice.tool_calls()) {
      calls.push_back({{"id", call.id},
                       {"type", "function"},
                       {"function", {{"name", call.function}, {"arguments", call.arguments}}}});
    }
    message.emplace("tool_calls", std::move(calls));
  }
  json::value logprobs = nullptr;
  if (options_.top_logprobs >= 0) {
    json::array content;
    for (const ContentToken& token : choice.content_tokens())
      content.push_back(chat_logprob(tokenizer_, token.logprobs));
    logprobs = json::object{{"content", std::move(content)}, {"refusal", nullptr}};
  }
  return {{"message", std::move(message)}, {"logprobs", std::move(logprobs)}};
}

json::object OpenAiResponse::completion_choice(const Choice& choice, std::size_t prompt) const {
  const std::vector<int32_t>& prompt_ids = options_.prompts[prompt];
  std::string text;
  std::vector<std::size_t> begins;  // of the prompt's tokens in the text
  if (options_.echo) {
    PlainStream stream(tokenizer_, {});
    const auto take = [&](const PlainPiece& piece) {
      begins.insert(begins.end(), static_cast<std::size_t>(piece.num_tokens), text.size());
      text += piece.text;
    };
    for (const int32_t id : prompt_ids) take(stream.push(id));
    take(stream.flush());
  }
  const std::size_t content_begin = text.size();
  text += choice.content();

  json::value logprobs = nullptr;
  if (options_.top_logprobs >= 0) {
    CompletionLogprobs lists(tokenizer_);
    CharacterCounter counter(text);
    const std::vector<TokenLogprobs>& known = prompts_[prompt].logprobs;
    for (std::size_t i = 0; i < begins.size(); ++i) {
      const TokenLogprobs* of_token = i > 0 && i <= known.size() ? &known[i - 1] : nullptr;
      lists.add(prompt_ids[i], of_token, counter.at(begins[i]));
    }
    for (const ContentToken& token : choice.content_tokens())
      lists.add(token.logprobs.token.id, &token.logprobs, counter.at(content_begin + token.begin));
    logprobs = std::move(lists).to_json();
  }
  return {{"text", std::move(text)}, {"logprobs", std::move(logprobs)}};
}

json::object OpenAiResponse::to_json() const {
  GOSSAMER_CHECK(num_unfinished_ == 0 && !error_);
  const bool chat = options_.endpoint == Endpoint::kChat;
  json::array choices;
  for (std::size_t prompt = 0; prompt < prompts_.size(); ++prompt) {
    for (const std::size_t index : best_choices(prompt)) {
      const Choice& choice = choices_[index];
      json::object out = {{"index", choices.size()}};
      json::object body = chat ? chat_choice(choice) : completion_choice(choice, prompt);
      for (auto& member : body) out.emplace(member.key(), std::move(member.value()));
      out.emplace("finish_reason", choice.finish_reason());
      if (options_.return_token_ids) {
        out.emplace("token_ids", ids_json(choice.token_ids()));
        if (!chat) out.emplace("prompt_token_ids", ids_json(options_.prompts[prompt]));
      }
      choices.push_back(std::move(out));
    }
  }
  json::object response = {{"id", fmt::format("{}-{}", chat ? "chatcmpl" : "cmpl", options_.id)},
                           {"object", chat ? "chat.completion" : "text_completion"},
                           {"created", options_.created},
                           {"model", options_.model},
                           {"choices", std::move(choices)},
                           {"usage", usage()},
                           {"system_fingerprint", nullptr}};
  if (chat && options_.return_token_ids)
    response.emplace("prompt_token_ids", ids_json(options_.prompts.front()));
  return response;
}

}  // namespace gossamer
