#include "eval/jsonl.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <initializer_list>
#include <utility>

#include "base/error.h"

namespace gossamer {

Dataset<JsonRow> read_json_rows(const std::filesystem::path& file) {
  return parse_json_rows(read_data_file(file), file);
}

Dataset<JsonRow> parse_json_rows(std::string_view text, const std::filesystem::path& file) {
  Dataset<JsonRow> result;
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::size_t newline = text.find('\n');
    const std::string_view row = text.substr(0, newline);
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
    if (row.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const auto complain = [&](std::string what) {
      result.complaints.push_back({row_location(file, line), std::move(what)});
    };
    try {
      json::value value = parse_json(row, "line");
      if (value.is_object()) {
        result.rows.push_back({.line = line, .object = std::move(value.get_object())});
      } else {
        complain("expected a JSON object");
      }
    } catch (const Error& error) {
      complain(fmt::format("expected a JSON object: {}", error.what()));
    }
  }
  return result;
}

const json::value* JsonRowReader::find(std::initializer_list<std::string_view> names) const {
  for (const std::string_view name : names) {
    if (const json::value* value = object_.if_contains(name)) return value;
  }
  return nullptr;
}

void JsonRowReader::expect(std::initializer_list<std::string_view> names, std::string_view what,
                           const json::value* found) {
  if (mistake_) return;
  constexpr std::size_t kMostShown = 60;
  std::string shown = found == nullptr ? "nothing" : json::serialize(*found);
  if (shown.size() > kMostShown) shown = "something else";
  mistake_ = fmt::format("{}: expected {}, found {}", fmt::join(names, " or "), what, shown);
}

std::string JsonRowReader::string(std::initializer_list<std::string_view> names) {
  const json::value* value = find(names);
  if (value != nullptr && value->is_string()) return std::string(value->get_string());
  expect(names, "a string", value);
  return {};
}

std::vector<std::string> JsonRowReader::strings(std::initializer_list<std::string_view> names) {
  const json::value* value = find(names);
  std::vector<std::string> strings;
  if (value != nullptr && value->is_array()) {
    for (const json::value& element : value->get_array()) {
      if (element.is_string()) strings.emplace_back(element.get_string());
    }
    if (!strings.empty() && strings.size() == value->get_array().size()) return strings;
  }
  expect(names, "a list of strings that is not empty", value);
  return {};
}

std::vector<std::string> JsonRowReader::optional_strings(std::string_view name) {
  const json::value* value = find({name});
  return value == nullptr || value->is_null() ? std::vector<std::string>() : strings({name});
}

int64_t JsonRowReader::integer(std::string_view name) {
  const json::value* value = find({name});
  if (value != nullptr && value->is_int64()) return value->get_int64();
  expect({name}, "a whole number", value);
  return 0;
}

bool JsonRowReader::flag(std::initializer_list<std::string_view> names) {
  const json::value* value = find(names);
  if (value != nullptr && value->is_bool()) return value->get_bool();
  if (value != nullptr && value->is_int64() && (value->get_int64() == 0 || value->get_int64() == 1))
    return value->get_int64() == 1;
  expect(names, "true, false, 1 or 0", value);
  return false;
}

}  // namespace gossamer
