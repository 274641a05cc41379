#include "http/sse_parser.h"

namespace gossamer {

SseParser::SseParser(std::size_t max_event_bytes) : max_event_bytes_(max_event_bytes) {}

void SseParser::push(std::string_view bytes, const std::function<void(const SseEvent&)>& sink) {
  while (!bytes.empty() && !is_overlong_) {
    if (skip_newline_) {  // the second half of a CR LF, whose CR has ended the line
      skip_newline_ = false;
      if (bytes.front() == '\n') {
        bytes.remove_prefix(1);
        continue;
      }
    }
    const std::size_t end = bytes.find_first_of("\r\n");
    const std::string_view piece = bytes.substr(0, end);
    if (line_.size() + piece.size() + event_.data.size() > max_event_bytes_) {
      is_overlong_ = true;
      return;
    }
    if (end == std::string_view::npos) {
      line_.append(piece);
      return;
    }
    skip_newline_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    if (line_.empty()) {
      end_line(piece, sink);
    } else {
      line_.append(piece);
      end_line(line_, sink);
      line_.clear();
    }
  }
}

void SseParser::end_line(std::string_view line, const std::function<void(const SseEvent&)>& sink) {
  if (is_first_line_) {
    is_first_line_ = false;
    if (line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
  }
  if (line.empty()) {
    if (has_data_) sink(event_);
    event_.type.clear();
    event_.data.clear();
    has_data_ = false;
    has_fields_ = false;
    return;
  }
  if (line.front() == ':') return;  // a comment
  has_fields_ = true;
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) {
    read_field(line, {});
    return;
  }
  std::string_view value = line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  read_field(line.substr(0, colon), value);
}

void SseParser::read_field(std::string_view name, std::string_view value) {
  if (name == "data") {
    if (has_data_) event_.data += '\n';
    event_.data += value;
    has_data_ = true;
  } else if (name == "event") {
    event_.type = value;
  } else if (name == "id") {
    if (value.find('\0') == std::string_view::npos) event_.id = value;
  }
  // "retry" is for clients that connect again; unknown fields are to be ignored.
}

}  // namespace gossamer
