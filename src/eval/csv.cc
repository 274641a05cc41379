#include "eval/csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/utf8.h"

namespace gossamer {
namespace {

// Reads one row after the other.
class CsvReader {
 public:
  CsvReader(std::string_view text, const std::filesystem::path& file) : text_(text), file_(file) {}

  Dataset<CsvRow> read() {
    Dataset<CsvRow> result;
    while (at_ < text_.size()) {
      const std::size_t begin = at_;
      const std::size_t line = line_;
      CsvRow row{.line = line, .fields = {}};
      std::optional<std::string> mistake = read_row(row);
      if (mistake) {
        result.complaints.push_back({row_location(file_, line), *mistake});
        at_ = begin;
        line_ = line;
        skip_line();
      } else if (row.fields.size() > 1 || !row.fields[0].empty()) {
        result.rows.push_back(std::move(row));
      }
    }
    return result;
  }

 private:
  bool at_newline() const {
    return at_ < text_.size() && (text_[at_] == '\n' || text_.substr(at_, 2) == "\r\n");
  }
  void take_newline() {
    at_ += text_[at_] == '\r' ? 2 : 1;
    ++line_;
  }
  void skip_line() {
    const std::size_t newline = text_.find('\n', at_);
    at_ = newline == std::string_view::npos ? text_.size() : newline + 1;
    ++line_;
  }
  // What is wrong with the row; nothing when it is whole.
  std::optional<std::string> read_row(CsvRow& row) {
    for (;;) {
      std::string field;
      if (at_ < text_.size() && text_[at_] == '"') {
        if (auto mistake = read_quoted(field)) return mistake;
      } else {
        while (at_ < text_.size() && text_[at_] != ',' && !at_newline()) field += text_[at_++];
      }
      row.fields.push_back(std::move(field));
      if (at_ == text_.size()) return std::nullopt;
      if (text_[at_] == ',') {
        ++at_;
        continue;
      }
      take_newline();
      return std::nullopt;
    }
  }
  std::optional<std::string> read_quoted(std::string& field) {
    ++at_;
    for (;; ++at_) {
      if (at_ == text_.size())
        return "expected a quote that ends the field, found the end of the file: close it, or double it "
               "where it is a part of the text";
      if (text_[at_] == '\n') ++line_;
      if (text_[at_] != '"') {
        field += text_[at_];
      } else if (text_.substr(at_ + 1, 1) == "\"") {
        field += '"';
        ++at_;
      } else {
        break;
      }
    }
    ++at_;
    if (at_ == text_.size() || text_[at_] == ',' || at_newline()) return std::nullopt;
    return fmt::format(
        "expected a comma or the row's end behind a closing quote, found \"{}\": quotes within a field are "
        "doubled",
        text_[at_]);
  }

  std::string_view text_;
  const std::filesystem::path& file_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
};

}  // namespace

Dataset<CsvRow> parse_csv(std::string_view text, const std::filesystem::path& file) {
  return CsvReader(text, file).read();
}

std::string csv_field(std::string_view text) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

CsvTable::CsvTable(const std::filesystem::path& file, const std::vector<std::string>& columns,
                   const std::string& optional_column) {
  Dataset<CsvRow> all = parse_csv(read_data_file(file), file);
  if (all.rows.empty()) throw Error("{}: expected a header with {}", file.string(), fmt::join(columns, ", "));
  complaints_ = std::move(all.complaints);
  const std::vector<std::string>& header = all.rows.front().fields;
  std::vector<std::size_t> places;
  for (const std::string& column : columns) {
    const auto it = std::find(header.begin(), header.end(), column);
    if (it == header.end()) {
      throw Error("{}: expected a column \"{}\" in the first line, found {}", row_location(file, 1), column,
                  fmt::join(header, ", "));
    }
    places.push_back(static_cast<std::size_t>(it - header.begin()));
  }
  const auto optional = std::find(header.begin(), header.end(), optional_column);
  has_optional_ = !optional_column.empty() && optional != header.end();
  if (has_optional_) places.push_back(static_cast<std::size_t>(optional - header.begin()));
  for (std::size_t i = 1; i < all.rows.size(); ++i) {
    const CsvRow& row = all.rows[i];
    const auto complain = [&](std::string what) {
      complaints_.push_back({row_location(file, row.line), std::move(what)});
    };
    if (row.fields.size() != header.size()) {
      complain(
          fmt::format("expected {} fields, as in the header, found {}", header.size(), row.fields.size()));
      continue;
    }
    CsvRow chosen{.line = row.line, .fields = {}};
    for (const std::size_t place : places) chosen.fields.push_back(row.fields[place]);
    if (!std::all_of(chosen.fields.begin(), chosen.fields.end(),
                     [](const std::string& field) { return utf8_is_valid(field); })) {
      complain("expected UTF-8, found other bytes");
      continue;
    }
    rows_.push_back(std::move(chosen));
  }
}

}  // namespace gossamer
