#include "eval/needle_task.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <random>

#include "base/check.h"
#include "base/error.h"
#include "eval/python_text.h"

namespace gossamer {

const char* const kPasskeyHay =
    "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again.";

namespace {

constexpr const char* kPasskeyIntroduction =
    "There is an important info hidden inside a lot of irrelevant text. Find it and memorize them. I will "
    "quiz "
    "you about the important information there.\n\n";
constexpr int kPasskeyDigits = 5;
constexpr int kRulerDigits = 7;

// Keys are two of these, as RULER's are an adjective and a noun.
constexpr std::array<const char*, 16> kQualities = {"amber",  "brisk", "calm",  "distant", "early", "faint",
                                                    "gentle", "hasty", "ivory", "jolly",   "keen",  "lively",
                                                    "mellow", "noble", "plain", "quiet"};
constexpr std::array<const char*, 16> kThings = {"anchor", "basket", "candle",  "drawer", "engine", "feather",
                                                 "guitar", "hammer", "island",  "jacket", "kettle", "ladder",
                                                 "mirror", "needle", "orchard", "pencil"};

bool is_ascii_digit(char32_t c) { return c >= U'0' && c <= U'9'; }

// The standard's distributions differ between libraries, its engines do not.
class Random {
 public:
  Random(uint64_t seed, int64_t length, double depth) {
    const auto low = [](uint64_t value) { return static_cast<uint32_t>(value); };
    const auto parts = static_cast<uint64_t>(std::llround(depth * 1e6));
    std::seed_seq mixed{low(seed), low(seed >> 32), low(static_cast<uint64_t>(length)), low(parts)};
    engine_.seed(mixed);
  }
  uint64_t below(uint64_t limit) { return engine_() % limit; }
  double share() { return static_cast<double>(below(1'000'001)) / 1e6; }
  // Of so many digits, the first not 0.
  std::string number(std::size_t num_digits) {
    std::string digits(1, static_cast<char>('1' + below(9)));
    while (digits.size() < num_digits) digits += static_cast<char>('0' + below(10));
    return digits;
  }

 private:
  std::mt19937_64 engine_;
};

NeedleQuestion make_needle(const NeedleTask& task, double depth, Random& random) {
  NeedleQuestion question{.question = task.question, .expected = task.expected};
  if (question.expected.empty()) {
    const std::optional<std::string> derived = derive_expected(task.needle);
    if (!derived) throw Error("--needle: expected a number or a word to ask for, found \"{}\"", task.needle);
    question.expected = {*derived};
  }
  std::string needle = task.needle;
  if (task.random_codes) {
    std::string& code = question.expected.front();
    const bool is_number = !code.empty() && code.find_first_not_of("0123456789") == std::string::npos;
    std::size_t place = needle.find(code);
    if (question.expected.size() != 1 || !is_number || place == std::string::npos) {
      throw Error(
          "--random-codes: expected a needle with a number that is asked for, found \"{}\" and \"{}\"",
          task.needle, fmt::join(question.expected, "\", \""));
    }
    const std::string number = random.number(code.size());
    for (; place != std::string::npos; place = needle.find(code, place + number.size()))
      needle.replace(place, code.size(), number);
    code = number;
  }
  question.insertions = {{.text = std::move(needle), .depth = depth}};
  return question;
}

NeedleQuestion make_passkey(double depth, Random& random) {
  const std::string key = random.number(kPasskeyDigits);
  return {.before = kPasskeyIntroduction,
          .insertions = {{.text = fmt::format("The pass key is {0}. Remember it. {0} is the pass key.", key),
                          .depth = depth}},
          .question = "What is the pass key?",
          .answer_begin = "The pass key is",
          .expected = {key}};
}

NeedleQuestion make_ruler(const NeedleTask& task, double depth, Random& random) {
  constexpr std::size_t kMostKeys = kQualities.size() * kThings.size();
  if (task.num_keys < 1 || static_cast<std::size_t>(task.num_keys) > kMostKeys)
    throw Error("--keys: expected 1 to {}, found {}", kMostKeys, task.num_keys);
  NeedleQuestion question;
  std::vector<std::string> keys;
  std::vector<std::string> numbers;
  const auto is_new = [](const std::vector<std::string>& list, const std::string& text) {
    return std::find(list.begin(), list.end(), text) == list.end();
  };
  while (keys.size() < static_cast<std::size_t>(task.num_keys)) {
    const std::string key = fmt::format("{} {}", kQualities[random.below(kQualities.size())],
                                        kThings[random.below(kThings.size())]);
    const std::string number = random.number(kRulerDigits);
    if (!is_new(keys, key) || !is_new(numbers, number)) continue;
    question.insertions.push_back(
        {.text = fmt::format("One of the special magic numbers for {} is: {}.", key, number),
         .depth = keys.empty() ? depth : random.share()});
    keys.push_back(key);
    numbers.push_back(number);
  }
  question.before =
      "A special magic number is hidden within the following text. Make sure to memorize it. I will quiz you "
      "about the number afterwards.\n";
  question.question =
      fmt::format("What is the special magic number for {} mentioned in the provided text?", keys.front());
  question.answer_begin =
      fmt::format("The special magic number for {} mentioned in the provided text is", keys.front());
  question.expected = {numbers.front()};
  return question;
}

std::u32string normalised(std::string_view text) {
  constexpr std::u32string_view kDashes = U"\u2010\u2011\u2012\u2013\u2014\u2015\u2212";
  std::u32string result;
  for (const char32_t c : python_lower(to_code_points(text))) {
    if (is_python_space(c)) {
      if (!result.empty() && result.back() != U' ') result += U' ';
    } else {
      result += kDashes.find(c) == std::u32string_view::npos ? c : U'-';
    }
  }
  if (!result.empty() && result.back() == U' ') result.pop_back();
  std::u32string without_commas;
  const auto is_digit_at = [&](std::size_t i) { return i < result.size() && is_ascii_digit(result[i]); };
  for (std::size_t i = 0; i < result.size(); ++i) {
    const bool separates_thousands = result[i] == U',' && i > 0 && is_digit_at(i - 1) && is_digit_at(i + 1) &&
                                     is_digit_at(i + 2) && is_digit_at(i + 3) && !is_digit_at(i + 4);
    if (!separates_thousands) without_commas += result[i];
  }
  return without_commas;
}

bool contains(const std::u32string& text, const std::u32string& wanted) {
  if (wanted.empty()) return false;
  for (std::size_t at = text.find(wanted); at != std::u32string::npos; at = text.find(wanted, at + 1)) {
    const std::size_t end = at + wanted.size();
    const bool goes_on_before = at > 0 && is_ascii_digit(text[at - 1]) && is_ascii_digit(wanted.front());
    const bool goes_on_behind =
        end < text.size() && is_ascii_digit(text[end]) && is_ascii_digit(wanted.back());
    if (!goes_on_before && !goes_on_behind) return true;
  }
  return false;
}

}  // namespace

std::optional<std::string> derive_expected(std::string_view needle) {
  const std::u32string text = to_code_points(needle);
  if (const auto numbers = find_digit_runs(text); !numbers.empty()) return to_utf8(numbers.back());
  std::size_t end = text.size();
  while (end > 0 && !is_python_word(text[end - 1])) --end;
  std::size_t begin = end;
  while (begin > 0 && is_python_word(text[begin - 1])) --begin;
  if (begin == end) return std::nullopt;
  return to_utf8(std::u32string_view(text).substr(begin, end - begin));
}

std::string NeedleQuestion::after(bool chat) const {
  if (chat) return "\n\n" + question;
  if (answer_begin.empty()) return fmt::format("\n\nQuestion: {}\nAnswer:", question);
  return fmt::format("\n\n{} {}", question, answer_begin);
}

NeedleQuestion make_needle_question(const NeedleTask& task, int64_t length, double depth) {
  Random random(task.seed, length, depth);
  switch (task.kind) {
    case NeedleKind::kNeedle:
      return make_needle(task, depth, random);
    case NeedleKind::kPasskey:
      return make_passkey(depth, random);
    case NeedleKind::kRuler:
      return make_ruler(task, depth, random);
  }
  GOSSAMER_CHECK(false);
  return {};
}

double needle_score(std::string_view answer, const std::vector<std::string>& expected) {
  GOSSAMER_CHECK(!expected.empty());
  const std::u32string text = normalised(answer);
  std::size_t found = 0;
  for (const std::string& wanted : expected) found += contains(text, normalised(wanted)) ? 1U : 0U;
  return static_cast<double>(found) / static_cast<double>(expected.size());
}

}  // namespace gossamer
