#include "base/repeated_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/error.h"
#include "base/mapped_file.h"

namespace gossamer {
namespace {

// Closed at the end of the constructor: mappings keep the file alive.
class MemoryFile {
 public:
  MemoryFile() : fd_(::memfd_create("repeated", MFD_CLOEXEC)) {}
  ~MemoryFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  bool write(std::span<const std::byte> bytes) const {
    while (fd_ >= 0 && !bytes.empty()) {
      const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return false;
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return fd_ >= 0;
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

[[noreturn]] void fail(std::size_t size) {
  throw Error("cannot map {} bytes of repeated memory: {}", size, std::strerror(errno));
}

}  // namespace

RepeatedMemory::RepeatedMemory(std::span<const std::byte> pattern, std::size_t size) {
  GOSSAMER_CHECK(!pattern.empty());
  GOSSAMER_CHECK_EQ(pattern.size() % static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)), std::size_t{0});
  const MemoryFile file;
  if (!file.write(pattern)) fail(size);
  const std::size_t rounded = (size + pattern.size() - 1) / pattern.size() * pattern.size();
  void* range = ::mmap(nullptr, rounded, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) fail(size);
  auto* begin = static_cast<std::byte*>(range);
  data_ = begin;
  size_ = rounded;
  for (std::size_t done = 0; done < rounded; done += pattern.size()) {
    if (::mmap(begin + done, pattern.size(), PROT_READ, MAP_SHARED | MAP_FIXED, file.fd(), 0) == MAP_FAILED) {
      const int map_errno = errno;
      ::munmap(range, rounded);
      errno = map_errno;
      fail(size);
    }
  }
}

void RepeatedMemory::release(std::span<const std::byte> range) const { release_pages(range); }

RepeatedMemory::~RepeatedMemory() { ::munmap(const_cast<std::byte*>(data_), size_); }

}  // namespace gossamer
