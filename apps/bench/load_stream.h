// LoadStream: one streamed answer of an OpenAI-compatible server, with the time of everything that arrives,
// and the record that is left of it. For `gossamer bench serve`, and for subjects behind a URL.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "http/http_client.h"
#include "http/sse_parser.h"

namespace gossamer::apps {

enum class LoadEndpoint { kChat, kCompletions };

enum class LoadError {
  kConnect,     // no connection, or no trust in it
  kTimeout,     // no whole answer in time
  kStatus,      // another status than 200
  kBroken,      // ended without [DONE], without finish_reason, or in the middle
  kBadEvent,    // an event that is no chunk of an answer, or no event stream at all
  kErrorEvent,  // an event that says that the server failed
  kEmpty,       // whole, and without any text
  kMismatch,    // another answer than the same prompt's first
};
inline constexpr std::size_t kNumLoadErrors = 8;
// "connect", "timeout", ...
const char* load_error_name(LoadError error);

struct LoadFailure {
  LoadError kind = LoadError::kConnect;
  int status = 0;  // of kStatus
  std::string message;
};

// `tokens` that came one after the other, each `seconds` after the one before.
struct TokenGap {
  float seconds = 0.0F;
  float tokens = 0.0F;
};

// Times in seconds, on the clock of whoever gave them.
struct LoadRecord {
  std::size_t prompt = 0;
  double start = 0.0;
  double first_token = 0.0;
  double end = 0.0;
  int64_t prompt_tokens = 0;     // as the server counts; 0: it does not tell
  int64_t tokens = 0;            // as the server counts, or its events with text
  bool is_counted = false;       // by the server
  int64_t events = 0;            // with text
  int64_t coalesced_tokens = 0;  // without an arrival of their own
  std::vector<TokenGap> gaps;
  std::string answer;  // reasoning, content, calls and the finish reason
  std::optional<LoadFailure> failure;

  double to_first_token() const { return first_token - start; }
  double end_to_end() const { return end - start; }
  // Of the tokens after the first.
  double per_token() const {
    return tokens > 1 ? (end - first_token) / static_cast<double>(tokens - 1) : 0.0;
  }
};

// Several tokens can come at once: in one event (the server puts them together) or as several events in one
// read (the network does). Whatever arrives at the same moment is one arrival, and the time since the arrival
// before it is spread over its tokens. How many those are, the event tells (token_ids, logprobs, or a running
// usage); otherwise each event has at least one, and what the usage at the end counts beyond that is spread
// over the events by the length of their text.
class LoadStream {
 public:
  LoadStream(LoadEndpoint endpoint, std::size_t prompt, double start);

  void on_head(const HttpResponse& head);
  void on_body(std::string_view bytes, double now);
  // What comes next does not matter: the answer is a failure.
  bool has_failed() const { return record_.failure.has_value(); }

  // What was said, as text and, where the server tells them, as tokens.
  const std::string& content() const { return content_; }
  const std::string& reasoning() const { return reasoning_; }
  const std::string& finish_reason() const { return finish_reason_; }
  const std::vector<int32_t>& token_ids() const { return token_ids_; }

  LoadRecord finish(const std::optional<HttpFailure>& failure, double now);

 private:
  struct Arrival {
    double seconds = 0.0;
    double known_tokens = 0.0;
    int64_t unknown_events = 0;
    std::size_t unknown_bytes = 0;
  };

  void fail(LoadError kind, std::string message, int status = 0);
  void on_event(const SseEvent& event);
  void read_usage(const json::object& chunk, bool has_text);
  // The bytes of text that a choice adds; nothing where it is no choice.
  std::optional<std::size_t> read_choice(const json::value& choice, std::optional<int64_t>& num_tokens);
  std::size_t read_delta(const json::object& delta);
  void add_text(std::size_t bytes, std::optional<int64_t> num_tokens);
  void count_tokens();

  LoadEndpoint endpoint_;
  LoadRecord record_;
  SseParser parser_;
  double now_ = 0.0;
  int status_ = 0;
  std::string error_body_;
  std::vector<Arrival> arrivals_;
  std::string reasoning_;
  std::string content_;
  std::string calls_;
  std::string finish_reason_;
  std::vector<int32_t> token_ids_;
  std::optional<int64_t> usage_tokens_;
  bool is_running_usage_ = false;
  bool is_done_ = false;
};

}  // namespace gossamer::apps
