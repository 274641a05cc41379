// JsonFields: one object of a request's JSON, read field by field. A value that is not what it should be is
// thrown as an ApiError that says where it stands, what was expected and what was found; the parsers of this
// room catch it (checking each of a tree of optional values by hand would bury what is read).
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "server/api_error.h"

namespace gossamer {

struct FieldRange {
  int64_t min = std::numeric_limits<int64_t>::min();
  int64_t max = std::numeric_limits<int64_t>::max();
};

class JsonFields {
 public:
  // `path` is empty for the request itself. `value` must outlive this.
  JsonFields(const json::value& value, std::string path);

  const json::object& object() const { return *object_; }
  // "stop" in the request itself, "messages[2].role" further down.
  std::string path_of(std::string_view key) const;

  // nullptr where the key is absent or null: clients write null for what they leave open.
  const json::value* find(std::string_view key) const;

  // Nothing where the key is absent or null.
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<int64_t> integer(std::string_view key, const FieldRange& range = {}) const;
  std::optional<double> number(std::string_view key) const;
  std::optional<std::string> string(std::string_view key) const;
  const json::array* array(std::string_view key) const;

  std::string required_string(std::string_view key) const;
  const json::array& required_array(std::string_view key) const;
  // One of `names`; its index.
  std::optional<std::size_t> choice(std::string_view key, const std::vector<std::string_view>& names) const;

  [[noreturn]] void fail(std::string_view key, std::string_view expected) const;

 private:
  const json::object* object_;
  std::string path_;
};

// A request's body. Boost.JSON refuses what is not UTF-8; nesting deeper than kMaxJsonDepth is refused too.
inline constexpr std::size_t kMaxJsonDepth = 200;
ApiResult<json::value> parse_json_body(std::string_view body);

// A value that stands alone (an element of a list, say), with its own path.
std::string string_at(const json::value& value, const std::string& path);
int64_t integer_at(const json::value& value, const std::string& path, const FieldRange& range = {});

// Text from outside as a message quotes it: valid UTF-8, its beginning where it is long.
std::string shortened(std::string_view text);

// Throws "PATH: expected EXPECTED, found VALUE". Long values are cut; nullptr: nothing was found.
[[noreturn]] void fail_at(const std::string& path, std::string_view expected, const json::value* found);

}  // namespace gossamer
