#include "http/send_queue.h"

#include <utility>

#include "base/check.h"

namespace gossamer {
namespace {

// Joining copies, a piece of its own costs an entry of the gathered write: about equal at a few kilobytes.
constexpr std::size_t kSmall = 2048;
constexpr std::size_t kJoined = 16 << 10;

}  // namespace

void SendQueue::append(std::string&& piece) {
  if (piece.size() <= kSmall && first_ < pieces_.size()) return append(std::string_view(piece));
  if (piece.empty()) return;
  bytes_ += piece.size();
  pieces_.push_back(std::move(piece));
}

void SendQueue::append(std::string_view piece) {
  if (piece.empty()) return;
  bytes_ += piece.size();
  if (first_ < pieces_.size() && pieces_.back().size() + piece.size() <= kJoined) {
    pieces_.back() += piece;
  } else {
    pieces_.emplace_back(piece);
  }
}

int SendQueue::gather(iovec* pieces, int capacity) const {
  int count = 0;
  std::size_t offset = offset_;
  for (std::size_t i = first_; i < pieces_.size() && count < capacity; ++i) {
    pieces[count++] = {.iov_base = const_cast<char*>(pieces_[i].data()) + offset,
                       .iov_len = pieces_[i].size() - offset};
    offset = 0;
  }
  return count;
}

void SendQueue::consume(std::size_t bytes) {
  GOSSAMER_CHECK_LE(bytes, bytes_);
  bytes_ -= bytes;
  offset_ += bytes;
  while (first_ < pieces_.size() && offset_ >= pieces_[first_].size()) {
    offset_ -= pieces_[first_].size();
    pieces_[first_++] = std::string();
  }
  if (bytes_ == 0) {
    clear();
  } else if (first_ >= 256 && first_ * 2 >= pieces_.size()) {  // a stream that never quite catches up
    pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
}

void SendQueue::clear() {
  pieces_ = {};
  first_ = offset_ = bytes_ = 0;
}

}  // namespace gossamer
