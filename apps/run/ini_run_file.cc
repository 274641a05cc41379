// RunFile out of INI. A reader of our own: the files were written for Python's configparser, whose values may
// go on in indented lines and whose comments have lines of their own; inih, as Debian builds it, cuts lines
// after 200 characters and tells its callers no line numbers.
#include <algorithm>
#include <string_view>
#include <utility>

#include "apps/run/run_file.h"
#include "base/error.h"

namespace gossamer::apps {
namespace {

constexpr std::string_view kBlanks = " \t\r\f\v";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace

RunFile RunFile::from_ini(const std::string& name, const std::string& text) {
  RunFile file(name, Form::kIni);
  std::string_view rest = text;
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);
  std::string section;
  std::string key;  // whose value the next indented line goes on with
  RunValue value;
  std::size_t key_indent = 0;
  const auto finish = [&] {
    if (key.empty()) return;
    if (value.text.empty()) value.kind = RunValue::Kind::kNothing;
    file.add(std::exchange(key, {}), std::exchange(value, {}));
  };
  for (int number = 1; !rest.empty(); ++number) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view whole = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const std::string_view line = trimmed(whole);
    if (line.empty() || line.front() == ';' || line.front() == '#') continue;
    const std::size_t indent = whole.find_first_not_of(kBlanks);
    if (!key.empty() && indent > key_indent) {
      value.text.append(value.text.empty() ? "" : "\n").append(line);
      continue;
    }
    finish();
    if (line.front() == '[') {
      if (line.back() != ']' || line.size() < 3)
        throw Error("{}:{}: expected [SECTION], found \"{}\"", name, number, line);
      section = line.substr(1, line.size() - 2);
      continue;
    }
    const std::size_t sign = line.find_first_of("=:");
    if (sign == std::string_view::npos || sign == 0)
      throw Error("{}:{}: expected KEY=VALUE, [SECTION] or a comment, found \"{}\"", name, number, line);
    if (section.empty())
      throw Error("{}:{}: expected a [SECTION] before the first key, found \"{}\"", name, number, line);
    key = section + ".";
    for (const char c : trimmed(line.substr(0, sign)))
      key += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    value = {.text = std::string(trimmed(line.substr(sign + 1))), .line = number};
    key_indent = indent;
  }
  finish();
  return file;
}

}  // namespace gossamer::apps
