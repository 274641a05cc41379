#include "server/prepare_requests.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace gossamer {
namespace {

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

}  // namespace

std::optional<ApiError> check_model_name(const CommonFields& common, const ServedModel& model) {
  if (!common.model || std::find(model.names.begin(), model.names.end(), *common.model) != model.names.end())
    return std::nullopt;
  return ApiError{.status = 404,
                  .message = fmt::format("model: \"{}\" is not served here; there is {}", *common.model,
                                         fmt::join(model.names, ", ")),
                  .param = "model",
                  .code = "model_not_found"};
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

ApiResult<PreparedCall> prepare_requests(const CommonFields& common,
                                         std::vector<std::vector<int32_t>> prompts,
                                         std::string_view prompt_param, const ServedModel& model,
                                         const CallIdentity& identity, ResponseOptions& response) {
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
  shared.priority = common.priority;
  shared.cache_salt = common.cache_salt;

  PreparedCall call{.requests = {}, .response = {}, .stream = common.stream};
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
  response.stream_usage = common.stream_usage;
  response.include_timings = common.include_timings;
  response.prompts = std::move(prompts);
  return call;
}

}  // namespace gossamer
