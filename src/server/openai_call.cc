#include "server/openai_call.h"

#include <memory>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "server/chat_prompt.h"
#include "server/chat_response.h"
#include "server/completion_response.h"
#include "server/constraints.h"
#include "server/openai_request.h"
#include "server/prepare_requests.h"

namespace gossamer {
namespace {

using Prompts = std::vector<std::vector<int32_t>>;

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

}  // namespace

ApiResult<PreparedCall> prepare_chat_request(const ChatRequest& request, const ServedModel& model,
                                             const CallIdentity& identity, ResponseOptions& response) {
  if (auto error = check_model_name(request.common, model)) return *std::move(error);
  ApiResult<std::vector<int32_t>> prompt = render_chat_prompt(request, model);
  if (!prompt.ok()) return prompt.error();
  const ApiResult<OutputConstraint> constraint = constrain_chat(request, model);
  if (!constraint.ok()) return constraint.error();

  response.choice.harmony = model.has_chat_form;
  for (const ChatTool* tool : visible_tools(request))
    response.choice.functions.push_back(tool->function.name);
  Prompts prompts;
  prompts.push_back(std::move(prompt).value());
  ApiResult<PreparedCall> call =
      prepare_requests(request.common, std::move(prompts), "messages", model, identity, response);
  if (!call.ok()) return call;
  PreparedCall prepared = std::move(call).value();
  constraint.value().apply_to(prepared.requests);
  return prepared;
}

namespace {

ApiResult<PreparedCall> prepare_chat(const json::value& body, const ServedModel& model,
                                     const CallIdentity& identity) {
  ApiResult<ChatRequest> parsed = parse_chat_request(body);
  if (!parsed.ok()) return parsed.error();
  const ChatRequest& request = parsed.value();
  ResponseOptions response;
  ApiResult<PreparedCall> call = prepare_chat_request(request, model, identity, response);
  if (!call.ok()) return call;
  PreparedCall prepared = std::move(call).value();
  prepared.response =
      std::make_unique<ChatResponse>(*model.tokenizer, std::move(response), request.include_reasoning);
  return prepared;
}

// Where the final norm's output at the prompt's last token will be. The engine's thread writes it before it
// gives the outputs that complete the response. [hidden_dim]
std::shared_ptr<const std::vector<float>> keep_hidden(Request& request) {
  auto hidden = std::make_shared<std::vector<float>>();
  request.on_prompt_logits = [hidden, last = static_cast<int64_t>(request.prompt.size()) - 1](
                                 int64_t position, std::span<const float> /*logits*/,
                                 std::span<const float> of_position) {
    if (position == last) hidden->assign(of_position.begin(), of_position.end());
  };
  return hidden;
}

ApiResult<PreparedCall> prepare_completion(const json::value& body, const ServedModel& model,
                                           const CallIdentity& identity) {
  ApiResult<CompletionRequest> parsed = parse_completion_request(body);
  if (!parsed.ok()) return parsed.error();
  const CompletionRequest& request = parsed.value();
  if (auto error = check_model_name(request.common, model)) return *std::move(error);
  ApiResult<Prompts> prompts = encode_prompts(request, model);
  if (!prompts.ok()) return prompts.error();
  const ApiResult<OutputConstraint> constraint = constrain_completion(request, model);
  if (!constraint.ok()) return constraint.error();
  ResponseOptions response;
  ApiResult<PreparedCall> call =
      prepare_requests(request.common, std::move(prompts).value(), "prompt", model, identity, response);
  if (!call.ok()) return call;
  PreparedCall prepared = std::move(call).value();
  constraint.value().apply_to(prepared.requests);
  CompletionForm form = {.echo = request.echo, .tokens_as_ids = request.tokens_as_ids};
  for (Request& asked : prepared.requests) {
    if (request.echo) asked.prompt_logprobs = request.common.top_logprobs;
    if (request.hidden_states) form.hidden.push_back(keep_hidden(asked));
  }
  prepared.response =
      std::make_unique<CompletionResponse>(*model.tokenizer, std::move(response), std::move(form));
  return prepared;
}

}  // namespace

ApiResult<PreparedCall> prepare_call(Endpoint endpoint, const json::value& body, const ServedModel& model,
                                     const CallIdentity& identity) {
  return endpoint == Endpoint::kChat ? prepare_chat(body, model, identity)
                                     : prepare_completion(body, model, identity);
}

uint64_t random_seed() {
  thread_local std::random_device device;  // opening one costs more than all it is asked
  return (static_cast<uint64_t>(device()) << 32) | device();
}

std::string random_id() {
  return fmt::format("{:016x}{:08x}", random_seed(), static_cast<uint32_t>(random_seed()));
}

}  // namespace gossamer
