// Text as Python's str sees it: code points, its idea of lower case, of white space and of \w. The metrics of
// the evaluations are defined by Python programs, so these functions give what those get.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gossamer {

// Code points of UTF-8; bytes that are not UTF-8 become U+FFFD.
std::u32string to_code_points(std::string_view text);
std::string to_utf8(std::u32string_view text);

// str.isspace() and \s.
bool is_python_space(char32_t c);
// \w of `re`: letters, numbers of every kind, the underscore; no combining marks.
bool is_python_word(char32_t c);
// \d of `re`.
bool is_python_digit(char32_t c);

// str.lower(), the two rules that depend on more than one character included.
std::u32string python_lower(std::u32string_view text);
// str.strip() without arguments.
std::u32string_view python_strip(std::u32string_view text);
// str.split() without arguments.
std::vector<std::u32string> python_split(std::u32string_view text);
// str.split(separator).
std::vector<std::u32string> python_split(std::u32string_view text, char32_t separator);

// re.findall(r"\d+", text).
std::vector<std::u32string> find_digit_runs(std::u32string_view text);

}  // namespace gossamer
