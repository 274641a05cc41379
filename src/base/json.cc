#include "base/json.h"

#include <boost/json/src.hpp>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/utf8.h"

namespace gossamer {

json::value parse_json(std::string_view text, const std::string& where) {
  json::stream_parser parser({}, json::parse_options{.max_depth = 128});
  boost::system::error_code error;
  const std::size_t parsed = parser.write_some(text.data(), text.size(), error);
  if (!error && parsed < text.size()) error = json::make_error_code(json::error::extra_data);
  if (!error) parser.finish(error);
  if (error) {
    throw Error("{}: not valid JSON: {} at byte {} of {}", where, error.message(), parsed, text.size());
  }
  return parser.release();
}

std::string to_ascii_json(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    const char32_t c = step.code_point;
    text.remove_prefix(step.length);
    if (c == '"' || c == '\\') {
      out.append({'\\', static_cast<char>(c)});
    } else if (c == '\n') {
      out.append("\\n");
    } else if (c >= 0x20 && c < 0x7F) {
      out.push_back(static_cast<char>(c));
    } else if (c < 0x10000) {
      out.append(fmt::format("\\u{:04x}", static_cast<uint32_t>(c)));
    } else {
      const auto rest = static_cast<uint32_t>(c - 0x10000);
      out.append(fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF)));
    }
  }
  out.push_back('"');
  return out;
}

json::value read_json_file(const std::filesystem::path& path) {
  const MappedFile file(path);
  return parse_json(file.text(), path.string());
}

}  // namespace gossamer
