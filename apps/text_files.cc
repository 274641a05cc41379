#include "apps/text_files.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "base/error.h"

namespace gossamer::apps {

std::string read_text_file(const std::string& option, const std::string& path) {
  std::string text;
  if (path == "-") {
    text.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    std::ifstream file(path, std::ios::binary);
    if (!file || std::filesystem::is_directory(path)) throw Error("{}: cannot read {}", option, path);
    text.assign(std::istreambuf_iterator<char>(file), {});
    if (file.bad()) throw Error("{}: cannot read {}", option, path);
  }
  return text;
}

void check_output_path(const std::string& path) {
  if (path.empty()) return;
  const std::filesystem::path folder = std::filesystem::absolute(path).parent_path();
  if (std::filesystem::is_directory(path) || ::access(folder.c_str(), W_OK) != 0) {
    throw Error("{}: cannot write the file: expected a folder that can be written to, found {}", path,
                std::filesystem::is_directory(path) ? "that the name itself is one" : std::strerror(errno));
  }
}

void write_text_file(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text << std::flush;
  if (!file) throw Error("{}: cannot write the file", path);
}

}  // namespace gossamer::apps
