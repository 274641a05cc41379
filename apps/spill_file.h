// Floats written in one run and read in the next, so that two models are compared number by number while one
// at a time is in memory. Used by `gossamer quality` and `gossamer verify precision`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace gossamer::apps {

class SpillFile {
 public:
  // A temporary file without a name. Throws Error when there is no room for `size` bytes, naming `less` as
  // what would need less.
  SpillFile(uint64_t size, const std::string& less);
  ~SpillFile() { std::fclose(file_); }
  SpillFile(const SpillFile&) = delete;
  SpillFile& operator=(const SpillFile&) = delete;

  void write(const float* numbers, std::size_t count) {
    if (std::fwrite(numbers, sizeof(float), count, file_) != count) fail("cannot write");
  }
  void rewind() {
    if (std::fflush(file_) != 0) fail("cannot write");
    std::rewind(file_);
  }
  // The next `count` floats; valid until the next call.
  const std::vector<float>& read(std::size_t count) {
    row_.resize(count);
    if (std::fread(row_.data(), sizeof(float), count, file_) != count) fail("cannot read");
    return row_;
  }

 private:
  [[noreturn]] void fail(const char* what) const;

  std::string path_;
  std::string advice_;
  std::FILE* file_ = nullptr;
  std::vector<float> row_;
};

}  // namespace gossamer::apps
