// A read-only memory-mapped file. Used by checkpoint/ for weights and by text/ for tokenizer.json.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace gossamer {

// Gives the resident pages that lie wholly inside `range`, part of a mapping of a file, back to the system;
// they are read again from the file when touched.
void release_pages(std::span<const std::byte> range);

class MappedFile {
 public:
  // Throws Error naming the file when it cannot be opened, is not a regular file, or cannot be mapped.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }

  // release_pages() of a part of this file. Loading calls this so that the source and its prepared copy are
  // never both resident.
  void release(std::span<const std::byte> range) const;

  // This file will be read again and again, in any order: what the constructor told the system is taken back,
  // and huge pages are asked for.
  void expect_reuse() const;
  // Reads the pages of a part of this file and maps them; from any thread. False when the disk does not give
  // them, which a plain access would answer with a signal.
  bool populate(std::span<const std::byte> range) const;

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace gossamer
