// SseParser: server-sent events out of a stream of bytes, in whatever pieces they come (the WHATWG standard's
// event stream). For clients of streaming endpoints.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace gossamer {

struct SseEvent {
  std::string type;  // of the "event" field; empty: "message"
  std::string data;  // lines joined by "\n"
  std::string id;    // the last one given, by this event or an earlier one
};

class SseParser {
 public:
  // An event of more bytes than that is not waited for: see is_overlong().
  explicit SseParser(std::size_t max_event_bytes = std::size_t{16} << 20);

  // Calls `sink` for every event that `bytes` completes: at the first byte of its blank line, not later.
  // Events without a data line are none.
  void push(std::string_view bytes, const std::function<void(const SseEvent&)>& sink);

  // Bytes of a line or an event have come that nothing has completed: a stream that ends here was cut off.
  bool has_unfinished() const { return !line_.empty() || has_fields_; }

  // An event was too long; nothing is read any more.
  bool is_overlong() const { return is_overlong_; }

 private:
  void end_line(std::string_view line, const std::function<void(const SseEvent&)>& sink);
  void read_field(std::string_view name, std::string_view value);

  std::size_t max_event_bytes_;
  SseEvent event_;
  std::string line_;         // the beginning of one
  bool has_data_ = false;    // a data line, be it empty
  bool has_fields_ = false;  // any line of an event
  bool skip_newline_ = false;
  bool is_first_line_ = true;
  bool is_overlong_ = false;
};

}  // namespace gossamer
