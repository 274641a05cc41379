#include "grammar/code_points.h"

#include <algorithm>

namespace gossamer {
namespace {

constexpr char32_t kLastCodePoint = 0x10FFFF;
constexpr CodePoints::Range kSurrogates = {0xD800, 0xDFFF};

}  // namespace

void CodePoints::add(const CodePoints& other) {
  ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
  normalize();
}

CodePoints CodePoints::complement() const {
  CodePoints result;
  char32_t next = 0;
  for (const auto& [low, high] : ranges_) {
    if (low > next) result.ranges_.emplace_back(next, low - 1);
    next = high + 1;
  }
  if (next <= kLastCodePoint) result.ranges_.emplace_back(next, kLastCodePoint);
  result.normalize();
  return result;
}

bool CodePoints::contains(char32_t c) const {
  return std::any_of(ranges_.begin(), ranges_.end(),
                     [&](const Range& range) { return range.first <= c && c <= range.second; });
}

void CodePoints::normalize() {
  std::sort(ranges_.begin(), ranges_.end());
  std::vector<Range> merged;
  const auto append = [&](char32_t low, char32_t high) {
    if (low > high) return;
    if (!merged.empty() && low <= merged.back().second + 1) {
      merged.back().second = std::max(merged.back().second, high);
    } else {
      merged.emplace_back(low, high);
    }
  };
  for (const auto& [low, high] : ranges_) {
    append(low, std::min<char32_t>(high, kSurrogates.first - 1));
    append(std::max<char32_t>(low, kSurrogates.second + 1), high);
  }
  ranges_ = std::move(merged);
}

}  // namespace gossamer
