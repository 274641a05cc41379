// CSV as RFC 4180 has it: fields in quotes may hold commas, newlines and doubled quotes. Called by the reader
// of C-Eval.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "eval/dataset.h"

namespace gossamer {

struct CsvRow {
  std::size_t line = 0;  // where it begins, from 1
  std::vector<std::string> fields;
};

// The rows of `text`, empty lines left out. `file` is what complaints name. Newlines are \n or \r\n; a quote
// within a field that does not begin with one is a character like any other. A quote that is never closed
// costs its own line only: reading goes on behind it.
Dataset<CsvRow> parse_csv(std::string_view text, const std::filesystem::path& file);

// One field as a writer has it: in quotes where it must be.
std::string csv_field(std::string_view text);

// Rows by the names of their columns, which the first row has; columns in any order, others ignored.
class CsvTable {
 public:
  // Throws Error when the file cannot be read or lacks a column. Rows with more or fewer fields than the
  // header, or with bytes that are not UTF-8, are complained of.
  CsvTable(const std::filesystem::path& file, const std::vector<std::string>& columns,
           const std::string& optional_column = {});

  // Whether the optional column is there: it is then the last of each row.
  bool has_optional() const { return has_optional_; }

  const std::vector<Complaint>& complaints() const { return complaints_; }
  // Each with the asked columns in the asked order.
  const std::vector<CsvRow>& rows() const { return rows_; }

 private:
  std::vector<CsvRow> rows_;
  std::vector<Complaint> complaints_;
  bool has_optional_ = false;
};

}  // namespace gossamer
