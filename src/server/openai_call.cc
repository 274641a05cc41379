#include "server/openai_call.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <random>
#include <utility>

#include "server/chat_prompt.h"
#include "server/openai_request.h"

namespace gossamer {
namespace {

using Prompts = std::vector<std::vector<int32_t>>;

std::optional<ApiError> check_model_name(const CommonFields& common, const ServedModel& model) {
  if (!common.model || std::find(model.names.begin(), model.names.end(), *common.model) != model.names.end())
    return std::nullopt;
  return ApiError{.status = 404,
                  .message = fmt::format("model: \"{}\" is not served here; there is {}", *common.model,
                                         fmt::join(model.names, ", ")),
                  .param = "model",
                  .code = "model_not_found"};
}

// What only constrained decoding can promise is refused until there is such a thing: an answer that happens
// to be as asked would be luck.
std::optional<ApiError> check_enforceable(const ChatRequest& request) {
  const auto refusal = [](std::string param, std::string_view what) {
    return ApiError{.message = fmt::format("{}: {} is not supported yet", param, what),
                    .param = std::move(param),
                    .code = "unsupported_parameter"};
  };
  if (request.tool_choice.mode == ToolChoice::kRequired)
    return refusal("tool_choice", "a required tool call");
  if (request.tool_choice.mode == ToolChoice::kNamed) return refusal("tool_choice", "a required function");
  if (request.response_format.type == ResponseFormat::kJsonObject)
    return refusal("response_format", "json_object");
  if (request.response_format.type == ResponseFormat::kJsonSchema)
    return refusal("response_format", "json_schema");
  for (std::size_t i = 0; i < request.tools.size(); ++i) {
    if (request.tools[i].strict)
      return refusal(fmt::format("tools[{}].function.strict", i), "keeping to a schema");
  }
  return std::nullopt;
}

std::optional<ApiError> check_ids(const std::vector<int32_t>& ids, const std::string& path,
                                  const ServedModel& model) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] >= 0 && ids[i] < model.vocab_size) continue;
    const std::string where = fmt::format("{}[{}]", path, i);
    return ApiError{.message = fmt::format("{}: expected a token id from 0 to {}, found {}", where,
                                           model.vocab_size - 1, ids[i]),
                    .param = where};
  }
  return std::nullopt;
}

ApiResult<Prompts> encode_prompts(const CompletionRequest& request, const ServedModel& model) {
  Prompts prompts;
  for (std::size_t i = 0; i < request.prompts.size(); ++i) {
    const std::string path = request.prompts.size() == 1 ? "prompt" : fmt::format("prompt[{}]", i);
    if (const auto* text = std::get_if<std::string>(&request.prompts[i])) {
      // A text to be continued as it is: it may name special tokens.
      prompts.push_back(model.tokenizer->encode(*text, {.parse_special = true}));
    } else {
      prompts.push_back(std::get<std::vector<int32_t>>(request.prompts[i]));
      if (std::optional<ApiError> error = check_ids(prompts.back(), path, model)) return *std::move(error);
    }
    if (prompts.back().empty())
      return ApiError{.message = path + ": expected at least one token, found none", .param = path};
  }
  return prompts;
}

// Neither prompts nor answers are ever cut silently.
std::optional<ApiError> check_length(std::size_t prompt_size, const CommonFields& common,
                                     std::string_view prompt_param, const ServedModel& model) {
  const auto num_prompt = static_cast<int64_t>(prompt_size);
  const int64_t num_asked = common.max_tokens.value_or(1);
  if (num_asked <= model.max_model_len && num_prompt + num_asked <= model.max_model_len) return std::nullopt;
  const bool too_long_alone = num_prompt + std::min(num_asked, int64_t{1}) > model.max_model_len;
  return ApiError{
      .message =
          too_long_alone
              ? fmt::format("{}: it has {} tokens, but this server takes at most {}, prompt and answer "
                            "together; shorten it",
                            prompt_param, num_prompt, model.max_model_len)
              : fmt::format("max_tokens: the prompt has {} tokens and the answer may have {}, but this "
                            "server takes at most {} together; ask for at most {}",
                            num_prompt, num_asked, model.max_model_len, model.max_model_len - num_prompt),
      .param = std::string(too_long_alone ? prompt_param : "max_tokens"),
      .code = "context_length_exceeded"};
}

// What is the same for both endpoints, once the prompts are token ids. `response` has what differs.
ApiResult<PreparedCall> make_call(const CommonFields& common, Prompts prompts, std::string_view prompt_param,
                                  ResponseOptions response, const ServedModel& model,
                                  const CallIdentity& identity) {
  Request shared;
  shared.sampling = merge_sampling(model.sampling, common.sampling);
  if (!common.sampling.seed) shared.sampling.seed = identity.default_seed;
  if (const auto error = check_sampling_params(shared.sampling, model.vocab_size))
    return to_api_error(*error);
  if (auto error = check_ids(common.stop_token_ids, "stop_token_ids", model)) return *std::move(error);
  for (const std::vector<int32_t>& prompt : prompts) {
    if (auto error = check_length(prompt.size(), common, prompt_param, model)) return *std::move(error);
  }
  shared.min_new_tokens = common.min_tokens;
  shared.num_sequences = common.best_of;
  if (!common.ignore_eos) shared.stop_token_ids = model.eos_ids;
  shared.stop_token_ids.insert(shared.stop_token_ids.end(), common.stop_token_ids.begin(),
                               common.stop_token_ids.end());
  // best_of compares log-probabilities, asked for or not.
  const bool needs_logprobs = common.best_of > common.num_choices;
  shared.top_logprobs = std::max(common.top_logprobs, needs_logprobs ? 0 : -1);
  shared.prompt_logprobs = response.echo ? common.top_logprobs : -1;
  shared.priority = common.priority;
  shared.cache_salt = common.cache_salt;

  PreparedCall call{
      .requests = {}, .response = {}, .stream = common.stream, .stream_usage = common.stream_usage};
  for (const std::vector<int32_t>& prompt : prompts) {
    Request& request = call.requests.emplace_back(shared);
    request.max_new_tokens =
        common.max_tokens.value_or(model.max_model_len - static_cast<int64_t>(prompt.size()));
    if (common.min_tokens > request.max_new_tokens) {
      return ApiError{
          .message = fmt::format("min_tokens: expected at most what the answer may have, {} tokens, found {}",
                                 request.max_new_tokens, common.min_tokens),
          .param = "min_tokens"};
    }
    request.prompt = prompt;
  }

  response.id = identity.id;
  response.created = identity.created;
  response.model = common.model.value_or(model.names.front());
  response.num_choices = common.num_choices;
  response.best_of = common.best_of;
  response.top_logprobs = common.top_logprobs;
  response.return_token_ids = common.return_token_ids;
  response.choice.skip_special = common.skip_special_tokens;
  response.choice.logprobs = shared.top_logprobs >= 0;
  response.choice.stops = common.stop;
  response.prompts = std::move(prompts);
  call.response = std::make_unique<OpenAiResponse>(*model.tokenizer, std::move(response));
  return call;
}

ApiResult<PreparedCall> prepare_chat(const json::value& body, const ServedModel& model,
                                     const CallIdentity& identity) {
  ApiResult<ChatRequest> parsed = parse_chat_request(body);
  if (!parsed.ok()) return parsed.error();
  const ChatRequest& request = parsed.value();
  if (auto error = check_model_name(request.common, model)) return *std::move(error);
  if (auto error = check_enforceable(request)) return *std::move(error);
  ApiResult<std::vector<int32_t>> prompt = render_chat_prompt(request, model);
  if (!prompt.ok()) return prompt.error();

  ResponseOptions response{.endpoint = Endpoint::kChat, .include_reasoning = request.include_reasoning};
  response.choice.harmony = true;
  for (const ChatTool* tool : visible_tools(request))
    response.choice.functions.push_back(tool->function.name);
  Prompts prompts;
  prompts.push_back(std::move(prompt).value());
  return make_call(request.common, std::move(prompts), "messages", std::move(response), model, identity);
}

ApiResult<PreparedCall> prepare_completion(const json::value& body, const ServedModel& model,
                                           const CallIdentity& identity) {
  ApiResult<CompletionRequest> parsed = parse_completion_request(body);
  if (!parsed.ok()) return parsed.error();
  const CompletionRequest& request = parsed.value();
  if (auto error = check_model_name(request.common, model)) return *std::move(error);
  ApiResult<Prompts> prompts = encode_prompts(request, model);
  if (!prompts.ok()) return prompts.error();
  return make_call(request.common, std::move(prompts).value(), "prompt",
                   {.endpoint = Endpoint::kCompletions, .echo = request.echo}, model, identity);
}

}  // namespace

ApiResult<PreparedCall> prepare_call(Endpoint endpoint, const json::value& body, const ServedModel& model,
                                     const CallIdentity& identity) {
  return endpoint == Endpoint::kChat ? prepare_chat(body, model, identity)
                                     : prepare_completion(body, model, identity);
}

std::string random_id() {
  std::random_device device;
  return fmt::format("{:08x}{:08x}{:08x}", device(), device(), device());
}

}  // namespace gossamer
