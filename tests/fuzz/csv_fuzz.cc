// Any bytes as CSV: every row that was read, written down by csv_field, is read again as it was.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "eval/csv.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  using namespace gossamer;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::size_t line = 0;
  for (const CsvRow& row : parse_csv(text, "fuzz").rows) {
    GOSSAMER_CHECK_GT(row.line, line);
    line = row.line;
    std::string written;
    for (const std::string& field : row.fields) written += (written.empty() ? "" : ",") + csv_field(field);
    // A first field that is empty leaves nothing to put a comma behind.
    if (row.fields.front().empty()) continue;
    const Dataset<CsvRow> again = parse_csv(written + "\n", "fuzz");
    GOSSAMER_CHECK(again.complaints.empty());
    GOSSAMER_CHECK_EQ(again.rows.size(), std::size_t{1});
    GOSSAMER_CHECK(again.rows.front().fields == row.fields);
  }
  return 0;
}
