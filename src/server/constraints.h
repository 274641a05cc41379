// What a request's answers are held to while they are sampled (docs/grammar.md, "In the server"): the form of
// its fields as a grammar out of the model's cache, and the engine's TokenConstraint that follows it. Called
// by openai_call.cc and by the other endpoints that make a ChatRequest:
//
//   constrain_chat -> ... the engine's requests are made ... -> apply_to
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "engine/request.h"
#include "engine/token_constraint.h"
#include "server/api_error.h"
#include "server/openai_request.h"
#include "server/served_model.h"

namespace gossamer {

struct OutputConstraint {
  std::function<std::unique_ptr<TokenConstraint>()> make;  // null: anything may come
  // The tokens that end what the grammar allows: they end a sequence even where the request ignores the
  // model's own.
  std::vector<int32_t> end_ids;

  void apply_to(std::vector<Request>& requests) const;
};

// Every answer of a model with Harmony keeps to that and to what the request asks for; that of a model with
// a chat_template to response_format, as a whole. The error says
// which field cannot be enforced, or has a schema that is not supported, and where.
ApiResult<OutputConstraint> constrain_chat(const ChatRequest& request, const ServedModel& model);

// The form of a completion's whole text; nothing where it asks for none.
ApiResult<OutputConstraint> constrain_completion(const CompletionRequest& request, const ServedModel& model);

}  // namespace gossamer
