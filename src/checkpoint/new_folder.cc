#include "checkpoint/new_folder.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>

#include "base/error.h"
#include "checkpoint/safetensors_writer.h"

namespace gossamer {
namespace {

namespace fs = std::filesystem;

constexpr std::array<const char*, 11> kSideFiles = {"generation_config.json",
                                                    "tokenizer.json",
                                                    "tokenizer_config.json",
                                                    "special_tokens_map.json",
                                                    "added_tokens.json",
                                                    "vocab.json",
                                                    "merges.txt",
                                                    "chat_template.jinja",
                                                    "chat_template.json",
                                                    "LICENSE",
                                                    "USAGE_POLICY"};

void print_json(const json::value& value, int indent, std::string& out) {
  const bool nested_list =
      value.is_array() && !value.get_array().empty() && value.get_array().front().is_object();
  if (nested_list) {
    std::string_view separator = "[\n";
    for (const json::value& item : value.get_array()) {
      out += fmt::format("{}{:{}}", separator, "", indent + 2) + json::serialize(item);
      separator = ",\n";
    }
    out += fmt::format("\n{:{}}]", "", indent);
    return;
  }
  if (!value.is_object() || value.get_object().empty()) {
    out += json::serialize(value);
    return;
  }
  std::string_view separator = "{\n";
  for (const auto& item : value.get_object()) {
    const std::string key = json::serialize(json::string(item.key()));
    out += fmt::format("{}{:{}}{}: ", separator, "", indent + 2, key);
    print_json(item.value(), indent + 2, out);
    separator = ",\n";
  }
  out += fmt::format("\n{:{}}}}", "", indent);
}

// Waits until a file, or the entries of a folder, are on the disk.
void sync_to_disk(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool good = fd >= 0 && ::fsync(fd) == 0;
  const int reason = errno;
  if (fd >= 0) ::close(fd);
  if (!good) throw Error("{}: cannot write to the disk: {}", path.string(), std::strerror(reason));
}

// Whether `path` is `folder` or lies somewhere below it.
bool lies_in(const fs::path& path, const fs::path& folder) {
  std::error_code error;
  const fs::path inner = fs::weakly_canonical(path, error);
  const fs::path outer = fs::weakly_canonical(folder, error);
  return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

}  // namespace

NewFolder::NewFolder(const fs::path& out, const Options& options)
    : target_(fs::absolute(out).lexically_normal()) {
  if (!target_.has_filename()) target_ = target_.parent_path();  // "OUT/"
  partial_ = target_.string() + ".partial";
  check_target(options);
  std::error_code error;
  replaces_ = options.replace && fs::exists(target_, error) && !fs::is_empty(target_, error);
  check_disk_space(target_, options.bytes);
  fs::create_directories(partial_.parent_path(), error);
  if (options.replace) fs::remove_all(partial_, error);
  if (!fs::create_directory(partial_, error)) {
    throw Error("{}: cannot make the folder: {}", partial_.string(),
                error ? error.message() : "it is there, left by a run that was killed; remove it");
  }
  there_ = true;
}

NewFolder::~NewFolder() {
  std::error_code ignored;
  if (there_) fs::remove_all(partial_, ignored);
}

void NewFolder::check_target(const Options& options) const {
  std::error_code error;
  if (!fs::exists(target_, error)) return;
  const bool folder = fs::is_directory(target_, error);
  if (folder && fs::is_empty(target_, error)) return;
  if (!options.replace) {
    throw Error("{}: expected a folder that does not exist yet or is empty, found something there",
                target_.string());
  }
  // So that a slip of the finger does not cost a home.
  if (!folder || !fs::exists(target_ / "config.json", error)) {
    throw Error(
        "{}: expected a model folder to replace, found something without a config.json; remove it yourself",
        target_.string());
  }
  if (!options.source.empty() && lies_in(options.source, target_)) {
    throw Error("{}: expected another folder than the model's own, {}", target_.string(),
                options.source.string());
  }
}

void NewFolder::copy(const fs::path& file, const fs::path& name) const {
  std::error_code error;
  fs::copy_file(file, partial_ / name, error);
  if (error) throw Error("{}: cannot copy the file: {}", file.string(), error.message());
}

void NewFolder::write_json(const fs::path& name, const json::object& object) const {
  std::string text;
  print_json(object, 0, text);
  std::ofstream file(partial_ / name);
  file << text << '\n' << std::flush;
  if (!file) throw Error("{}: cannot write the file", (partial_ / name).string());
}

void NewFolder::commit() {
  // A name that survives a power cut must not stand for bytes that did not.
  for (const auto& entry : fs::directory_iterator(partial_)) sync_to_disk(entry.path());
  sync_to_disk(partial_);
  // An exchange, so that there is a whole folder under the name at any time.
  const unsigned int flags = replaces_ ? RENAME_EXCHANGE : 0;
  if (::renameat2(AT_FDCWD, partial_.c_str(), AT_FDCWD, target_.c_str(), flags) != 0) {
    throw Error("{}: cannot give the folder its name: {}", target_.string(), std::strerror(errno));
  }
  std::error_code ignored;
  if (replaces_) fs::remove_all(partial_, ignored);
  there_ = false;
  sync_to_disk(target_.parent_path());
}

std::vector<fs::path> find_side_files(const Checkpoint& checkpoint) {
  std::vector<fs::path> files;
  for (const char* name : kSideFiles) {
    if (const auto file = checkpoint.find_file(name)) files.push_back(*file);
  }
  return files;
}

}  // namespace gossamer
