#include "apps/subject/likelihood_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <utility>

namespace gossamer::apps {

Result<LikelihoodTokens> split_likelihood(const Subject& model, const LikelihoodQuestion& question) {
  const std::vector<int32_t> alone = model.encode(question.context);
  LikelihoodTokens tokens;
  tokens.answer = {.logprobs = std::vector<double>(question.continuations.size()),
                   .num_context_tokens = static_cast<int64_t>(alone.size())};
  for (const std::string& continuation : question.continuations) {
    const std::vector<int32_t> whole = model.encode(question.context + continuation);
    const auto cut = whole.begin() + static_cast<std::ptrdiff_t>(std::min(alone.size(), whole.size()));
    LikelihoodTokens::Part part = {.context = {whole.begin(), cut}, .continuation = {cut, whole.end()}};
    if (part.continuation.empty())  // it has melted into the context's last token
      part = {.context = alone, .continuation = model.encode(continuation)};
    if (part.context.empty()) part.context = {model.prefix_token()};
    const int64_t most = model.max_model_len() - static_cast<int64_t>(part.continuation.size());
    if (most < 1 || part.continuation.empty()) {
      return RequestError{
          .kind = RequestErrorKind::kInvalid,
          .message = fmt::format("a continuation of {} tokens cannot be scored by a model of {}",
                                 part.continuation.size(), model.max_model_len())};
    }
    if (const int64_t excess = static_cast<int64_t>(part.context.size()) - most; excess > 0) {
      part.context.erase(part.context.begin(), part.context.begin() + excess);
      tokens.answer.num_dropped_tokens = std::max(tokens.answer.num_dropped_tokens, excess);
    }
    tokens.parts.push_back(std::move(part));
  }
  return tokens;
}

}  // namespace gossamer::apps
