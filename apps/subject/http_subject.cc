#include "apps/subject/http_subject.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "apps/bench/load_stream.h"
#include "apps/model_path.h"
#include "apps/subject/likelihood_tokens.h"

namespace gossamer::apps {
namespace {

constexpr const char* kChatPath = "/v1/chat/completions";
constexpr const char* kCompletionsPath = "/v1/completions";

const json::array* array_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr ? value->if_array() : nullptr;
}

const json::object* object_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr ? value->if_object() : nullptr;
}

template <typename Number>
std::optional<std::vector<Number>> numbers_in(const json::array* list) {
  if (list == nullptr) return std::nullopt;
  std::vector<Number> numbers;
  numbers.reserve(list->size());
  for (const json::value& value : *list) {
    if (!value.is_number()) return std::nullopt;
    numbers.push_back(static_cast<Number>(value.to_number<double>()));
  }
  return numbers;
}

// The named one, or the only one: several names of one model are one.
const EndpointModel& choose_model(const EndpointClient& client, const std::string& name) {
  const std::vector<EndpointModel>& models = client.models();
  std::vector<std::string_view> names;
  for (const EndpointModel& model : models) {
    if (model.id == name) return model;
    names.emplace_back(model.id);
  }
  const bool is_one = std::all_of(models.begin(), models.end(), [&](const EndpointModel& model) {
    return !model.root.empty() && model.root == models.front().root;
  });
  if (name.empty() && (models.size() == 1 || is_one)) return models.front();
  throw Error("{}: expected --model-name, one of {}; found {}", client.url(), fmt::join(names, ", "),
              name.empty() ? "none" : name);
}

int64_t choose_length(const EndpointClient& client, const EndpointModel& model, int64_t asked) {
  if (asked <= 0 && model.max_model_len <= 0) {
    throw Error(
        "{}: expected max_model_len beside {} in /v1/models, found none: --max-model-len says how many "
        "tokens "
        "the model takes",
        client.url(), model.id);
  }
  if (asked > 0 && model.max_model_len > 0 && asked > model.max_model_len)
    throw Error("--max-model-len {}: {} at {} takes {} tokens", asked, model.id, client.url(),
                model.max_model_len);
  return asked > 0 ? asked : model.max_model_len;
}

// "token_id:5": as return_tokens_as_token_ids has it.
std::optional<int32_t> id_in_key(std::string_view key) {
  constexpr std::string_view kPrefix = "token_id:";
  if (!key.starts_with(kPrefix)) return std::nullopt;
  key.remove_prefix(kPrefix.size());
  int32_t id = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
  if (error != std::errc() || end != key.data() + key.size()) return std::nullopt;
  return id;
}

// The most likely tokens, as an engine gives them: some servers add the token itself where it is none of
// them.
bool read_top(const json::value& listed, int num_top, TokenLogprobs& token) {
  if (!listed.is_object()) return false;
  for (const auto& [key, logprob] : listed.get_object()) {
    const std::optional<int32_t> id = id_in_key(key);
    if (!id || !logprob.is_number()) return false;
    token.top.push_back({.id = *id, .logprob = static_cast<float>(logprob.to_number<double>())});
  }
  std::sort(token.top.begin(), token.top.end(), [](const auto& a, const auto& b) {
    return a.logprob != b.logprob ? a.logprob > b.logprob : a.id < b.id;
  });
  token.top.resize(std::min(token.top.size(), static_cast<std::size_t>(num_top)));
  token.rank = std::count_if(token.top.begin(), token.top.end(), [&](const TokenLogprobs::Entry& entry) {
    return entry.logprob > token.token.logprob;
  });
  return true;
}

// Of a prompt that was echoed; nothing where its log-probabilities are not there.
std::optional<std::vector<TokenLogprobs>> read_echo(const json::object& choice,
                                                    const std::vector<int32_t>& prompt, int num_top) {
  const json::object* lists = object_at(choice, "logprobs");
  const json::array* logprobs = lists != nullptr ? array_at(*lists, "token_logprobs") : nullptr;
  const json::array* tops = lists != nullptr ? array_at(*lists, "top_logprobs") : nullptr;
  if (logprobs == nullptr || logprobs->size() < prompt.size()) return std::nullopt;
  if (num_top > 0 && (tops == nullptr || tops->size() < prompt.size())) return std::nullopt;
  std::vector<TokenLogprobs> scores;
  for (std::size_t i = 1; i < prompt.size(); ++i) {
    const json::value& logprob = (*logprobs)[i];
    if (!logprob.is_number()) return std::nullopt;
    TokenLogprobs& token = scores.emplace_back();
    token.token = {.id = prompt[i], .logprob = static_cast<float>(logprob.to_number<double>())};
    if (num_top > 0 && !read_top((*tops)[i], num_top, token)) return std::nullopt;
  }
  return scores;
}

}  // namespace

HttpSubject::HttpSubject(const SubjectOptions& options) : chat_(options.chat) {
  EndpointOptions endpoint = options.endpoint;
  endpoint.url = options.model.model;
  if (!options.tokenizer.empty()) tokenizer_ = Tokenizer::load(resolve_model_path(options.tokenizer));
  client_ = std::make_unique<EndpointClient>(endpoint);
  const EndpointModel& model = choose_model(*client_, endpoint.model);
  model_ = model.id;
  max_model_len_ = choose_length(*client_, model, options.model.max_model_len);
  identity_ = {{"endpoint", client_->url()},
               {"model", model_},
               {"tokenizer", options.tokenizer},
               {"system", chat_.system},
               {"reasoning_effort", chat_.reasoning_effort.value_or("")}};
}

RequestError HttpSubject::lacks(std::string_view what) const {
  return {.kind = RequestErrorKind::kOverloaded,
          .message = fmt::format("{}: expected {}, found none: this endpoint cannot be asked for that",
                                 client_->url(), what)};
}

std::vector<int32_t> HttpSubject::encode(std::string_view text) const {
  if (tokenizer_) return tokenizer_->encode(text);
  // "content" and "add_special" are llama.cpp's names.
  const Result<json::object> answer = client_->post_for_json("/tokenize", {{"model", model_},
                                                                           {"prompt", text},
                                                                           {"add_special_tokens", false},
                                                                           {"content", text},
                                                                           {"add_special", false}});
  if (!answer.ok())
    throw Error("{}; --tokenizer names a folder with the model's own", answer.error().message);
  auto ids = numbers_in<int32_t>(array_at(answer.value(), "tokens"));
  if (!ids)
    throw Error("{}/tokenize: expected a list of \"tokens\"; --tokenizer does without", client_->url());
  return *std::move(ids);
}

std::string HttpSubject::decode(std::span<const int32_t> ids) const {
  if (tokenizer_) return tokenizer_->decode(ids, {.skip_special = true});
  const Result<json::object> answer = client_->post_for_json(
      "/detokenize", {{"model", model_}, {"tokens", json::array(ids.begin(), ids.end())}});
  if (!answer.ok())
    throw Error("{}; --tokenizer names a folder with the model's own", answer.error().message);
  for (const char* key : {"prompt", "content"}) {
    const json::value* text = answer.value().if_contains(key);
    if (text != nullptr && text->is_string()) return std::string(text->get_string());
  }
  throw Error("{}/detokenize: expected a \"prompt\"; --tokenizer does without", client_->url());
}

int32_t HttpSubject::prefix_token() const {
  constexpr std::string_view kToken = "<|endoftext|>";
  if (tokenizer_) {
    if (const auto id = tokenizer_->special_id(kToken)) return *id;
  } else if (const std::vector<int32_t> ids = encode(kToken); ids.size() == 1) {
    return ids.front();
  }
  throw Error("{}: expected a model with the token {} to begin texts with", client_->url(), kToken);
}

json::array HttpSubject::messages(const std::string& prompt) const {
  json::array messages;
  if (!chat_.system.empty()) messages.push_back(json::object{{"role", "system"}, {"content", chat_.system}});
  messages.push_back(json::object{{"role", "user"}, {"content", prompt}});
  return messages;
}

json::object HttpSubject::body(const CompletionQuestion& question) const {
  json::object body = {
      {"model", model_}, {"max_tokens", question.max_new_tokens},       {"temperature", 0},
      {"stream", true},  {"stream_options", {{"include_usage", true}}}, {"return_token_ids", true}};
  if (question.chat) {
    body["messages"] = messages(question.prompt);
    if (chat_.reasoning_effort) body["reasoning_effort"] = *chat_.reasoning_effort;
  } else {
    body["prompt"] = question.prompt;
  }
  if (question.stop_at_newline) {
    // Not "stop", which would end at a newline that comes first, or within a token.
    body["min_tokens"] = 1;
    if (const std::vector<int32_t> newline = encode("\n"); !newline.empty())
      body["stop_token_ids"] = json::array{newline.back()};
  }
  return body;
}

std::optional<int64_t> HttpSubject::count_prompt(const CompletionQuestion& question) const {
  if (!question.chat) return static_cast<int64_t>(encode(question.prompt).size());
  const Result<json::object> answer =
      client_->post_for_json("/tokenize", {{"model", model_}, {"messages", messages(question.prompt)}});
  const json::array* ids = answer.ok() ? array_at(answer.value(), "tokens") : nullptr;
  return ids == nullptr ? std::nullopt : std::optional<int64_t>(ids->size());
}

Result<CompletionAnswer> HttpSubject::stream(bool chat, const json::object& body) {
  Clock::time_point start;
  std::optional<LoadStream> stream;
  const EndpointClient::Sink sink = {
      .on_begin =
          [&] {
            start = Clock::now();
            stream.emplace(chat ? LoadEndpoint::kChat : LoadEndpoint::kCompletions, 0, 0.0);
          },
      .on_head = [&](const HttpResponse& head) { stream->on_head(head); },
      .on_body = [&](std::string_view bytes) { stream->on_body(bytes, seconds_since(start)); }};
  const char* path = chat ? kChatPath : kCompletionsPath;
  const Result<HttpResponse> response = client_->post(path, body, &sink);
  if (!response.ok()) return response.error();
  const LoadRecord record = stream->finish(std::nullopt, seconds_since(start));
  // An answer may be empty: the model had nothing to say.
  if (record.failure && record.failure->kind != LoadError::kEmpty) {
    return RequestError{.kind = RequestErrorKind::kOverloaded,
                        .message = fmt::format("{}{}: {}", client_->url(), path, record.failure->message)};
  }
  return CompletionAnswer{.text = stream->content(),
                          .reasoning = stream->reasoning(),
                          .finish_reason = stream->finish_reason(),
                          .num_prompt_tokens = record.prompt_tokens,
                          .num_tokens = record.tokens,
                          .token_ids = stream->token_ids(),
                          .seconds_to_first_token = record.to_first_token(),
                          .seconds = record.end_to_end()};
}

Result<CompletionAnswer> HttpSubject::complete(const CompletionQuestion& question) {
  json::object asked = body(question);
  Result<CompletionAnswer> answer = stream(question.chat, asked);
  if (answer.ok() || answer.error().kind != RequestErrorKind::kInvalid) return answer;
  // Servers refuse what does not fit as a whole; an engine gives what there is room for.
  const std::optional<int64_t> num_tokens = count_prompt(question);
  if (!num_tokens || *num_tokens >= max_model_len_ || *num_tokens + question.max_new_tokens <= max_model_len_)
    return answer;
  asked["max_tokens"] = max_model_len_ - *num_tokens;
  return stream(question.chat, asked);
}

Result<json::array> HttpSubject::compute(const TokenLists& prompts, const json::object& more) {
  json::object body = {{"model", model_}, {"temperature", 0}, {"max_tokens", fewest_tokens_.load()}};
  json::array lists;
  for (const std::vector<int32_t>& prompt : prompts)
    lists.push_back(json::array(prompt.begin(), prompt.end()));
  body["prompt"] = lists.size() == 1 ? lists.front() : json::value(lists);
  for (const auto& member : more) body.insert(member);
  Result<json::object> answer = client_->post_for_json(kCompletionsPath, body);
  if (!answer.ok() && answer.error().kind == RequestErrorKind::kInvalid && body["max_tokens"] == 0) {
    body["max_tokens"] = 1;
    if (Result<json::object> again = client_->post_for_json(kCompletionsPath, body); again.ok()) {
      fewest_tokens_ = 1;
      answer = std::move(again);
    }
  }
  if (!answer.ok()) return answer.error();
  const json::array* found = array_at(answer.value(), "choices");
  json::array choices(prompts.size());
  for (std::size_t i = 0; found != nullptr && i < found->size(); ++i) {
    const json::object* choice = (*found)[i].if_object();
    const json::value* index = choice != nullptr ? choice->if_contains("index") : nullptr;
    const auto at = index != nullptr && index->is_int64() ? static_cast<std::size_t>(index->get_int64()) : i;
    if (choice != nullptr && at < choices.size()) choices[at] = *choice;
  }
  for (const json::value& choice : choices) {
    if (!choice.is_object()) {
      return RequestError{
          .kind = RequestErrorKind::kOverloaded,
          .message = fmt::format("{}{}: expected {} choices, found {}", client_->url(), kCompletionsPath,
                                 prompts.size(), found == nullptr ? 0 : found->size())};
    }
  }
  return choices;
}

Result<std::vector<std::vector<TokenLogprobs>>> HttpSubject::echo(const TokenLists& prompts, int num_top) {
  // Some servers take logprobs 0 for none.
  const Result<json::array> choices = compute(
      prompts, {{"echo", true}, {"logprobs", std::max(num_top, 1)}, {"return_tokens_as_token_ids", true}});
  if (!choices.ok()) return choices.error();
  std::vector<std::vector<TokenLogprobs>> all;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    auto scores = read_echo(choices.value()[i].get_object(), prompts[i], num_top);
    if (!scores) {
      return lacks(num_top > 0
                       ? "the log-probabilities of a prompt's tokens and of the likeliest, by id, from "
                         "/v1/completions (echo, logprobs, return_tokens_as_token_ids)"
                       : "the log-probabilities of a prompt's tokens from /v1/completions (echo, "
                         "logprobs)");
    }
    all.push_back(*std::move(scores));
  }
  return all;
}

Result<LikelihoodAnswer> HttpSubject::loglikelihood(const LikelihoodQuestion& question) {
  const Result<LikelihoodTokens> split = split_likelihood(*this, question);
  if (!split.ok()) return split.error();
  const LikelihoodTokens& tokens = split.value();
  TokenLists prompts;
  for (const LikelihoodTokens::Part& part : tokens.parts) {
    prompts.push_back(part.context);
    prompts.back().insert(prompts.back().end(), part.continuation.begin(), part.continuation.end());
  }
  const auto scores = echo(prompts, 0);
  if (!scores.ok()) return scores.error();
  LikelihoodAnswer answer = tokens.answer;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const auto scored = std::span(scores.value()[i]).last(tokens.parts[i].continuation.size());
    for (const TokenLogprobs& token : scored) answer.logprobs[i] += static_cast<double>(token.token.logprob);
  }
  return answer;
}

Result<std::vector<TokenLogprobs>> HttpSubject::score_tokens(std::span<const int32_t> ids, int num_top) {
  const auto scores = echo({std::vector<int32_t>(ids.begin(), ids.end())}, num_top);
  if (!scores.ok()) return scores.error();
  return scores.value().front();
}

Result<std::vector<float>> HttpSubject::last_hidden(std::span<const int32_t> ids) {
  const Result<json::array> choices =
      compute({std::vector<int32_t>(ids.begin(), ids.end())}, {{"return_hidden_states", true}});
  if (!choices.ok()) return choices.error();
  auto hidden = numbers_in<float>(array_at(choices.value().front().get_object(), "hidden_states"));
  if (!hidden || hidden->empty())
    return lacks("\"hidden_states\" from /v1/completions (return_hidden_states)");
  return *std::move(hidden);
}

}  // namespace gossamer::apps
