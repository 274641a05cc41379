// JSON: Boost.JSON, compiled into base/json.cc (header-only use, so that cross builds need no library).
// Objects keep their key order, which Harmony's tool rendering relies on.
#pragma once

#include <boost/json.hpp>
#include <filesystem>
#include <string>
#include <string_view>

namespace gossamer {

namespace json = boost::json;

// Parses `text`; throws Error naming `where` (a file name) and the byte offset of the mistake.
json::value parse_json(std::string_view text, const std::string& where);

// `text` (valid UTF-8) as a JSON string in ASCII: every other character is escaped, so that no reader of
// lines takes U+2028 or U+0085 inside it for a line break, and no pipe minds the encoding.
std::string to_ascii_json(std::string_view text);

// Reads and parses a whole file; throws Error naming it.
json::value read_json_file(const std::filesystem::path& path);

}  // namespace gossamer
