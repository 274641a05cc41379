// Any bytes as JSON Lines: every line is a row, a complaint or blank, and what is read of a row is of the
// kind that was asked for, or a mistake.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/check.h"
#include "eval/jsonl.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace gossamer;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Dataset<JsonRow> rows = parse_json_rows(text, "fuzz");
  const auto num_lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  GOSSAMER_CHECK_LE(rows.rows.size() + rows.complaints.size(), num_lines);
  for (const JsonRow& row : rows.rows) {
    GOSSAMER_CHECK_LE(row.line, num_lines);
    for (const auto& member : row.object) {
      const std::string_view name = member.key();
      JsonRowReader strings(row.object);
      strings.string({name});
      GOSSAMER_CHECK_EQ(strings.mistake().has_value(), !member.value().is_string());
      JsonRowReader integers(row.object);
      integers.integer(name);
      GOSSAMER_CHECK_EQ(integers.mistake().has_value(), !member.value().is_int64());
      JsonRowReader others(row.object);
      others.optional_strings(name);
      others.flag({name});
    }
  }
  return 0;
}
