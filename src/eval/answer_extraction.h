// The answer that a model meant, out of what it wrote. Each is a rule that docs/evaluation.md states; where
// it finds nothing the answer counts as wrong and is reported as not found.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace gossamer {

// C-Eval in chat: the letter behind the last 答案 (with :, ：, 是 or 为, and space and Markdown's **
// between); else the only one of A to D that stands alone in the text.
std::optional<char> extract_choice_zh(std::string_view text);

// LongBench v2: "The correct answer is (X)", then without parentheses; asterisks are ignored.
std::optional<char> extract_longbench_v2(std::string_view text);

// The first word, whatever stands around it: yes (true) or no (false).
std::optional<bool> extract_yes_no(std::string_view text);

// GSM8K. Strict: behind "#### ". Flexible: the last number. Both as the number reads without commas, dollar
// signs and a full stop behind it.
std::optional<std::string> extract_number_strict(std::string_view text);
std::optional<std::string> extract_number(std::string_view text);

// Whether two numbers as above are equal: 18 and 18.00 are.
bool is_same_number(std::string_view a, std::string_view b);

}  // namespace gossamer
