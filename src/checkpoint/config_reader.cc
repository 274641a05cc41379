#include "checkpoint/config_reader.h"

#include <cmath>
#include <limits>

#include "base/error.h"

namespace gossamer {
namespace {

// Follows a path like "rope_parameters.rope_theta"; nullptr when a step is missing, null or not an object.
const json::value* follow(const json::object& object, std::string_view path) {
  const json::object* at = &object;
  while (true) {
    const std::size_t dot = path.find('.');
    const json::value* value = at->if_contains(path.substr(0, dot));
    if (value == nullptr || value->is_null()) return nullptr;
    if (dot == std::string_view::npos) return value;
    if (!value->is_object()) return nullptr;
    at = &value->get_object();
    path.remove_prefix(dot + 1);
  }
}

// For messages: the value as JSON, cut short.
std::string describe(const json::value& value) {
  constexpr std::size_t kMaxLength = 80;
  if (value.is_object()) return "an object";
  if (value.is_array() && value.get_array().size() > 16) {
    return fmt::format("a list of {}", value.get_array().size());
  }
  std::string text = json::serialize(value);
  if (text.size() > kMaxLength) text = text.substr(0, kMaxLength) + "...";
  return text;
}

// A number that is whole: 4096, and 4096.0 as some writers have it.
std::optional<int64_t> whole(const json::value& value) {
  if (value.is_int64()) return value.get_int64();
  if (value.is_double()) {
    const double number = value.get_double();
    if (std::nearbyint(number) == number && std::abs(number) < 0x1p53) return static_cast<int64_t>(number);
  }
  return std::nullopt;  // a uint64 here is beyond int64: no key of ours reaches that far
}

std::optional<double> finite(const json::value& value) {
  if (value.is_int64()) return static_cast<double>(value.get_int64());
  if (value.is_uint64()) return static_cast<double>(value.get_uint64());
  if (value.is_double() && std::isfinite(value.get_double())) return value.get_double();
  return std::nullopt;
}

}  // namespace

const json::value* ConfigReader::find(Keys keys) const {
  for (const std::string_view key : keys) {
    if (const json::value* value = follow(object_, key)) return value;
  }
  return nullptr;
}

void ConfigReader::fail(Keys keys, const std::string& expected) const {
  for (const std::string_view key : keys) {
    if (const json::value* value = follow(object_, key)) {
      throw Error("{}: {}: expected {}, found {}", where_, key, expected, describe(*value));
    }
  }
  std::string names;
  for (const std::string_view key : keys) {
    if (!names.empty()) names += " or ";
    names += key;
  }
  throw Error("{}: {}: expected {}, found nothing", where_, names, expected);
}

int64_t ConfigReader::get_int(Keys keys, IntRange range) const {
  const json::value* value = find(keys);
  const std::optional<int64_t> number = value == nullptr ? std::nullopt : whole(*value);
  if (!number || *number < range.min || *number > range.max) {
    fail(keys, fmt::format("an integer from {} to {}", range.min, range.max));
  }
  return *number;
}

int64_t ConfigReader::get_int(Keys keys, int64_t default_value, IntRange range) const {
  return has(keys) ? get_int(keys, range) : default_value;
}

double ConfigReader::get_number(Keys keys) const {
  const json::value* value = find(keys);
  const std::optional<double> number = value == nullptr ? std::nullopt : finite(*value);
  if (!number) fail(keys, "a finite number");
  return *number;
}

double ConfigReader::get_number(Keys keys, double default_value) const {
  return has(keys) ? get_number(keys) : default_value;
}

bool ConfigReader::get_bool(Keys keys, bool default_value) const {
  const json::value* value = find(keys);
  if (value == nullptr) return default_value;
  if (!value->is_bool()) fail(keys, "true or false");
  return value->get_bool();
}

std::string ConfigReader::get_string(Keys keys) const {
  const json::value* value = find(keys);
  if (value == nullptr || !value->is_string()) fail(keys, "a string");
  return std::string(value->get_string());
}

std::string ConfigReader::get_string(Keys keys, std::string_view default_value) const {
  return has(keys) ? get_string(keys) : std::string(default_value);
}

std::vector<std::string> ConfigReader::get_strings(Keys keys) const {
  std::vector<std::string> strings;
  const json::value* value = find(keys);
  if (value == nullptr) return strings;
  if (!value->is_array()) fail(keys, "a list of strings");
  for (const json::value& item : value->get_array()) {
    if (!item.is_string()) fail(keys, "a list of strings");
    strings.emplace_back(item.get_string());
  }
  return strings;
}

std::vector<int32_t> ConfigReader::get_ids(Keys keys) const {
  std::vector<int32_t> ids;
  const json::value* value = find(keys);
  if (value == nullptr) return ids;
  const auto add = [&](const json::value& item) {
    const std::optional<int64_t> id = whole(item);
    if (!id || *id < 0 || *id > std::numeric_limits<int32_t>::max()) {
      fail(keys, "a token id or a list of token ids");
    }
    ids.push_back(static_cast<int32_t>(*id));
  };
  if (value->is_array()) {
    for (const json::value& item : value->get_array()) add(item);
  } else {
    add(*value);
  }
  return ids;
}

}  // namespace gossamer
