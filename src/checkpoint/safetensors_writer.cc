#include "checkpoint/safetensors_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/check.h"
#include "base/error.h"
#include "base/json.h"
#include "checkpoint/safetensors.h"

namespace gossamer {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kLengthBytes = 8;

// The 8 bytes of length and the header, padded with spaces so that the data start at a multiple of
// `alignment`.
std::string make_header(const std::vector<TensorSpec>& tensors, const SafetensorsWriter::Metadata& metadata,
                        uint64_t alignment) {
  json::object header;
  if (!metadata.empty()) {
    json::object strings;
    for (const auto& [key, value] : metadata) strings.emplace(key, value);
    header.emplace("__metadata__", std::move(strings));
  }
  uint64_t begin = 0;
  for (const TensorSpec& tensor : tensors) {
    const uint64_t end = begin + tensor.size_bytes();
    json::array shape;
    for (const int64_t dim : tensor.shape.dims()) shape.emplace_back(dim);
    const bool is_new =
        header
            .emplace(tensor.name, json::object{{"dtype", json::string(dtype_name(tensor.dtype))},
                                               {"shape", std::move(shape)},
                                               {"data_offsets", json::array{begin, end}}})
            .second;
    GOSSAMER_CHECK(is_new);  // two tensors of one name
    begin = end;
  }
  std::string text = json::serialize(header);
  while ((kLengthBytes + text.size()) % alignment != 0) text += ' ';
  std::string length(kLengthBytes, '\0');
  for (uint64_t i = 0; i < kLengthBytes; ++i) length[i] = static_cast<char>(text.size() >> (8 * i) & 0xff);
  return length + text;
}

}  // namespace

void check_disk_space(const fs::path& path, uint64_t needed) {
  fs::path existing = fs::absolute(path);
  std::error_code error;
  while (!fs::exists(existing, error) && existing.has_relative_path()) existing = existing.parent_path();
  const fs::space_info space = fs::space(existing, error);
  if (error) throw Error("{}: cannot tell the free disk space: {}", existing.string(), error.message());
  if (space.available < needed) {
    throw Error("{}: needs {:.2f} GB of disk space, {} has {:.2f} GB free", path.string(),
                static_cast<double>(needed) / 1e9, existing.string(),
                static_cast<double>(space.available) / 1e9);
  }
}

SafetensorsWriter::SafetensorsWriter(fs::path path, const std::vector<TensorSpec>& tensors,
                                     const Metadata& metadata, uint64_t alignment)
    : path_(std::move(path)), partial_(path_.string() + ".partial") {
  const std::string header = make_header(tensors, metadata, alignment);
  header_bytes_ = header.size();
  for (const TensorSpec& tensor : tensors) data_bytes_ += tensor.size_bytes();
  if (header_bytes_ - kLengthBytes > kMaxSafetensorsHeader) {
    throw Error("{}: expected a header of at most {} bytes, found {} tensors, which take {}", path_.string(),
                kMaxSafetensorsHeader, tensors.size(), header_bytes_ - kLengthBytes);
  }
  check_disk_space(path_, header_bytes_ + data_bytes_);
  fd_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd_ < 0) throw Error("{}: cannot write the file: {}", partial_.string(), std::strerror(errno));
  try {
    write_bytes(0, std::as_bytes(std::span(header)));
  } catch (...) {  // the destructor does not run
    ::close(fd_);
    ::unlink(partial_.c_str());
    throw;
  }
}

SafetensorsWriter::~SafetensorsWriter() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(partial_.c_str());
}

void SafetensorsWriter::append(std::span<const std::byte> bytes) { write_at(written_, bytes); }

void SafetensorsWriter::write_at(uint64_t begin, std::span<const std::byte> bytes) {
  GOSSAMER_CHECK(fd_ >= 0);
  GOSSAMER_CHECK_LE(begin + bytes.size(), data_bytes_);
  write_bytes(header_bytes_ + begin, bytes);
  written_ += bytes.size();
}

void SafetensorsWriter::write_bytes(uint64_t offset, std::span<const std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      throw Error("{}: cannot write {} bytes: {}", partial_.string(), bytes.size(), std::strerror(errno));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += static_cast<uint64_t>(count);
  }
}

void SafetensorsWriter::finish() {
  GOSSAMER_CHECK(fd_ >= 0);
  GOSSAMER_CHECK_EQ(written_.load(), data_bytes_);
  const int result = ::close(std::exchange(fd_, -1));
  if (result != 0 || ::rename(partial_.c_str(), path_.c_str()) != 0) {
    const int reason = errno;
    ::unlink(partial_.c_str());
    throw Error("{}: cannot finish the file: {}", path_.string(), std::strerror(reason));
  }
}

}  // namespace gossamer
