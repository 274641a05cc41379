#include "server/json_fields.h"

#include <cmath>
#include <utility>

#include "base/utf8.h"

namespace gossamer {
namespace {

// Of a value that is quoted in a message.
constexpr std::size_t kMaxQuoted = 80;

std::string quote(const json::value* value) {
  if (value == nullptr || value->is_null()) return "nothing";
  // Serialized piece by piece: a message must not cost what a megabyte of found value does.
  json::serializer serializer;
  serializer.reset(value);
  std::string buffer(kMaxQuoted + 1, '\0');
  const json::string_view begin = serializer.read(buffer.data(), buffer.size());
  if (begin.size() <= kMaxQuoted) return std::string(begin);
  const std::string_view cut(begin.data(), kMaxQuoted);
  return std::string(cut.substr(0, utf8_valid_prefix(cut))) + "...";
}

std::string expected_integer(const FieldRange& range) {
  const FieldRange all;
  if (range.min == all.min && range.max == all.max) return "a whole number";
  if (range.max == all.max) return fmt::format("a whole number from {} on", range.min);
  return fmt::format("a whole number from {} to {}", range.min, range.max);
}

std::string expected_choice(const std::vector<std::string_view>& names) {
  std::string list;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) list += i + 1 == names.size() ? " or " : ", ";
    list += fmt::format("\"{}\"", names[i]);
  }
  return list;
}

}  // namespace

std::string shortened(std::string_view text) {
  std::string out;
  utf8_append_lossy(text.substr(0, kMaxQuoted), out);
  return text.size() <= kMaxQuoted ? out : out + "...";
}

void fail_at(const std::string& path, std::string_view expected, const json::value* found) {
  throw ApiError{.message = fmt::format("{}: expected {}, found {}", path.empty() ? "the request" : path,
                                        expected, quote(found)),
                 .param = path.empty() ? std::nullopt : std::optional<std::string>(path)};
}

std::string string_at(const json::value& value, const std::string& path) {
  if (!value.is_string()) fail_at(path, "a string", &value);
  return std::string(value.get_string());
}

int64_t integer_at(const json::value& value, const std::string& path, const FieldRange& range) {
  std::optional<int64_t> number;
  if (value.is_int64()) number = value.get_int64();
  // Some clients write every number with a fraction: 16.0 is whole. 2^53 is where such numbers have gaps.
  if (value.is_double() && std::abs(value.get_double()) <= 0x1p53 &&
      value.get_double() == std::trunc(value.get_double())) {
    number = static_cast<int64_t>(value.get_double());
  }
  if (!number || *number < range.min || *number > range.max) fail_at(path, expected_integer(range), &value);
  return *number;
}

JsonFields::JsonFields(const json::value& value, std::string path)
    : object_(value.if_object()), path_(std::move(path)) {
  if (object_ == nullptr) fail_at(path_, "an object", &value);
}

std::string JsonFields::path_of(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

void JsonFields::fail(std::string_view key, std::string_view expected) const {
  fail_at(path_of(key), expected, find(key));
}

const json::value* JsonFields::find(std::string_view key) const {
  const json::value* value = object_->if_contains(key);
  return value == nullptr || value->is_null() ? nullptr : value;
}

std::optional<bool> JsonFields::boolean(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_bool()) fail(key, "true or false");
  return value->get_bool();
}

std::optional<int64_t> JsonFields::integer(std::string_view key, const FieldRange& range) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  return integer_at(*value, path_of(key), range);
}

std::optional<double> JsonFields::number(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number()) fail(key, "a number");
  return value->to_number<double>();
}

std::optional<std::string> JsonFields::string(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  return string_at(*value, path_of(key));
}

const json::array* JsonFields::array(std::string_view key) const {
  const json::value* value = find(key);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) fail(key, "a list");
  return &value->get_array();
}

std::string JsonFields::required_string(std::string_view key) const {
  std::optional<std::string> text = string(key);
  if (!text) fail(key, "a string");
  return *std::move(text);
}

const json::array& JsonFields::required_array(std::string_view key) const {
  const json::array* list = array(key);
  if (list == nullptr) fail(key, "a list");
  return *list;
}

std::optional<std::size_t> JsonFields::choice(std::string_view key,
                                              const std::vector<std::string_view>& names) const {
  const json::value* value = find(key);
  if (value == nullptr) return std::nullopt;
  for (std::size_t i = 0; value->is_string() && i < names.size(); ++i) {
    if (value->get_string() == names[i]) return i;
  }
  fail(key, expected_choice(names));
}

ApiResult<json::value> parse_json_body(std::string_view body) {
  if (body.empty())
    return ApiError{.message = "the body is empty: expected a JSON object (Content-Type: application/json)"};
  json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  json::parser parser({}, options);
  json::error_code error;
  const std::size_t used = parser.write_some(body.data(), body.size(), error);
  if (error) {
    return ApiError{.message = fmt::format("the body is no JSON: {} at byte {} of {}", error.message(), used,
                                           body.size())};
  }
  const std::size_t rest = body.find_first_not_of(" \n\r\t", used);
  if (rest != std::string_view::npos) {
    return ApiError{.message =
                        fmt::format("the body is no JSON: something follows its end at byte {}", rest)};
  }
  return parser.release();
}

}  // namespace gossamer
