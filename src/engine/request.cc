#include "engine/request.h"

#include <algorithm>
#include <utility>

#include "model/model.h"

namespace gossamer {
namespace {

RequestError invalid(std::string message) { return {RequestErrorKind::kInvalid, std::move(message)}; }

// The first id that is none of the model's.
std::optional<int32_t> find_unknown(const std::vector<int32_t>& ids, int64_t vocab_size) {
  const auto found =
      std::find_if(ids.begin(), ids.end(), [&](int32_t id) { return id < 0 || id >= vocab_size; });
  if (found == ids.end()) return std::nullopt;
  return *found;
}

}  // namespace

std::optional<RequestError> check_request(const Request& request, const ModelInfo& info,
                                          int64_t max_model_len) {
  const int64_t vocab_size = info.vocab_size;
  const auto prompt_size = static_cast<int64_t>(request.prompt.size());
  if (request.prompt.empty()) return invalid("the prompt is empty: expected at least one token");
  if (const auto id = find_unknown(request.prompt, vocab_size)) {
    return invalid(fmt::format("the prompt has token id {}: expected 0 to {}", *id, vocab_size - 1));
  }
  if (request.max_new_tokens < 0) {
    return invalid(fmt::format("max_new_tokens: expected 0 or more, found {}", request.max_new_tokens));
  }
  const int64_t least = prompt_size + (request.max_new_tokens > 0 ? 1 : 0);
  if (least > max_model_len) {
    return invalid(fmt::format("the prompt has {} tokens, but at most {} fit into --max-model-len {}{}",
                               prompt_size, max_model_len - (least - prompt_size), max_model_len,
                               max_model_len < info.max_positions
                                   ? fmt::format(" (the model's own limit is {})", info.max_positions)
                                   : ""));
  }
  if (request.min_new_tokens < 0 || request.min_new_tokens > request.max_new_tokens) {
    return invalid(fmt::format("min_new_tokens: expected 0 to max_new_tokens ({}), found {}",
                               request.max_new_tokens, request.min_new_tokens));
  }
  if (request.num_sequences < 1 || request.num_sequences > kMaxSequencesPerRequest) {
    return invalid(fmt::format("num_sequences: expected 1 to {}, found {}", kMaxSequencesPerRequest,
                               request.num_sequences));
  }
  for (const int logprobs : {request.top_logprobs, request.prompt_logprobs}) {
    if (logprobs < -1 || logprobs > vocab_size) {
      return invalid(fmt::format("logprobs: expected -1 (none) to {}, found {}", vocab_size, logprobs));
    }
  }
  return check_sampling_params(request.sampling, vocab_size);
}

}  // namespace gossamer
