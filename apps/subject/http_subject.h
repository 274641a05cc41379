// HttpSubject: a model behind an OpenAI-compatible endpoint as the subject of eval and verify. Answers come
// from /v1/chat/completions and /v1/completions as streams, log-probabilities from /v1/completions with echo
// and prompts of token ids, tokens from /tokenize and /detokenize or from a local tokenizer. What an endpoint
// cannot do is a RequestError of kOverloaded that says what is missing.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apps/subject/endpoint_client.h"
#include "apps/subject/open_subject.h"
#include "apps/subject/subject.h"
#include "text/tokenizer.h"

namespace gossamer::apps {

class HttpSubject : public Subject {
 public:
  // Asks the endpoint for its models. Throws Error when it cannot be reached, when which model is meant is
  // not clear, and when its longest sequence is not known.
  explicit HttpSubject(const SubjectOptions& options);

  json::object identity() const override { return identity_; }
  int64_t max_model_len() const override { return max_model_len_; }
  // Not known before a conversation is asked: an endpoint without one answers that with an error.
  bool has_chat_form() const override { return true; }
  std::vector<int32_t> encode(std::string_view text) const override;
  std::string decode(std::span<const int32_t> ids) const override;
  int32_t prefix_token() const override;

  Result<CompletionAnswer> complete(const CompletionQuestion& question) override;
  Result<LikelihoodAnswer> loglikelihood(const LikelihoodQuestion& question) override;
  // TokenLogprobs::rank of a token that is not among the `num_top` is `num_top`, which it is at least.
  Result<std::vector<TokenLogprobs>> score_tokens(std::span<const int32_t> ids, int num_top) override;
  Result<std::vector<float>> last_hidden(std::span<const int32_t> ids) override;
  void stop() override { client_->stop(); }

 private:
  using TokenLists = std::vector<std::vector<int32_t>>;

  json::array messages(const std::string& prompt) const;
  json::object body(const CompletionQuestion& question) const;
  Result<CompletionAnswer> stream(bool chat, const json::object& body);
  // Tokens of the whole prompt; nothing where the endpoint does not tell.
  std::optional<int64_t> count_prompt(const CompletionQuestion& question) const;
  // The choices of /v1/completions for prompts that are only computed.
  Result<json::array> compute(const TokenLists& prompts, const json::object& more);
  Result<std::vector<std::vector<TokenLogprobs>>> echo(const TokenLists& prompts, int num_top);
  RequestError lacks(std::string_view what) const;

  json::object identity_;
  ChatOptions chat_;
  std::unique_ptr<EndpointClient> client_;
  std::string model_;
  int64_t max_model_len_ = 0;
  std::unique_ptr<Tokenizer> tokenizer_;  // none: the endpoint's
  // max_tokens of a prompt that is only computed: 1 where the endpoint refuses 0.
  std::atomic<int> fewest_tokens_ = 0;
};

}  // namespace gossamer::apps
