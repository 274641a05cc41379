#include "base/json.h"

#include <boost/json/src.hpp>

#include "base/error.h"
#include "base/mapped_file.h"

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

json::value read_json_file(const std::filesystem::path& path) {
  const MappedFile file(path);
  return parse_json(file.text(), path.string());
}

}  // namespace gossamer
