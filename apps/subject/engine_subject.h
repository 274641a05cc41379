// EngineSubject: an engine in this process as the subject of eval and verify.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "apps/chat_form.h"
#include "apps/session.h"
#include "apps/subject/subject.h"
#include "engine/engine_thread.h"

namespace gossamer::apps {

class EngineSubject : public Subject {
 public:
  // A loaded session, which outlives this and is stepped by nobody else. Throws Error without a tokenizer.
  EngineSubject(Session& session, ChatOptions chat);

  // What identity() says, of a session that need not be loaded.
  static json::object identity_of(const Session& session, const ChatOptions& chat);

  json::object identity() const override { return identity_of(session_, chat_); }
  int64_t max_model_len() const override { return session_.engine().options().limits.max_model_len; }
  bool has_chat_form() const override { return session_.has_chat_form(); }
  std::vector<int32_t> encode(std::string_view text) const override { return tokenizer_.encode(text); }
  std::string decode(std::span<const int32_t> ids) const override;
  int32_t prefix_token() const override;

  Result<CompletionAnswer> complete(const CompletionQuestion& question) override;
  Result<LikelihoodAnswer> loglikelihood(const LikelihoodQuestion& question) override;
  Result<std::vector<TokenLogprobs>> score_tokens(std::span<const int32_t> ids, int num_top) override;
  Result<std::vector<float>> last_hidden(std::span<const int32_t> ids) override;
  bool gives_logits() const override { return true; }
  std::optional<RequestError> read_logits(std::span<const int32_t> ids, const LogitsSink& sink) override;
  void stop() override;

 protected:
  // Of a session that is loaded later: begin() then.
  struct NotLoaded {};
  EngineSubject(Session& session, ChatOptions chat, NotLoaded);
  void begin() { engine_.emplace(session_.engine()); }

 private:
  // Called on the engine's thread.
  using TokenSink = std::function<void(const Output&)>;

  // Waits until all of the request's sequences have ended. Their reasons, or what went wrong.
  Result<std::vector<FinishReason>> ask(Request request, const TokenSink& sink);
  std::optional<RequestError> score_group(const std::vector<int32_t>& context,
                                          const std::vector<std::vector<int32_t>>& continuations,
                                          std::vector<double>& logprobs);

  Session& session_;
  const Tokenizer& tokenizer_;
  ChatOptions chat_;

  std::mutex mutex_;  // guards what follows
  bool stopped_ = false;
  std::set<RequestId> running_;

  std::optional<EngineThread> engine_;
};

}  // namespace gossamer::apps
