#include "eval/similarity.h"

#include <algorithm>
#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gossamer {
namespace {

std::size_t common_subsequence_length(std::u32string_view a, std::u32string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (const char32_t c : a) {
    std::size_t diagonal = 0;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = c == b[j - 1] ? diagonal + 1 : std::max(above, row[j - 1]);
      diagonal = above;
    }
  }
  return row[b.size()];
}

// difflib.SequenceMatcher without junk.
class SequenceMatcher {
 public:
  SequenceMatcher(std::u32string_view a, std::u32string_view b) : a_(a), b_(b) {
    for (std::size_t j = 0; j < b.size(); ++j) places_[b[j]].push_back(j);
    constexpr std::size_t kManyCharacters = 200;
    if (b.size() < kManyCharacters) return;
    const std::size_t many = b.size() / 100 + 1;
    std::erase_if(places_, [many](const auto& entry) { return entry.second.size() > many; });
  }

  // Characters in matching runs.
  std::size_t num_matching() const {
    std::size_t matching = 0;
    std::vector<Range> left = {{0, a_.size(), 0, b_.size()}};
    while (!left.empty()) {
      const Range range = left.back();
      left.pop_back();
      const Match match = longest_match(range);
      if (match.size == 0) continue;
      matching += match.size;
      if (range.a_begin < match.a && range.b_begin < match.b)
        left.push_back({range.a_begin, match.a, range.b_begin, match.b});
      if (match.a + match.size < range.a_end && match.b + match.size < range.b_end)
        left.push_back({match.a + match.size, range.a_end, match.b + match.size, range.b_end});
    }
    return matching;
  }

 private:
  struct Range {
    std::size_t a_begin;
    std::size_t a_end;
    std::size_t b_begin;
    std::size_t b_end;
  };
  struct Match {
    std::size_t a;
    std::size_t b;
    std::size_t size;
  };

  Match longest_match(const Range& range) const {
    Match best{.a = range.a_begin, .b = range.b_begin, .size = 0};
    std::unordered_map<std::size_t, std::size_t> lengths;  // of the runs that end at b[j] and at a[i - 1]
    for (std::size_t i = range.a_begin; i < range.a_end; ++i) {
      std::unordered_map<std::size_t, std::size_t> next;
      const auto places = places_.find(a_[i]);
      if (places != places_.end()) {
        for (const std::size_t j : places->second) {
          if (j < range.b_begin) continue;
          if (j >= range.b_end) break;
          const auto before = j == 0 ? lengths.end() : lengths.find(j - 1);
          const std::size_t length = before == lengths.end() ? 1 : before->second + 1;
          next[j] = length;
          if (length > best.size) best = {.a = i + 1 - length, .b = j + 1 - length, .size = length};
        }
      }
      lengths = std::move(next);
    }
    // Frequent characters begin no run, but they prolong one.
    while (best.a > range.a_begin && best.b > range.b_begin && a_[best.a - 1] == b_[best.b - 1]) {
      --best.a;
      --best.b;
      ++best.size;
    }
    while (best.a + best.size < range.a_end && best.b + best.size < range.b_end &&
           a_[best.a + best.size] == b_[best.b + best.size]) {
      ++best.size;
    }
    return best;
  }

  std::u32string_view a_;
  std::u32string_view b_;
  std::unordered_map<char32_t, std::vector<std::size_t>> places_;  // of each character of b
};

}  // namespace

double indel_ratio(std::u32string_view a, std::u32string_view b) {
  const std::size_t total = a.size() + b.size();
  if (total == 0) return 1.0;
  const std::size_t distance = total - 2 * common_subsequence_length(a, b);
  return 1.0 - static_cast<double>(distance) / static_cast<double>(total);
}

double difflib_ratio(std::u32string_view a, std::u32string_view b) {
  const std::size_t total = a.size() + b.size();
  if (total == 0) return 1.0;
  return 2.0 * static_cast<double>(SequenceMatcher(a, b).num_matching()) / static_cast<double>(total);
}

}  // namespace gossamer
