// A few bytes that appear over and over in a range of addresses as long as one likes: the same physical pages
// mapped many times. Synthetic weights are made of it, so that gigabytes of them cost a megabyte.
#pragma once

#include <cstddef>
#include <span>

namespace gossamer {

class RepeatedMemory {
 public:
  // `pattern`: a whole number of pages. Byte i of the range is byte i % pattern.size() of the pattern. Throws
  // Error with the size when the system refuses.
  RepeatedMemory(std::span<const std::byte> pattern, std::size_t size);
  ~RepeatedMemory();
  RepeatedMemory(const RepeatedMemory&) = delete;
  RepeatedMemory& operator=(const RepeatedMemory&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }

  // Gives up the mapping of the whole pages within `range`, which then no longer count as resident; they come
  // back when touched.
  void release(std::span<const std::byte> range) const;

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;  // a whole number of patterns
};

}  // namespace gossamer
