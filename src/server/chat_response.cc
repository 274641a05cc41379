#include "server/chat_response.h"

#include <fmt/format.h>

#include <utility>

#include "base/check.h"
#include "server/logprobs_json.h"

namespace gossamer {
namespace {

json::object call_json(const ToolCall& call) {
  return {{"id", call.id},
          {"type", "function"},
          {"function", {{"name", call.function}, {"arguments", call.arguments}}}};
}

}  // namespace

ChatResponse::ChatResponse(const Tokenizer& tokenizer, ResponseOptions options, bool include_reasoning)
    : CallResponse(tokenizer, std::move(options)),
      include_reasoning_(include_reasoning),
      cursors_(choices().size()),
      num_ids_(choices().size()) {}

// From content token number `first_token` on; null where nobody asked.
json::value ChatResponse::logprobs_json(const Choice& choice, std::size_t first_token) const {
  if (options().top_logprobs < 0) return nullptr;
  json::array content;
  for (std::size_t i = first_token; i < choice.content_tokens().size(); ++i)
    content.push_back(chat_logprob(tokenizer(), choice.content_tokens()[i].logprobs));
  return json::object{{"content", std::move(content)}, {"refusal", nullptr}};
}

json::object ChatResponse::choice_json(const Choice& choice) const {
  json::object message = {
      {"role", "assistant"}, {"content", text_or_null(choice.content())}, {"refusal", nullptr}};
  if (include_reasoning_ && !choice.reasoning().empty()) {
    message.emplace("reasoning", choice.reasoning());
    message.emplace("reasoning_content", choice.reasoning());
  }
  if (!choice.tool_calls().empty()) {
    json::array calls;
    for (const ToolCall& call : choice.tool_calls()) calls.push_back(call_json(call));
    message.emplace("tool_calls", std::move(calls));
  }
  return {{"message", std::move(message)}, {"logprobs", logprobs_json(choice, 0)}};
}

json::object ChatResponse::to_json() const {
  GOSSAMER_CHECK(done() && !error());
  json::array choices_out;
  for (const std::size_t index : best_choices(0)) {
    const Choice& choice = choices()[index];
    json::object out = {{"index", choices_out.size()}};
    for (auto& member : choice_json(choice)) out.emplace(member.key(), std::move(member.value()));
    out.emplace("finish_reason", choice.finish_reason());
    if (options().return_token_ids) out.emplace("token_ids", ids_json(choice.token_ids()));
    choices_out.push_back(std::move(out));
  }
  json::object response = {{"id", "chatcmpl-" + options().id},  {"object", "chat.completion"},
                           {"created", options().created},      {"model", options().model},
                           {"choices", std::move(choices_out)}, {"usage", usage_json(usage())},
                           {"system_fingerprint", nullptr}};
  if (options().return_token_ids) response.emplace("prompt_token_ids", ids_json(options().prompts.front()));
  if (options().include_timings) response.emplace("timings", timings_json(times()));
  return response;
}

json::object ChatResponse::chunk(json::array choices) const {
  json::object out = {{"id", "chatcmpl-" + options().id}, {"object", "chat.completion.chunk"},
                      {"created", options().created},     {"model", options().model},
                      {"system_fingerprint", nullptr},    {"choices", std::move(choices)}};
  if (options().stream_usage) out.emplace("usage", nullptr);
  return out;
}

void ChatResponse::append_chunk(std::string& out, std::size_t index, json::object delta, json::value logprobs,
                                const std::string& finish_reason) {
  json::object part = {{"index", index},
                       {"delta", std::move(delta)},
                       {"logprobs", std::move(logprobs)},
                       {"finish_reason", text_or_null(finish_reason)}};
  if (options().return_token_ids) part.emplace("token_ids", new_ids_json(choices()[index], num_ids_[index]));
  json::array parts;
  parts.push_back(std::move(part));
  append_event(out, chunk(std::move(parts)));
}

// What is new of a choice; reasoning comes before content, both before calls.
void ChatResponse::append_choice(std::string& out, std::size_t index) {
  const Choice& choice = choices()[index];
  const ChoiceDelta delta = choice.delta_since(cursors_[index]);
  if (include_reasoning_ && !delta.reasoning.empty()) {
    append_chunk(out, index, {{"reasoning", delta.reasoning}, {"reasoning_content", delta.reasoning}},
                 nullptr, "");
  }
  const bool has_tokens = options().top_logprobs >= 0 && delta.first_token < choice.content_tokens().size();
  if (!delta.content.empty() || has_tokens) {
    append_chunk(out, index, {{"content", delta.content}}, logprobs_json(choice, delta.first_token), "");
  }
  for (const ChoiceDelta::Call& call : delta.calls) {
    // A call's id, type and name come once; after that its arguments alone.
    json::object call_delta = {{"index", call.index}};
    if (call.is_new) {
      const ToolCall& known = choice.tool_calls()[call.index];
      call_delta.emplace("id", known.id);
      call_delta.emplace("type", "function");
      call_delta.emplace("function", json::object{{"name", known.function}, {"arguments", call.arguments}});
    } else {
      call_delta.emplace("function", json::object{{"arguments", call.arguments}});
    }
    json::array calls;
    calls.push_back(std::move(call_delta));
    append_chunk(out, index, {{"tool_calls", std::move(calls)}}, nullptr, "");
  }
  if (delta.finished) append_chunk(out, index, {}, nullptr, choice.finish_reason());
}

std::string ChatResponse::take_events() {
  std::string out;
  if (has_ended_) return out;
  if (!has_begun_ && !error()) {
    has_begun_ = true;
    for (std::size_t i = 0; i < choices().size(); ++i)
      append_chunk(out, i, {{"role", "assistant"}, {"content", ""}}, nullptr, "");
  }
  for (std::size_t i = 0; has_begun_ && i < choices().size(); ++i) append_choice(out, i);
  if (!done()) return out;
  has_ended_ = true;
  if (error()) {
    append_event(out, gossamer::to_json(*error()));
  } else if (options().stream_usage || options().include_timings) {
    json::object last = chunk({});
    if (options().stream_usage) last["usage"] = usage_json(usage());
    if (options().include_timings) last.emplace("timings", timings_json(times()));
    append_event(out, last);
  }
  out += kDoneEvent;
  return out;
}

}  // namespace gossamer
