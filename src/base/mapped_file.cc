#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "base/error.h"

namespace gossamer {

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw Error("{}: cannot open the file: {}", path.string(), std::strerror(errno));
  struct stat status {};
  const bool regular = ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  if (!regular) {
    ::close(fd);
    throw Error("{}: expected a regular file, found something else", path.string());
  }
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ > 0) {  // mmap refuses length 0; an empty file is an empty span
    void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
    const int map_errno = errno;
    if (mapped == MAP_FAILED) {
      ::close(fd);
      throw Error("{}: cannot map {} bytes: {}", path.string(), size_, std::strerror(map_errno));
    }
    data_ = static_cast<const std::byte*>(mapped);
    // Files are read once, front to back. Without this, pages that have been read count as precious when they
    // are released, and on a machine that holds little more than the model the unread ones leave the page
    // cache first.
    ::madvise(mapped, size_, MADV_SEQUENTIAL);
  }
  ::close(fd);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(std::span<const std::byte> range) const { release_pages(range); }

void MappedFile::expect_reuse() const {
  if (data_ == nullptr) return;
  ::madvise(const_cast<std::byte*>(data_), size_, MADV_NORMAL);
  // Wishes: refusal only costs speed. Where the page cache holds 2 MiB at a time, they are mapped so.
  ::madvise(const_cast<std::byte*>(data_), size_, MADV_HUGEPAGE);
}

bool MappedFile::populate(std::span<const std::byte> range) const {
  constexpr int kPopulateRead = 22;  // MADV_POPULATE_READ, since Linux 5.14
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(range.data()) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(range.data() + range.size());
  if (range.empty()) return true;
  // Anything else (an older system does not know it: EINVAL) only means that pages come when they are
  // touched.
  return ::madvise(reinterpret_cast<void*>(begin), end - begin, kPopulateRead) == 0 ||
         (errno != EFAULT && errno != EHWPOISON);
}

void release_pages(std::span<const std::byte> range) {
  if (range.empty()) return;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<std::uintptr_t>(range.data()) + page - 1) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(range.data() + range.size()) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

}  // namespace gossamer
