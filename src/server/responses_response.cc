#include "server/responses_response.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "server/logprobs_json.h"
#include "server/responses_items.h"

namespace gossamer {
namespace {

using Kind = ChoicePart::Kind;

json::object responses_usage(const TokenUsage& usage) {
  return {{"input_tokens", usage.prompt_tokens},
          {"input_tokens_details", {{"cached_tokens", usage.cached_tokens}, {"cache_write_tokens", 0}}},
          {"output_tokens", usage.completion_tokens},
          {"output_tokens_details", {{"reasoning_tokens", usage.reasoning_tokens}}},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

// The codes are a closed set, which the SDKs know.
std::string_view error_code(const ApiError& error) {
  if (error.status == 429) return "rate_limit_exceeded";
  return error.status == 400 ? "invalid_prompt" : "server_error";
}

std::string_view status_of(bool has_ended, bool was_cut) {
  if (was_cut) return "incomplete";
  return has_ended ? "completed" : "in_progress";
}

json::array one(json::value element) {
  json::array array;
  array.push_back(std::move(element));
  return array;
}

}  // namespace

ResponsesResponse::ResponsesResponse(const Tokenizer& tokenizer, ResponseOptions options,
                                     ResponsesOptions responses)
    : CallResponse(tokenizer, std::move(options)), responses_(std::move(responses)) {
  GOSSAMER_CHECK_EQ(choices().size(), 1U);
}

void ResponsesResponse::on_complete() {
  if (responses_.store == nullptr) return;
  auto stored = std::make_unique<StoredResponse>();
  stored->id = "resp_" + options().id;
  stored->response = to_json();
  stored->input = std::move(responses_.input);
  stored->previous = std::move(responses_.previous);
  responses_.store->put(std::move(stored));
}

ResponsesResponse::Item ResponsesResponse::item_of(std::size_t part) const {
  const std::vector<ChoicePart>& parts = choice().parts();
  const ChoicePart& what = parts[part];
  const bool is_last = part + 1 == parts.size();
  Item item{.kind = what.kind, .has_ended = !is_last || done()};
  item.was_cut = is_last && (error().has_value() || choice().finish_reason() == "length");
  if (what.kind == Kind::kToolCall) {
    item.call = what.begin;
    item.end = choice().tool_calls()[what.begin].arguments.size();
    item.is_shown = true;
    return item;
  }
  const auto next = std::find_if(parts.begin() + static_cast<std::ptrdiff_t>(part) + 1, parts.end(),
                                 [&](const ChoicePart& other) { return other.kind == what.kind; });
  const std::string& text = text_of(item);
  item.end = next == parts.end() ? text.size() : next->begin;
  item.part_begin = what.begin;
  // A later part of a kind begins with the blank line that sets it off where all stand in one text.
  item.begin = what.begin == 0 ? 0 : std::min(text.find_first_not_of('\n', what.begin), item.end);
  const bool is_wanted = what.kind == Kind::kContent || responses_.include_reasoning;
  item.is_shown = is_wanted && item.begin < item.end;
  return item;
}

const std::string& ResponsesResponse::text_of(const Item& item) const {
  if (item.kind == Kind::kToolCall) return choice().tool_calls()[item.call].arguments;
  return item.kind == Kind::kReasoning ? choice().reasoning() : choice().content();
}

std::string ResponsesResponse::id_of(const Item& item, std::size_t index) const {
  const std::string_view prefix =
      item.kind == Kind::kToolCall ? "fc" : (item.kind == Kind::kReasoning ? "rs" : "msg");
  return fmt::format("{}_{}_{}", prefix, options().id, index);
}

json::array ResponsesResponse::logprobs_of(const Item& item, std::size_t first) const {
  json::array out;
  if (options().top_logprobs < 0 || item.kind != Kind::kContent) return out;
  const std::vector<ContentToken>& tokens = choice().content_tokens();
  auto token = std::lower_bound(
      tokens.begin() + static_cast<std::ptrdiff_t>(first), tokens.end(), item.part_begin,
      [](const ContentToken& candidate, std::size_t begin) { return candidate.begin < begin; });
  for (; token != tokens.end() && token->begin < item.end; ++token)
    out.push_back(chat_logprob(tokenizer(), token->logprobs));
  return out;
}

json::object ResponsesResponse::content_part(const Item& item, std::string_view text,
                                             json::array logprobs) const {
  if (item.kind == Kind::kReasoning) return {{"type", "reasoning_text"}, {"text", text}};
  return {{"type", "output_text"},
          {"text", text},
          {"annotations", json::array()},
          {"logprobs", std::move(logprobs)}};
}

// As it stands when the stream begins to tell it.
json::object ResponsesResponse::empty_item_json(const Item& item, std::size_t index) const {
  json::object out = {{"id", id_of(item, index)}};
  if (item.kind == Kind::kToolCall) {
    const ToolCall& call = choice().tool_calls()[item.call];
    out.emplace("type", "function_call");
    out.emplace("call_id", call.id);
    out.emplace("name", call.function);
    out.emplace("arguments", "");
  } else if (item.kind == Kind::kReasoning) {
    out.emplace("type", "reasoning");
    out.emplace("summary", json::array());
    out.emplace("content", json::array());
    out.emplace("encrypted_content", nullptr);
  } else {
    out.emplace("type", "message");
    out.emplace("role", "assistant");
    out.emplace("content", json::array());
  }
  out.emplace("status", "in_progress");
  return out;
}

json::object ResponsesResponse::item_json(const Item& item, std::size_t index) const {
  json::object out = empty_item_json(item, index);
  const std::string_view text = std::string_view(text_of(item)).substr(item.begin, item.end - item.begin);
  out["status"] = status_of(item.has_ended, item.was_cut);
  if (item.kind == Kind::kToolCall) {
    out["arguments"] = text;
  } else {
    out["content"] = one(content_part(item, text, logprobs_of(item, 0)));
  }
  if (item.kind == Kind::kReasoning && responses_.encrypted_reasoning)
    out["encrypted_content"] = std::string(kPlainReasoning) + std::string(text);
  return out;
}

json::array ResponsesResponse::output_json() const {
  json::array output;
  for (std::size_t part = 0; part < choice().parts().size(); ++part) {
    const Item item = item_of(part);
    if (item.is_shown) output.push_back(item_json(item, output.size()));
  }
  return output;
}

json::object ResponsesResponse::response_json(std::string_view status, json::array output) const {
  const bool in_progress = status == "in_progress";
  json::value failure(nullptr);
  if (status == "failed")
    failure = json::object{{"code", error_code(*error())}, {"message", error()->message}};
  json::value incomplete(nullptr);
  if (status == "incomplete") incomplete = json::object{{"reason", "max_output_tokens"}};
  json::object out = {{"id", "resp_" + options().id},
                      {"object", "response"},
                      {"created_at", options().created},
                      {"status", status},
                      {"error", std::move(failure)},
                      {"incomplete_details", std::move(incomplete)},
                      {"model", options().model},
                      {"output", std::move(output)},
                      {"usage", in_progress ? json::value(nullptr) : json::value(responses_usage(usage()))}};
  for (const auto& member : responses_.echo) out.emplace(member.key(), member.value());
  if (in_progress) return out;
  if (options().return_token_ids) {
    out.emplace("prompt_token_ids", ids_json(options().prompts.front()));
    out.emplace("token_ids", ids_json(choice().token_ids()));
  }
  if (options().include_timings) out.emplace("timings", timings_json(times()));
  return out;
}

json::object ResponsesResponse::to_json() const {
  GOSSAMER_CHECK(done() && !error());
  return response_json(choice().finish_reason() == "length" ? "incomplete" : "completed", output_json());
}

void ResponsesResponse::append(std::string& out, std::string_view type, json::object data) {
  data.emplace("type", type);
  data.emplace("sequence_number", sequence_number_++);
  append_event(out, data, type);
}

// `place`: the members by which events about the item name it.
void ResponsesResponse::open_item(std::string& out, const Item& item, const json::object& place) {
  json::object added = {{"output_index", told_.num_items}, {"item", empty_item_json(item, told_.num_items)}};
  append(out, "response.output_item.added", std::move(added));
  told_.is_open = true;
  if (item.kind == Kind::kToolCall) return;
  json::object part = place;
  part.emplace("part", content_part(item, "", {}));
  append(out, "response.content_part.added", std::move(part));
}

void ResponsesResponse::close_item(std::string& out, const Item& item, const json::object& place) {
  const std::string_view text = std::string_view(text_of(item)).substr(item.begin, item.end - item.begin);
  json::object whole = place;
  if (item.kind == Kind::kToolCall) {
    whole.emplace("name", choice().tool_calls()[item.call].function);
    whole.emplace("arguments", text);
    append(out, "response.function_call_arguments.done", std::move(whole));
  } else {
    const bool is_reasoning = item.kind == Kind::kReasoning;
    whole.emplace("text", text);
    if (!is_reasoning) whole.emplace("logprobs", logprobs_of(item, 0));
    append(out, is_reasoning ? "response.reasoning_text.done" : "response.output_text.done",
           std::move(whole));
    json::object part = place;
    part.emplace("part", content_part(item, text, logprobs_of(item, 0)));
    append(out, "response.content_part.done", std::move(part));
  }
  json::object done_item = {{"output_index", told_.num_items}, {"item", item_json(item, told_.num_items)}};
  append(out, "response.output_item.done", std::move(done_item));
}

// What is new of the part that is being told.
void ResponsesResponse::append_item(std::string& out, const Item& item) {
  json::object place = {{"item_id", id_of(item, told_.num_items)}, {"output_index", told_.num_items}};
  if (item.kind != Kind::kToolCall) place.emplace("content_index", 0);
  if (!told_.is_open) open_item(out, item, place);
  const std::size_t told = item.begin + told_.bytes;
  if (told < item.end) {
    json::object delta = place;
    delta.emplace("delta", std::string_view(text_of(item)).substr(told, item.end - told));
    std::string_view type = "response.function_call_arguments.delta";
    if (item.kind == Kind::kReasoning) {
      type = "response.reasoning_text.delta";
    } else if (item.kind == Kind::kContent) {
      type = "response.output_text.delta";
      json::array logprobs = logprobs_of(item, told_.tokens);
      told_.tokens += logprobs.size();
      delta.emplace("logprobs", std::move(logprobs));
    }
    append(out, type, std::move(delta));
    told_.bytes = item.end - item.begin;
  }
  if (item.has_ended && !error()) close_item(out, item, place);
}

void ResponsesResponse::append_end(std::string& out) {
  has_ended_ = true;
  json::object last = error() ? response_json("failed", output_json()) : to_json();
  const std::string type = fmt::format("response.{}", std::string_view(last.at("status").as_string()));
  json::object data = {{"response", std::move(last)}};
  append(out, type, std::move(data));
}

std::string ResponsesResponse::take_events() {
  std::string out;
  if (has_ended_) return out;
  if (!std::exchange(has_begun_, true)) {
    for (const std::string_view type : {"response.created", "response.in_progress"}) {
      json::object data = {{"response", response_json("in_progress", {})}};
      append(out, type, std::move(data));
    }
  }
  for (; told_.part < choice().parts().size(); ++told_.part) {
    const Item item = item_of(told_.part);
    if (item.is_shown) append_item(out, item);
    if (!item.has_ended) break;
    if (item.is_shown) ++told_.num_items;
    told_.is_open = false;
    told_.bytes = 0;
  }
  if (done()) append_end(out);
  return out;
}

}  // namespace gossamer
