// LineFile: a file of lines that only grows and outlives a kill: every line is added by one write, so that a
// process that dies leaves whole lines and at most one that is cut. What `batch` and `eval` write their
// results to, and go on from.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

namespace gossamer::apps {

class LineFile {
 public:
  // Opens or makes the file, for this process alone. Throws Error when that fails or another one writes it.
  explicit LineFile(std::string path);
  ~LineFile();
  LineFile(const LineFile&) = delete;
  LineFile& operator=(const LineFile&) = delete;

  const std::string& path() const { return path_; }

  // The whole lines that are there, from number 1 on; a last one without its newline is left out.
  void read(const std::function<void(std::size_t number, const std::string& line)>& take);

  // Removes what read() left out: once it is clear that the file is no other's. Throws Error.
  void remove_cut_line();

  // Adds a line; `line` comes without its newline. Throws Error when the disk does not take it whole.
  void append(std::string line);

 private:
  std::string path_;
  int fd_ = -1;
  std::size_t whole_bytes_ = 0;  // that read() has seen
};

}  // namespace gossamer::apps
