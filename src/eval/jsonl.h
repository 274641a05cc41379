// JSON Lines: an object a line. Called by the readers of BoolQ, LongBench and GSM8K.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "eval/dataset.h"

namespace gossamer {

struct JsonRow {
  std::size_t line = 0;  // from 1
  json::object object;
};

// Every line that is a JSON object; complaints about the others. Blank lines are none. `file` is what
// complaints name.
Dataset<JsonRow> parse_json_rows(std::string_view text, const std::filesystem::path& file);
// Throws Error when the file cannot be read.
Dataset<JsonRow> read_json_rows(const std::filesystem::path& file);

// Takes the fields of a row one by one; what is wrong with the first that is not as expected is kept.
class JsonRowReader {
 public:
  explicit JsonRowReader(const json::object& object) : object_(object) {}

  // The field under the first of these names that is there.
  std::string string(std::initializer_list<std::string_view> names);
  std::vector<std::string> strings(std::initializer_list<std::string_view> names);
  // An absent or null one is an empty list.
  std::vector<std::string> optional_strings(std::string_view name);
  int64_t integer(std::string_view name);
  // true, false, 1 or 0.
  bool flag(std::initializer_list<std::string_view> names);

  const std::optional<std::string>& mistake() const { return mistake_; }

 private:
  const json::value* find(std::initializer_list<std::string_view> names) const;
  void expect(std::initializer_list<std::string_view> names, std::string_view what, const json::value* found);

  const json::object& object_;
  std::optional<std::string> mistake_;
};

}  // namespace gossamer
