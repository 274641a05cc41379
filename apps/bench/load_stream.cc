#include "apps/bench/load_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace gossamer::apps {
namespace {

constexpr std::size_t kShownBytes = 300;

std::string shortened(std::string_view text) {
  return text.size() <= kShownBytes ? std::string(text) : std::string(text.substr(0, kShownBytes)) + " ...";
}

// The text at a key; empty where there is none, or null.
std::string_view text_at(const json::object& object, const char* key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
}

std::optional<int64_t> integer_at(const json::object& object, const char* key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_int64()) return std::nullopt;
  return value->get_int64();
}

std::optional<int64_t> size_at(const json::object& object, const char* key) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr || !value->is_array()) return std::nullopt;
  return static_cast<int64_t>(value->get_array().size());
}

// Of the event that carries them: token_ids, or log-probabilities, which have one entry for each token.
std::optional<int64_t> tokens_of(const json::object& choice) {
  if (const auto ids = size_at(choice, "token_ids")) return ids;
  const json::value* logprobs = choice.if_contains("logprobs");
  if (logprobs == nullptr || !logprobs->is_object()) return std::nullopt;
  if (const auto content = size_at(logprobs->get_object(), "content")) return content;
  return size_at(logprobs->get_object(), "tokens");
}

void take_ids(const json::object& choice, std::vector<int32_t>& ids) {
  const json::value* list = choice.if_contains("token_ids");
  if (list == nullptr || !list->is_array()) return;
  for (const json::value& id : list->get_array()) {
    if (id.is_int64()) ids.push_back(static_cast<int32_t>(id.get_int64()));
  }
}

LoadError error_of(HttpFailureKind kind) {
  switch (kind) {
    case HttpFailureKind::kConnect:
    case HttpFailureKind::kTls:
      return LoadError::kConnect;
    case HttpFailureKind::kTimeout:
      return LoadError::kTimeout;
    case HttpFailureKind::kBroken:
    case HttpFailureKind::kMalformed:
      break;
  }
  return LoadError::kBroken;
}

}  // namespace

const char* load_error_name(LoadError error) {
  static constexpr const char* kNames[kNumLoadErrors] = {"connect",   "timeout",     "status", "broken",
                                                         "bad_event", "error_event", "empty",  "mismatch"};
  return kNames[static_cast<std::size_t>(error)];
}

LoadStream::LoadStream(LoadEndpoint endpoint, std::size_t prompt, double start) : endpoint_(endpoint) {
  record_.prompt = prompt;
  record_.start = start;
}

void LoadStream::fail(LoadError kind, std::string message, int status) {
  if (has_failed()) return;  // the first is the reason of those that follow
  record_.failure = LoadFailure{.kind = kind, .status = status, .message = std::move(message)};
}

void LoadStream::on_head(const HttpResponse& head) {
  status_ = head.status;
  if (status_ != 200 || head.content_type.starts_with("text/event-stream")) return;
  fail(LoadError::kBadEvent,
       fmt::format("expected a stream of type text/event-stream, found \"{}\"", head.content_type));
}

void LoadStream::on_body(std::string_view bytes, double now) {
  if (status_ != 200) {
    if (error_body_.size() < kShownBytes) error_body_ += bytes;
    return;
  }
  now_ = now;
  parser_.push(bytes, [this](const SseEvent& event) { on_event(event); });
  if (parser_.is_overlong()) fail(LoadError::kBadEvent, "an event of more than 16 MiB");
}

void LoadStream::on_event(const SseEvent& event) {
  if (has_failed() || is_done_) return;
  if (event.data == "[DONE]") {
    is_done_ = true;
    record_.end = now_;
    return;
  }
  const auto wrong = [&](const char* why) {
    fail(LoadError::kBadEvent, fmt::format("an event that is {}: {}", why, shortened(event.data)));
  };
  boost::system::error_code error;
  const json::value value = json::parse(event.data, error);
  if (error) return wrong("not valid JSON");
  if (!value.is_object()) return wrong("no JSON object");
  const json::object& chunk = value.get_object();
  if (const json::value* failed = chunk.if_contains("error"); failed != nullptr && !failed->is_null())
    return fail(LoadError::kErrorEvent, shortened(json::serialize(*failed)));
  const json::value* choices = chunk.if_contains("choices");
  if (choices == nullptr || !choices->is_array()) return wrong("no chunk of an answer, without \"choices\"");
  std::size_t bytes = 0;
  std::optional<int64_t> num_tokens;
  for (const json::value& choice : choices->get_array()) {
    const std::optional<std::size_t> added = read_choice(choice, num_tokens);
    if (!added) return wrong("no chunk of an answer, without text or delta in a choice");
    bytes += *added;
  }
  const int64_t counted = usage_tokens_.value_or(0);
  read_usage(chunk, bytes > 0);
  if (bytes == 0) return;
  if (!num_tokens && is_running_usage_) num_tokens = usage_tokens_.value_or(0) - counted;
  add_text(bytes, num_tokens);
}

// A usage beside the first text runs on from there (vLLM's continuous_usage_stats); else it is the whole's.
void LoadStream::read_usage(const json::object& chunk, bool has_text) {
  const json::value* usage = chunk.if_contains("usage");
  if (usage == nullptr || !usage->is_object()) return;
  record_.prompt_tokens = integer_at(usage->get_object(), "prompt_tokens").value_or(0);
  usage_tokens_ = integer_at(usage->get_object(), "completion_tokens");
  if (has_text && arrivals_.empty()) is_running_usage_ = usage_tokens_.has_value();
}

std::optional<std::size_t> LoadStream::read_choice(const json::value& value,
                                                   std::optional<int64_t>& num_tokens) {
  if (!value.is_object()) return std::nullopt;
  const json::object& choice = value.get_object();
  if (const std::string_view reason = text_at(choice, "finish_reason"); !reason.empty())
    finish_reason_ = reason;
  num_tokens = tokens_of(choice);
  take_ids(choice, token_ids_);
  if (endpoint_ == LoadEndpoint::kCompletions) {
    if (!choice.contains("text")) return std::nullopt;
    content_ += text_at(choice, "text");
    return text_at(choice, "text").size();
  }
  const json::value* delta = choice.if_contains("delta");
  if (delta == nullptr || !delta->is_object()) return std::nullopt;
  return read_delta(delta->get_object());
}

std::size_t LoadStream::read_delta(const json::object& delta) {
  std::string_view reasoning = text_at(delta, "reasoning_content");  // some servers send it under both names
  if (reasoning.empty()) reasoning = text_at(delta, "reasoning");
  std::string_view content = text_at(delta, "content");
  if (content.empty()) content = text_at(delta, "refusal");
  reasoning_ += reasoning;
  content_ += content;
  std::size_t bytes = reasoning.size() + content.size();
  const json::value* calls = delta.if_contains("tool_calls");
  if (calls == nullptr || !calls->is_array()) return bytes;
  for (const json::value& call : calls->get_array()) {
    const json::value* function = call.is_object() ? call.get_object().if_contains("function") : nullptr;
    if (function == nullptr || !function->is_object()) continue;
    const std::string_view name = text_at(function->get_object(), "name");
    const std::string_view arguments = text_at(function->get_object(), "arguments");
    calls_.append(name).append(arguments);
    bytes += name.size() + arguments.size();
  }
  return bytes;
}

void LoadStream::add_text(std::size_t bytes, std::optional<int64_t> num_tokens) {
  if (arrivals_.empty()) record_.first_token = now_;
  if (arrivals_.empty() || arrivals_.back().seconds != now_) arrivals_.push_back({.seconds = now_});
  Arrival& arrival = arrivals_.back();
  ++record_.events;
  if (num_tokens) {
    arrival.known_tokens += static_cast<double>(*num_tokens);
  } else {
    ++arrival.unknown_events;
    arrival.unknown_bytes += bytes;
  }
}

void LoadStream::count_tokens() {
  double known = 0.0;
  double events = 0.0;
  double bytes = 0.0;
  for (const Arrival& arrival : arrivals_) {
    known += arrival.known_tokens;
    events += static_cast<double>(arrival.unknown_events);
    bytes += static_cast<double>(arrival.unknown_bytes);
  }
  record_.is_counted = usage_tokens_.has_value();
  record_.tokens = usage_tokens_.value_or(static_cast<int64_t>(known + events));
  const double rest = std::max(0.0, static_cast<double>(record_.tokens) - known);
  const double per_event = events > 0.0 ? std::min(1.0, rest / events) : 0.0;
  const double per_byte = bytes > 0.0 ? std::max(0.0, rest - events) / bytes : 0.0;
  record_.coalesced_tokens = std::max(int64_t{0}, record_.tokens - static_cast<int64_t>(arrivals_.size()));
  for (std::size_t i = 0; i < arrivals_.size(); ++i) {
    const Arrival& arrival = arrivals_[i];
    const double tokens = arrival.known_tokens + per_event * static_cast<double>(arrival.unknown_events) +
                          per_byte * static_cast<double>(arrival.unknown_bytes);
    if (i == 0 || tokens <= 0.0) continue;
    const double seconds = (arrival.seconds - arrivals_[i - 1].seconds) / std::max(1.0, tokens);
    record_.gaps.push_back({static_cast<float>(seconds), static_cast<float>(tokens)});
  }
}

LoadRecord LoadStream::finish(const std::optional<HttpFailure>& failure, double now) {
  if (failure) {
    fail(error_of(failure->kind), failure->message);
  } else if (status_ != 200) {
    fail(LoadError::kStatus, fmt::format("{} {}", status_, shortened(error_body_)), status_);
  } else if (!is_done_) {
    fail(LoadError::kBroken, finish_reason_.empty() ? "the stream ended without finish_reason and [DONE]"
                                                    : "the stream ended without [DONE]");
  } else if (finish_reason_.empty()) {
    fail(LoadError::kBroken, "the stream ended without a finish_reason");
  } else if (arrivals_.empty()) {
    fail(LoadError::kEmpty, "the answer has no text");
  }
  if (has_failed()) {
    record_.end = now;
  } else {
    count_tokens();
    record_.answer = fmt::format("{}\n{}\n{}\n{}", reasoning_, content_, calls_, finish_reason_);
  }
  return std::move(record_);
}

}  // namespace gossamer::apps
