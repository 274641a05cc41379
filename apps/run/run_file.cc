#include "apps/run/run_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <numeric>
#include <utility>

#include "base/error.h"

namespace gossamer::apps {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return result;
}

template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// What YAML 1.1, and so PyYAML, takes for a truth value.
std::optional<bool> parse_flag(std::string_view text) {
  const std::string word = lower(text);
  for (const char* yes : {"true", "yes", "on"}) {
    if (word == yes) return true;
  }
  for (const char* no : {"false", "no", "off"}) {
    if (word == no) return false;
  }
  return std::nullopt;
}

// How many characters must be changed, added or left out.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, changed});
    }
  }
  return row.back();
}

}  // namespace

void RunFile::add(const std::string& key, RunValue value) {
  const int line = value.line;
  const auto [found, added] = values_.emplace(key, std::move(value));
  if (added) return;
  throw Error("{}:{}: {} is there twice: line {} has it too; leave out one of the two", name_, line,
              shown(key), found->second.line);
}

bool RunFile::has(const std::string& key) const {
  const auto found = values_.find(key);
  return found != values_.end() && found->second.kind != RunValue::Kind::kNothing;
}

std::string RunFile::shown(const std::string& key) const {
  const std::size_t dot = key.find('.');
  if (form_ == Form::kYaml || dot == std::string::npos) return key;
  return fmt::format("[{}] {}", key.substr(0, dot), key.substr(dot + 1));
}

std::string RunFile::where(const std::string& key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) return fmt::format("{}: {}", name_, shown(key));
  return fmt::format("{}:{}: {}", name_, found->second.line, shown(key));
}

const RunValue* RunFile::take(const std::string& key) {
  known_.insert(key);
  const auto found = values_.find(key);
  if (found == values_.end() || found->second.kind == RunValue::Kind::kNothing) return nullptr;
  return &found->second;
}

void RunFile::refuse(const std::string& key, std::string_view expected) const {
  const RunValue& value = values_.at(key);
  const char* kind = value.kind == RunValue::Kind::kStructure                         ? "a list or map"
                     : value.kind == RunValue::Kind::kQuoted                          ? "the text "
                     : form_ == Form::kIni                                            ? ""
                     : parse_flag(value.text) && value.kind == RunValue::Kind::kPlain ? "the truth value "
                     : parse_number<double>(value.text) && value.kind == RunValue::Kind::kPlain
                         ? "the number "
                         : "";
  throw Error("{}: expected {}, found {}{}", where(key), expected, kind,
              value.kind == RunValue::Kind::kStructure ? std::string() : fmt::format("\"{}\"", value.text));
}

std::optional<std::string> RunFile::take_text(const std::string& key) {
  const RunValue* value = take(key);
  if (value == nullptr) return std::nullopt;
  const bool other_type = form_ == Form::kYaml && value->kind == RunValue::Kind::kPlain &&
                          (parse_flag(value->text) || parse_number<double>(value->text));
  if (value->kind == RunValue::Kind::kStructure || other_type) refuse(key, "a text, in quotes");
  return value->text;
}

std::optional<std::string> RunFile::take_choice(const std::string& key,
                                                std::initializer_list<std::string_view> choices) {
  std::optional<std::string> text = take_text(key);
  if (!text || std::find(choices.begin(), choices.end(), *text) != choices.end()) return text;
  std::string all;
  for (const std::string_view choice : choices) all.append(all.empty() ? "" : ", ").append(choice);
  refuse(key, "one of " + all);
}

std::optional<int64_t> RunFile::take_integer(const std::string& key, int64_t least, int64_t most) {
  const RunValue* value = take(key);
  if (value == nullptr) return std::nullopt;
  const std::optional<int64_t> number =
      value->kind == RunValue::Kind::kPlain ? parse_number<int64_t>(value->text) : std::nullopt;
  if (number && *number >= least && *number <= most) return number;
  refuse(key, most == std::numeric_limits<int64_t>::max()
                  ? fmt::format("a whole number from {} on", least)
                  : fmt::format("a whole number from {} to {}", least, most));
}

std::optional<double> RunFile::take_number(const std::string& key, double least, double most) {
  const RunValue* value = take(key);
  if (value == nullptr) return std::nullopt;
  const std::optional<double> number =
      value->kind == RunValue::Kind::kPlain ? parse_number<double>(value->text) : std::nullopt;
  if (number && *number >= least && *number <= most) return number;
  refuse(key, fmt::format("a number from {} to {}", least, most));
}

std::optional<bool> RunFile::take_flag(const std::string& key) {
  const RunValue* value = take(key);
  if (value == nullptr) return std::nullopt;
  std::optional<bool> flag;
  if (value->kind == RunValue::Kind::kPlain) {
    flag = parse_flag(value->text);
    if (form_ == Form::kIni && (value->text == "0" || value->text == "1")) flag = value->text == "1";
  }
  if (!flag) refuse(key, form_ == Form::kIni ? "0 or 1" : "True or False");
  return flag;
}

std::string RunFile::either(const std::string& first, const std::string& second) {
  const RunValue* a = take(first);
  const RunValue* b = take(second);
  if (a != nullptr && b != nullptr && a->text != b->text)
    throw Error("{}: says \"{}\", and {} says \"{}\": leave out one of the two", where(second), b->text,
                where(first), a->text);
  return b != nullptr ? second : first;
}

void RunFile::ignore(const std::string& key, std::string_view reason) {
  if (take(key) != nullptr) note(key, reason);
}

void RunFile::note(const std::string& key, std::string_view text) {
  notes_.push_back(fmt::format("{}: {}", where(key), text));
}

void RunFile::refuse_unknown() const {
  std::vector<std::pair<int, std::string>> complaints;
  for (const auto& [key, value] : values_) {
    if (known_.contains(key)) continue;
    const std::string* nearest = nullptr;
    std::size_t distance = 3;  // a slip or two of the finger
    bool is_section = false;
    for (const std::string& known : known_) {
      is_section = is_section || known.starts_with(key + ".");
      // Keys may have any length, and the distance takes its time.
      if (key.size() >= known.size() + distance || known.size() >= key.size() + distance) continue;
      const std::size_t candidate = edit_distance(key, known);
      if (candidate < distance) {
        distance = candidate;
        nearest = &known;
      }
    }
    std::string what = "unknown key";
    if (is_section) {
      if (value.kind == RunValue::Kind::kNothing) continue;  // a section without keys
      what = "expected keys below it, indented";
    } else if (nearest != nullptr) {
      what += fmt::format("; is {} meant?", shown(*nearest));
    } else {
      // The same key lives in another section.
      const std::string name = "." + key.substr(key.find('.') + 1);
      for (const std::string& known : known_) {
        if (("." + known).ends_with(name)) what += fmt::format("; it is known as {}", shown(known));
      }
    }
    complaints.emplace_back(value.line, fmt::format("{}: {}", where(key), what));
  }
  if (complaints.empty()) return;
  std::sort(complaints.begin(), complaints.end());
  std::string all;
  for (const auto& [line, complaint] : complaints) all += (all.empty() ? "" : "\n  ") + complaint;
  throw Error("{}", all);
}

void refuse_devices(const std::string& where, int64_t count) {
  throw Error(
      "{}: {} devices: running one model on several is not built yet: expected 1. All cores of this machine "
      "take "
      "part in it (--threads)",
      where, count);
}

}  // namespace gossamer::apps
