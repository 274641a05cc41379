#include "tensor/tensor.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace gossamer {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kHugePage = std::size_t{2} << 20;

std::size_t round_up(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

std::string Shape::to_string() const {
  std::string text = "[";
  for (int axis = 0; axis < rank_; ++axis) {
    if (axis > 0) text += ", ";
    text += std::to_string((*this)[axis]);
  }
  return text + "]";
}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    reset();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    deleter_ = std::exchange(other.deleter_, nullptr);
  }
  return *this;
}

void Buffer::reset() {
  if (data_ != nullptr && deleter_) deleter_(data_, size_);
  data_ = nullptr;
  size_ = 0;
}

Tensor Buffer::view(DType dtype, const Shape& shape) const {
  GOSSAMER_CHECK_LE(static_cast<std::size_t>(shape.num_elements()) * dtype_size(dtype), size_);
  return {data_, dtype, shape};
}

Buffer Buffer::allocate_host(std::size_t size) {
  if (size == 0) return {};
  // Anonymous memory is zero and costs nothing until touched. Large buffers start on a huge-page boundary:
  // map one huge page more than needed and give the ends back.
  const bool huge = size >= 4 * kHugePage;
  const std::size_t alignment = huge ? kHugePage : kPage;
  const std::size_t length = round_up(size, kPage);
  const std::size_t mapped_length = length + (huge ? kHugePage : 0);
  void* mapped = ::mmap(nullptr, mapped_length, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) throw Error("cannot allocate {} bytes of memory: {}", size, std::strerror(errno));
  auto* begin = static_cast<std::byte*>(mapped);
  auto* aligned = reinterpret_cast<std::byte*>(round_up(reinterpret_cast<std::size_t>(begin), alignment));
  const auto head = static_cast<std::size_t>(aligned - begin);
  const std::size_t tail = mapped_length - head - length;
  if (head > 0) ::munmap(begin, head);
  if (tail > 0) ::munmap(aligned + length, tail);
  if (huge) ::madvise(aligned, length, MADV_HUGEPAGE);  // a wish: refusal only costs speed
  return {aligned, size, [length](void* data, std::size_t) { ::munmap(data, length); }};
}

}  // namespace gossamer
