#include "apps/line_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "base/error.h"

namespace gossamer::apps {

LineFile::LineFile(std::string path) : path_(std::move(path)) {
  fd_ = open(path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (fd_ < 0) throw Error("{}: cannot write the file: {}", path_, std::strerror(errno));
  if (flock(fd_, LOCK_EX | LOCK_NB) == 0) return;
  close(fd_);
  throw Error("{} is being written by another process: expected one at a time", path_);
}

LineFile::~LineFile() { close(fd_); }

void LineFile::read(const std::function<void(std::size_t, const std::string&)>& take) {
  std::ifstream file(path_, std::ios::binary);
  whole_bytes_ = 0;
  std::size_t number = 0;
  for (std::string line; std::getline(file, line) && !file.eof();) {  // at the end of file: no newline
    whole_bytes_ += line.size() + 1;
    take(++number, line);
  }
}

void LineFile::remove_cut_line() {
  if (ftruncate(fd_, static_cast<off_t>(whole_bytes_)) != 0)
    throw Error("{}: cannot remove the cut last line: {}", path_, std::strerror(errno));
}

void LineFile::append(std::string line) {
  line += '\n';
  const off_t end = lseek(fd_, 0, SEEK_END);
  ssize_t written = -1;
  do {
    written = write(fd_, line.data(), line.size());
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(line.size())) return;
  const std::string reason = written < 0 ? std::strerror(errno) : "the disk is full";
  [[maybe_unused]] const int cut = ftruncate(fd_, end);  // where that fails, the next run does it
  throw Error("{}: cannot write a line: {}; make room and run the same command again, it goes on from here",
              path_, reason);
}

}  // namespace gossamer::apps
