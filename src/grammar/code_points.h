// CodePoints: a set of Unicode characters, as the classes of a pattern need it. Surrogates are never in it:
// no text has them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

namespace gossamer {

class CodePoints {
 public:
  using Range = std::pair<char32_t, char32_t>;  // both ends included

  CodePoints() = default;
  CodePoints(std::initializer_list<Range> ranges) : ranges_(ranges) { normalize(); }
  explicit CodePoints(std::vector<Range> ranges) : ranges_(std::move(ranges)) { normalize(); }
  static CodePoints all() { return {{0, 0xD7FF}, {0xE000, 0x10FFFF}}; }

  void add(char32_t low, char32_t high) {
    ranges_.emplace_back(low, high);
    normalize();
  }
  void add(const CodePoints& other);
  // Every character that is not in this set.
  CodePoints complement() const;

  bool empty() const { return ranges_.empty(); }
  bool contains(char32_t c) const;
  // Ascending, neither touching nor overlapping.
  const std::vector<Range>& ranges() const { return ranges_; }

  bool operator==(const CodePoints&) const = default;

 private:
  void normalize();

  std::vector<Range> ranges_;
};

}  // namespace gossamer
