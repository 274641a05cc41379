#include "apps/batch_files.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <utility>
#include <vector>

#include "base/error.h"

namespace gossamer::apps {
namespace {

constexpr std::size_t kMaxShown = 20;

bool is_blank(const std::string& line) { return line.find_first_not_of(" \t\r") == std::string::npos; }

// Lines with what is wrong with them, as many as a person will read.
class Complaints {
 public:
  void add(const std::string& where, const std::string& what) {
    if (++count_ <= kMaxShown) shown_.push_back(where + ": " + what);
  }
  void throw_if_any(const std::string& summary) const {
    if (count_ == 0) return;
    std::string list = fmt::format("{}", fmt::join(shown_, "\n  "));
    if (count_ > kMaxShown) list += fmt::format("\n  and {} more", count_ - kMaxShown);
    throw Error("{}\n  {}", summary, list);
  }

 private:
  std::vector<std::string> shown_;
  std::size_t count_ = 0;
};

// The custom_id of a line, or what is wrong with it.
struct ReadLine {
  json::value value;
  std::string custom_id;
  std::string error;
};

ReadLine read_line(const std::string& line) {
  ReadLine read;
  try {
    read.value = parse_json(line, "line");
  } catch (const Error& error) {
    read.error = std::string_view(error.what()).substr(std::string_view("line: ").size());
    return read;
  }
  if (!read.value.is_object()) {
    read.error = "expected a JSON object";
    return read;
  }
  const json::value* id = read.value.get_object().if_contains("custom_id");
  if (id == nullptr || !id->is_string() || id->get_string().empty()) {
    read.error = fmt::format("custom_id: expected a string that is not empty, found {}",
                             id == nullptr ? "nothing" : json::serialize(*id));
  } else {
    read.custom_id = std::string(id->get_string());
  }
  return read;
}

std::string location(const std::string& path, std::size_t line) { return fmt::format("{}:{}", path, line); }

}  // namespace

BatchInput::BatchInput(const std::string& path) : path_(path), file_(path, std::ios::binary) {
  if (!file_ || std::filesystem::is_directory(path)) throw Error("--input: cannot read {}", path);
  Complaints complaints;
  std::size_t number = 0;
  for (std::string line; std::getline(file_, line);) {
    ++number;
    if (is_blank(line)) continue;
    const ReadLine read = read_line(line);
    if (!read.error.empty()) {
      complaints.add(location(path, number), read.error);
    } else if (const auto [it, is_new] = lines_.emplace(read.custom_id, number); !is_new) {
      complaints.add(location(path, number),
                     fmt::format("custom_id \"{}\" was used in line {} already", read.custom_id, it->second));
    }
  }
  if (file_.bad()) throw Error("--input: cannot read {}", path);
  complaints.throw_if_any(
      fmt::format("{}: every line must be a JSON object with a custom_id of its own; nothing was run", path));
  file_.clear();
  file_.seekg(0);
}

std::optional<BatchLine> BatchInput::next() {
  for (std::string line; std::getline(file_, line);) {
    ++number_;
    if (is_blank(line)) continue;
    ReadLine read = read_line(line);
    if (!read.error.empty() || !contains(read.custom_id))
      throw Error("{}: the file was changed while it was read", location(path_, number_));
    return BatchLine{
        .number = number_, .custom_id = std::move(read.custom_id), .request = std::move(read.value)};
  }
  return std::nullopt;
}

BatchOutput::BatchOutput(const std::string& path, const BatchInput& input) {
  std::error_code none;
  if (std::filesystem::equivalent(path, input.path(), none))
    throw Error("--output: {} is the input: expected another file", path);
  file_.emplace(path);
  read_answers(input);
}

void BatchOutput::read_answers(const BatchInput& input) {
  const std::string& path = file_->path();
  Complaints complaints;
  file_->read([&](std::size_t number, const std::string& line) {
    if (is_blank(line)) return;
    const ReadLine read = read_line(line);
    if (!read.error.empty()) {
      complaints.add(location(path, number), read.error);
    } else if (!input.contains(read.custom_id)) {
      complaints.add(location(path, number),
                     fmt::format("{} has no request with custom_id \"{}\"", input.path(), read.custom_id));
    } else if (const auto [it, is_new] = answered_.emplace(read.custom_id, number); !is_new) {
      complaints.add(location(path, number),
                     fmt::format("custom_id \"{}\" has its answer in line {}", read.custom_id, it->second));
    }
  });
  complaints.throw_if_any(
      fmt::format("{} does not hold answers to {}: expected a new file, or that of a run to go on with", path,
                  input.path()));
  num_found_ = answered_.size();
  file_->remove_cut_line();
}

}  // namespace gossamer::apps
