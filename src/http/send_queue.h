// What waits to be sent on one connection: pieces in order, given to the system as one gathered write. Large
// strings are moved in, small ones joined. Owned by a connection; costs nothing while empty.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace gossamer {

class SendQueue {
 public:
  bool empty() const { return bytes_ == 0; }
  std::size_t bytes() const { return bytes_; }

  void append(std::string&& piece);
  void append(std::string_view piece);

  // Fills `pieces` from the front; returns how many.
  int gather(iovec* pieces, int capacity) const;
  void consume(std::size_t bytes);
  void clear();

 private:
  std::vector<std::string> pieces_;
  std::size_t first_ = 0;   // piece that is sent next
  std::size_t offset_ = 0;  // into it
  std::size_t bytes_ = 0;
};

}  // namespace gossamer
