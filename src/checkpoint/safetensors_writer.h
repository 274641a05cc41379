// Writes a safetensors file whose tensors' names, dtypes and shapes are known up front and whose numbers
// arrive piece by piece: `gossamer score` streams logits, `gossamer synth` and `gossamer pack` whole
// folders, tests their small files.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tensor/dtype.h"
#include "tensor/shape.h"

namespace gossamer {

struct TensorSpec {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;

  std::size_t size_bytes() const {
    return static_cast<std::size_t>(shape.num_elements()) * dtype_size(dtype);
  }
};

// Throws Error saying both numbers when the file system of `path` (which need not exist yet) has less than
// `needed` bytes free.
void check_disk_space(const std::filesystem::path& path, uint64_t needed);

// The file appears under its name only when finish() has returned; until then it is PATH.partial, which the
// destructor removes.
class SafetensorsWriter {
 public:
  // Metadata: strings for the header's __metadata__.
  using Metadata = std::vector<std::pair<std::string, std::string>>;

  // Checks the disk space, makes the file and writes its header. The tensors will lie in the order of
  // `tensors`, the first at a multiple of `alignment`. Throws Error naming the file when that fails.
  SafetensorsWriter(std::filesystem::path path, const std::vector<TensorSpec>& tensors,
                    const Metadata& metadata = {}, uint64_t alignment = 8);
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;

  // Bytes of all tensors.
  uint64_t data_bytes() const { return data_bytes_; }

  // The next bytes of the data, cut wherever it suits the caller. Throws Error naming the file when the disk
  // does not take them.
  void append(std::span<const std::byte> bytes);
  // The same with the place given, counted from the start of the first tensor: any order, from any thread,
  // each byte once. Not to be mixed with append().
  void write_at(uint64_t begin, std::span<const std::byte> bytes);

  // Every byte is there: gives the file its name. Throws Error naming the file.
  void finish();

 private:
  void write_bytes(uint64_t offset, std::span<const std::byte> bytes) const;

  std::filesystem::path path_;
  std::filesystem::path partial_;
  int fd_ = -1;
  uint64_t header_bytes_ = 0;
  uint64_t data_bytes_ = 0;
  std::atomic<uint64_t> written_{0};
};

}  // namespace gossamer
