// What reading a data file gives besides its rows: what is wrong with it, by file and line. A row that cannot
// be used is left out of the score and named, never guessed at. Used by every reader of the evaluations.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gossamer {

struct Complaint {
  std::string where;  // "val/law_val.csv:12"
  std::string what;   // what was expected and what was found
};

// Rows with the complaints about those that are not among them, and about whole files.
template <typename Row>
struct Dataset {
  std::vector<Row> rows;
  std::vector<Complaint> complaints;  // each stands for a row that was left out
  std::vector<std::string> missing;   // splits and files that are not there, and what for
};

std::string row_location(const std::filesystem::path& file, std::size_t line);

// The file's bytes without a byte order mark. Throws Error when it cannot be read.
std::string read_data_file(const std::filesystem::path& path);

}  // namespace gossamer
