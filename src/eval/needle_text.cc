#include "eval/needle_text.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "base/error.h"
#include "base/utf8.h"
#include "eval/python_text.h"

namespace gossamer {
namespace {

constexpr std::u32string_view kEnds = U".!?\u2026\u3002\uFF01\uFF1F";
constexpr std::u32string_view kClosers = U"\"')]\u2019\u201D\u300D\u300F\uFF09\u300B";
constexpr std::u32string_view kWideMarks = U"\u3001\u3002\uFF0C\uFF01\uFF1F\uFF1A\uFF1B";

// Fewer than a sentence, and soon found.
constexpr int64_t kSlackTokens = 3;
// Beyond so many steps towards where the count should be, halving is surer.
constexpr int kMostGuesses = 12;

bool is_one_of(char32_t c, std::u32string_view set) { return set.find(c) != std::u32string_view::npos; }

// Scripts written without spaces: every character is as good as a word.
bool is_wide(char32_t c) { return c >= 0x2E80 && !is_python_space(c); }

std::string with_single_spaces(const std::vector<std::string>& texts) {
  std::string joined;
  for (const std::string& text : texts) {
    std::string_view left = text;
    if (left.starts_with("\xEF\xBB\xBF")) left.remove_prefix(3);
    bool space = true;  // between texts
    while (!left.empty()) {
      const Utf8Step step = utf8_step(left);
      left.remove_prefix(step.length);
      if (is_python_space(step.code_point)) {
        space = true;
        continue;
      }
      if (space && !joined.empty()) joined += ' ';
      space = false;
      utf8_append(step.code_point, joined);
    }
  }
  return joined;
}

}  // namespace

Haystack::Haystack(const std::vector<std::string>& texts) : text_(with_single_spaces(texts)) {
  std::string_view left = text_;
  bool ended = false;  // a mark that ends sentences, and at most closing marks behind it
  while (!left.empty()) {
    const Utf8Step step = utf8_step(left);
    const char32_t c = step.code_point;
    left.remove_prefix(step.length);
    if (c == U' ') continue;
    if (!is_one_of(c, kClosers)) ended = is_one_of(c, kEnds);
    const char32_t next = left.empty() ? U' ' : utf8_step(left).code_point;
    const bool word_ends = next == U' ' ||
                           (is_wide(c) && !is_one_of(next, kWideMarks) && !is_one_of(next, kClosers)) ||
                           (is_wide(next) && !is_one_of(next, kWideMarks) && !is_one_of(next, kClosers));
    if (word_ends) words_.push_back({.end = text_.size() - left.size(), .ends_sentence = ended});
  }
  if (words_.empty()) throw Error("a haystack needs text: expected at least one word, found none");
  period_ = text_.size() + 1;
}

std::string Haystack::first_words(int64_t num_words) const {
  GOSSAMER_CHECK(num_words >= 0);
  if (num_words == 0) return {};
  const auto last = static_cast<std::size_t>(num_words - 1);
  const std::size_t repeats = last / words_.size();
  const Word& word = words_[last % words_.size()];
  std::string hay;
  hay.reserve(repeats * period_ + word.end + 1);
  for (std::size_t i = 0; i < repeats; ++i) {
    hay += text_;
    hay += ' ';
  }
  hay.append(text_, 0, word.end);
  if (word.ends_sentence) return hay;
  while (!hay.empty() && (hay.back() == ',' || hay.back() == ';' || hay.back() == ':')) hay.pop_back();
  return hay + '.';
}

std::vector<std::size_t> Haystack::sentence_starts(int64_t num_words) const {
  std::vector<std::size_t> starts = {0};
  for (int64_t i = 0; i + 1 < num_words; ++i) {
    const auto index = static_cast<std::size_t>(i);
    const Word& word = words_[index % words_.size()];
    const bool text_ends = (index + 1) % words_.size() == 0;
    if (!word.ends_sentence && !text_ends) continue;
    const std::size_t end = index / words_.size() * period_ + word.end;
    starts.push_back(end + (text_ends || text_[word.end] == ' ' ? 1 : 0));
  }
  if (num_words > 0) starts.push_back(first_words(num_words).size());
  return starts;
}

int64_t most_that_fits(int64_t guess, int64_t most, int64_t target, int64_t slack,
                       const std::function<int64_t(int64_t)>& count) {
  int64_t low = 0;  // fits
  int64_t low_count = count(0);
  if (low_count > target) return -1;
  int64_t high = most + 1;  // does not
  std::optional<int64_t> high_count;
  int64_t next = guess;
  for (int tries = 0; high - low > 1 && target - low_count > slack; ++tries) {
    next = std::clamp(next, low + 1, high - 1);
    const int64_t found = count(next);
    if (found <= target) {
      low = next;
      low_count = found;
    } else {
      high = next;
      high_count = found;
    }
    if (tries >= kMostGuesses && high_count) {
      next = std::midpoint(low, high);
      continue;
    }
    // Where the target would be, were all of them as long as those between the ends, or those so far.
    const double each = high_count
                            ? static_cast<double>(*high_count - low_count) / static_cast<double>(high - low)
                            : static_cast<double>(low_count) / static_cast<double>(std::max<int64_t>(low, 1));
    next = low + static_cast<int64_t>(static_cast<double>(target - low_count) / std::max(each, 0.01));
  }
  return low;
}

namespace {

// The hay with the insertions between its sentences, each with spaces around it.
std::string with_insertions(const std::string& hay, const std::vector<Insertion>& insertions,
                            const std::vector<std::size_t>& places) {
  std::vector<std::size_t> order(insertions.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return places[a] < places[b]; });
  std::string text;
  std::size_t done = 0;
  const auto add = [&text](std::string_view part) {
    if (!text.empty() && !part.empty() && text.back() != ' ') text += ' ';
    text += part;
  };
  for (const std::size_t index : order) {
    add(std::string_view(hay).substr(done, places[index] - done));
    add(insertions[index].text);
    done = places[index];
  }
  add(std::string_view(hay).substr(done));
  return text;
}

}  // namespace

std::optional<HayPrompt> make_hay_prompt(const Haystack& hay, const std::string& before,
                                         const std::vector<Insertion>& insertions, const std::string& after,
                                         int64_t max_tokens, const CountTokens& count, int64_t guess) {
  GOSSAMER_CHECK(!insertions.empty());
  constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max() / 2;
  // How much hay there is room for hardly depends on where the insertions stand.
  const std::vector<std::size_t> in_front(insertions.size(), 0);
  int64_t num_words = most_that_fits(guess, kNoLimit, max_tokens, kSlackTokens, [&](int64_t words) {
    return count(before + with_insertions(hay.first_words(words), insertions, in_front) + after);
  });
  for (; num_words > 0; --num_words) {
    const std::string text = hay.first_words(num_words);
    const std::vector<std::size_t> starts = hay.sentence_starts(num_words);
    const int64_t num_hay_tokens = count(text);
    const auto tokens_before = [&](int64_t sentence) {
      return count(std::string_view(text).substr(0, starts[static_cast<std::size_t>(sentence)]));
    };
    std::vector<std::size_t> places;
    for (const Insertion& insertion : insertions) {
      const auto last = static_cast<int64_t>(starts.size()) - 1;
      const auto target =
          static_cast<int64_t>(std::floor(insertion.depth * static_cast<double>(num_hay_tokens)));
      const int64_t near = std::llround(insertion.depth * static_cast<double>(last));
      const int64_t sentence =
          insertion.depth >= 1.0 ? last : most_that_fits(near, last, target, 0, tokens_before);
      places.push_back(starts[static_cast<std::size_t>(sentence)]);
    }
    HayPrompt prompt{.text = before + with_insertions(text, insertions, places) + after,
                     .num_words = num_words};
    prompt.num_tokens = count(prompt.text);
    if (prompt.num_tokens > max_tokens) continue;
    const int64_t in_front_of_first = count(std::string_view(text).substr(0, places.front()));
    prompt.depth = static_cast<double>(in_front_of_first) / static_cast<double>(num_hay_tokens);
    return prompt;
  }
  return std::nullopt;
}

}  // namespace gossamer
