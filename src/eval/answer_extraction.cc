#include "eval/answer_extraction.h"

#include <algorithm>
#include <cctype>

#include "eval/python_text.h"

namespace gossamer {
namespace {

bool is_choice(char32_t c) { return c >= U'A' && c <= U'D'; }

bool is_latin(char32_t c) {
  return (c >= U'a' && c <= U'z') || (c >= U'A' && c <= U'Z') || (c >= U'0' && c <= U'9');
}

// One of A to D, no letter of a word.
bool stands_alone(std::u32string_view text, std::size_t at) {
  return is_choice(text[at]) && (at == 0 || !is_latin(text[at - 1])) &&
         (at + 1 == text.size() || !is_latin(text[at + 1]));
}

std::optional<char> choice_behind(std::string_view text, std::string_view phrase) {
  for (std::size_t at = text.find(phrase); at != std::string_view::npos; at = text.find(phrase, at + 1)) {
    const std::size_t letter = at + phrase.size();
    if (letter < text.size() && text[letter] >= 'A' && text[letter] <= 'D') return text[letter];
  }
  return std::nullopt;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Of characters of numbers: without $ and commas, and without a full stop behind it. Nothing where no digit
// is left.
std::optional<std::string> clean_number(std::string_view text) {
  std::string number;
  for (const char c : text) {
    if (c != '$' && c != ',') number += c;
  }
  while (!number.empty() && number.back() == '.') number.pop_back();
  if (std::none_of(number.begin(), number.end(), is_digit)) return std::nullopt;
  return number;
}

bool is_number_character(char c) { return is_digit(c) || c == '$' || c == ',' || c == '.'; }

// The end of the number that begins at `at`, a minus or dollar sign first or not.
std::size_t number_end(std::string_view text, std::size_t at) {
  if (at < text.size() && text[at] == '-') ++at;
  while (at < text.size() && is_number_character(text[at])) ++at;
  return at;
}

}  // namespace

std::optional<char> extract_choice_zh(std::string_view text) {
  const std::u32string code_points = to_code_points(text);
  constexpr std::u32string_view kLabel = U"答案";
  constexpr std::u32string_view kBetween = U":：是为*（(";
  std::optional<char> behind_label;
  for (std::size_t at = code_points.find(kLabel); at != std::u32string::npos;
       at = code_points.find(kLabel, at + 1)) {
    std::size_t letter = at + kLabel.size();
    while (letter < code_points.size() && (kBetween.find(code_points[letter]) != std::u32string_view::npos ||
                                           is_python_space(code_points[letter])))
      ++letter;
    if (letter < code_points.size() && stands_alone(code_points, letter))
      behind_label = static_cast<char>(code_points[letter]);
  }
  if (behind_label) return behind_label;
  std::optional<char> only;
  for (std::size_t i = 0; i < code_points.size(); ++i) {
    if (!stands_alone(code_points, i)) continue;
    if (only && *only != static_cast<char>(code_points[i])) return std::nullopt;
    only = static_cast<char>(code_points[i]);
  }
  return only;
}

std::optional<char> extract_longbench_v2(std::string_view text) {
  std::string plain(text);
  std::erase(plain, '*');
  constexpr std::string_view kOpening = "The correct answer is (";
  for (std::size_t at = plain.find(kOpening); at != std::string::npos; at = plain.find(kOpening, at + 1)) {
    const std::size_t letter = at + kOpening.size();
    if (letter + 1 < plain.size() && plain[letter] >= 'A' && plain[letter] <= 'D' && plain[letter + 1] == ')')
      return plain[letter];
  }
  return choice_behind(plain, "The correct answer is ");
}

std::optional<bool> extract_yes_no(std::string_view text) {
  std::string word;
  for (const char c : text) {
    if (std::isalpha(static_cast<unsigned char>(c)) != 0) {
      word += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    } else if (!word.empty()) {
      break;
    }
  }
  if (word == "yes" || word == "true") return true;
  if (word == "no" || word == "false") return false;
  return std::nullopt;
}

std::optional<std::string> extract_number_strict(std::string_view text) {
  constexpr std::string_view kMark = "####";
  for (std::size_t at = text.rfind(kMark); at != std::string_view::npos;
       at = at == 0 ? std::string_view::npos : text.rfind(kMark, at - 1)) {
    std::size_t begin = at + kMark.size();
    while (begin < text.size() && text[begin] == ' ') ++begin;
    if (auto number = clean_number(text.substr(begin, number_end(text, begin) - begin))) return number;
  }
  return std::nullopt;
}

std::optional<std::string> extract_number(std::string_view text) {
  std::optional<std::string> last;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t end = number_end(text, i);
    if (end == i) {
      ++i;
      continue;
    }
    if (auto number = clean_number(text.substr(i, end - i))) last = std::move(number);
    i = end;
  }
  return last;
}

bool is_same_number(std::string_view a, std::string_view b) {
  const auto canonical = [](std::string_view text) {
    std::string number(text);
    const bool negative = number.starts_with('-');
    if (negative) number.erase(0, 1);
    if (number.find('.') != std::string::npos) {
      while (number.back() == '0') number.pop_back();
      if (number.back() == '.') number.pop_back();
    }
    number.erase(0, std::min(number.find_first_not_of('0'), number.size()));
    if (number.empty() || number.front() == '.') number.insert(0, "0");
    return negative && number != "0" ? "-" + number : number;
  };
  return canonical(a) == canonical(b);
}

}  // namespace gossamer
