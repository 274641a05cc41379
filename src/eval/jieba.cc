#include "eval/jieba.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/mapped_file.h"
#include "base/utf8.h"
#include "eval/python_text.h"

namespace gossamer {
namespace {

constexpr double kNever = -3.14e100;
constexpr std::string_view kStates = "BEMS";
constexpr int64_t kMostOccurrences = int64_t{1} << 40;  // of one word: their sum stays far from overflow

enum State : std::size_t { kBegin, kEnd, kMiddle, kSingle };

bool is_han(char32_t c) { return c >= 0x4E00 && c <= 0x9FD5; }
bool is_latin_or_digit(char32_t c) {
  return (c >= U'a' && c <= U'z') || (c >= U'A' && c <= U'Z') || (c >= U'0' && c <= U'9');
}
// What the dictionary is asked about; everything else stands for itself.
bool is_in_run(char32_t c) {
  return is_han(c) || is_latin_or_digit(c) || c == U'+' || c == U'#' || c == U'&' || c == U'.' || c == U'_' ||
         c == U'%' || c == U'-';
}

uint64_t edge(uint32_t node, char32_t c) { return uint64_t{node} << 32 | c; }

// A file of finalseg/: P = {'B': -0.26, ...}, or with such a dictionary for each key.
class PythonTable {
 public:
  explicit PythonTable(const std::filesystem::path& path) : file_(path), text_(file_.text()) {
    const std::size_t begin = text_.find("P={");
    if (begin == std::string_view::npos) fail("P={");
    at_ = begin + 2;
  }

  // Calls `entry` with the keys (two where dictionaries are nested) and the number behind them.
  void read(const std::function<void(char32_t outer, std::optional<char32_t> inner, double)>& entry) {
    read_dictionary([&](char32_t outer) {
      if (peek() == '{') {
        read_dictionary([&](char32_t inner) { entry(outer, inner, read_number()); });
      } else {
        entry(outer, std::nullopt, read_number());
      }
    });
  }

 private:
  [[noreturn]] void fail(const char* expected) const {
    throw Error("{}: expected {} at byte {}: take the file as jieba 0.42.1 has it", file_.path().string(),
                expected, at_);
  }
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool accept(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  void expect(char c, const char* name) {
    if (!accept(c)) fail(name);
  }
  void read_dictionary(const std::function<void(char32_t)>& value) {
    expect('{', "{");
    while (!accept('}')) {
      const char32_t key = read_key();
      expect(':', ":");
      value(key);
      if (!accept(',') && peek() != '}') fail(", or }");
    }
  }
  char32_t read_key() {
    expect('\'', "a quoted character");
    char32_t key = 0;
    constexpr std::size_t kDigits = 4;
    if (text_.substr(at_, 2) == "\\u" && at_ + 2 + kDigits <= text_.size()) {
      uint32_t value = 0;
      const char* begin = text_.data() + at_ + 2;
      if (std::from_chars(begin, begin + kDigits, value, 16).ptr != begin + kDigits) fail("\\uXXXX");
      key = value;
      at_ += 2 + kDigits;
    } else if (at_ < text_.size()) {
      const Utf8Step step = utf8_step(text_.substr(at_));
      key = step.code_point;
      at_ += step.length;
    }
    expect('\'', "the quote behind one character");
    return key;
  }
  double read_number() {
    peek();
    double value = 0.0;
    const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (error != std::errc()) fail("a number");
    at_ = static_cast<std::size_t>(end - text_.data());
    return value;
  }

  MappedFile file_;
  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

Jieba::Jieba(const std::filesystem::path& path) {
  const bool is_folder = std::filesystem::is_directory(path);
  const std::filesystem::path folder = is_folder ? path : path.parent_path();
  read_dictionary(is_folder ? path / "dict.txt" : path);
  if (std::filesystem::exists(folder / "finalseg" / "prob_emit.py")) read_model(folder / "finalseg");
}

void Jieba::read_dictionary(const std::filesystem::path& path) {
  const MappedFile file(path);
  std::string_view rest = file.text();
  std::size_t number = 0;
  while (!rest.empty()) {
    ++number;
    const std::size_t newline = rest.find('\n');
    const std::u32string line(python_strip(to_code_points(rest.substr(0, newline))));
    rest.remove_prefix(newline == std::string_view::npos ? rest.size() : newline + 1);
    const std::vector<std::u32string> fields = python_split(line, U' ');
    int64_t count = -1;
    if (fields.size() >= 2) {
      const std::string digits = to_utf8(fields[1]);
      const char* end = digits.data() + digits.size();
      if (std::from_chars(digits.data(), end, count).ptr != end || digits.empty()) count = -1;
    }
    if (count < 0 || count > kMostOccurrences) {
      throw Error("{}:{}: expected a word, a space and how often it occurs, found \"{}\"", path.string(),
                  number, to_utf8(line));
    }
    uint32_t node = 0;
    for (const char32_t c : fields[0]) {
      const auto [it, is_new] = edges_.try_emplace(edge(node, c), static_cast<uint32_t>(frequencies_.size()));
      if (is_new) frequencies_.push_back(0);
      node = it->second;
    }
    if (node != 0) frequencies_[node] = count;
    total_ += count;
    ++num_words_;
  }
  if (total_ == 0) throw Error("{}: expected a dictionary, found no words", path.string());
}

void Jieba::read_model(const std::filesystem::path& folder) {
  const auto state_of = [&folder](char32_t key) {
    const std::size_t state = key < 0x80 ? kStates.find(static_cast<char>(key)) : std::string_view::npos;
    if (state == std::string_view::npos)
      throw Error("{}: expected the states B, E, M and S", folder.string());
    return state;
  };
  start_.fill(kNever);
  for (auto& row : transition_) row.fill(kNever);
  PythonTable(folder / "prob_start.py").read([&](char32_t state, std::optional<char32_t>, double value) {
    start_[state_of(state)] = value;
  });
  PythonTable(folder / "prob_trans.py").read([&](char32_t from, std::optional<char32_t> to, double value) {
    if (to) transition_[state_of(from)][state_of(*to)] = value;
  });
  PythonTable(folder / "prob_emit.py").read([&](char32_t state, std::optional<char32_t> c, double value) {
    if (c) emission_[state_of(state)].emplace(*c, value);
  });
  has_model_ = true;
}

uint32_t Jieba::child(uint32_t node, char32_t c) const {
  const auto it = edges_.find(edge(node, c));
  return it == edges_.end() ? kNoNode : it->second;
}

int64_t Jieba::frequency(std::u32string_view word) const {
  uint32_t node = 0;
  for (const char32_t c : word) {
    node = child(node, c);
    if (node == kNoNode) return 0;
  }
  return frequencies_[node];
}

std::vector<std::u32string> Jieba::cut(std::u32string_view text) const {
  Words words;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (end < text.size() && is_in_run(text[end])) ++end;
    if (end > i) {
      cut_run(text.substr(i, end - i), words);
    } else {
      end += text.substr(i, 2) == U"\r\n" ? 2 : 1;
      words.emplace_back(text.substr(i, end - i));
    }
    i = end;
  }
  return words;
}

// The cut whose words are the most probable together; what is left as single characters may be new words.
void Jieba::cut_run(std::u32string_view run, Words& words) const {
  const std::size_t size = run.size();
  const double log_total = std::log(static_cast<double>(total_));
  struct Step {
    double value = 0.0;
    std::size_t end = 0;
  };
  std::vector<Step> best(size + 1);
  for (std::size_t i = size; i-- > 0;) {
    bool found = false;
    const auto consider = [&](std::size_t end, int64_t count) {
      const double value =
          std::log(static_cast<double>(count == 0 ? 1 : count)) - log_total + best[end].value;
      if (!found || value >= best[i].value) best[i] = {value, end};  // equally good: the longer word
      found = true;
    };
    uint32_t node = 0;
    for (std::size_t end = i; end < size; ++end) {
      node = child(node, run[end]);
      if (node == kNoNode) break;
      if (frequencies_[node] > 0) consider(end + 1, frequencies_[node]);
    }
    if (!found) consider(i + 1, 0);
  }
  std::size_t buffer_begin = 0;
  for (std::size_t i = 0; i < size; i = best[i].end) {
    if (best[i].end - i == 1) continue;
    cut_unknown(run.substr(buffer_begin, i - buffer_begin), words);
    words.emplace_back(run.substr(i, best[i].end - i));
    buffer_begin = best[i].end;
  }
  cut_unknown(run.substr(buffer_begin), words);
}

// Single characters in a row.
void Jieba::cut_unknown(std::u32string_view buffer, Words& words) const {
  if (buffer.size() > 1 && frequency(buffer) == 0) {
    cut_new_words(buffer, words);
  } else {
    for (const char32_t c : buffer) words.emplace_back(1, c);
  }
}

// finalseg.cut: Chinese by the model; letters and digits, 3.14 and 50% stay together.
void Jieba::cut_new_words(std::u32string_view text, Words& words) const {
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    if (is_han(text[i])) {
      while (end < text.size() && is_han(text[end])) ++end;
      cut_by_model(text.substr(i, end - i), words);
    } else if (is_latin_or_digit(text[i])) {
      while (end < text.size() && is_latin_or_digit(text[end])) ++end;
      if (end + 1 < text.size() && text[end] == U'.' && is_python_digit(text[end + 1])) {
        ++end;
        while (end < text.size() && is_python_digit(text[end])) ++end;
      }
      if (end < text.size() && text[end] == U'%') ++end;
      words.emplace_back(text.substr(i, end - i));
    } else {
      while (end < text.size() && !is_han(text[end]) && !is_latin_or_digit(text[end])) ++end;
      words.emplace_back(text.substr(i, end - i));
    }
    i = end;
  }
}

// The most probable row of states, by Viterbi.
void Jieba::cut_by_model(std::u32string_view text, Words& words) const {
  if (!has_model_) {
    for (const char32_t c : text) words.emplace_back(1, c);
    return;
  }
  // Which states may come before one; the later of the two wins where both are equally good.
  constexpr std::array<std::array<State, 2>, kNumStates> kBefore = {
      {{kEnd, kSingle}, {kBegin, kMiddle}, {kBegin, kMiddle}, {kEnd, kSingle}}};
  const auto emission = [&](std::size_t state, char32_t c) {
    const auto it = emission_[state].find(c);
    return it == emission_[state].end() ? kNever : it->second;
  };
  std::vector<std::array<State, kNumStates>> came_from(text.size());
  std::array<double, kNumStates> value{};
  for (std::size_t state = 0; state < kNumStates; ++state)
    value[state] = start_[state] + emission(state, text[0]);
  for (std::size_t i = 1; i < text.size(); ++i) {
    std::array<double, kNumStates> next{};
    for (std::size_t state = 0; state < kNumStates; ++state) {
      const double here = emission(state, text[i]);
      const auto [first, second] = kBefore[state];
      const double by_first = value[first] + transition_[first][state] + here;
      const double by_second = value[second] + transition_[second][state] + here;
      came_from[i][state] = by_second >= by_first ? second : first;
      next[state] = std::max(by_first, by_second);
    }
    value = next;
  }
  std::vector<State> states(text.size());
  states.back() = value[kSingle] >= value[kEnd] ? kSingle : kEnd;
  for (std::size_t i = text.size() - 1; i > 0; --i) states[i - 1] = came_from[i][states[i]];
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (states[i] == kBegin) begin = i;
    if (states[i] == kEnd) words.emplace_back(text.substr(begin, i + 1 - begin));
    if (states[i] == kSingle) words.emplace_back(1, text[i]);
  }
}

}  // namespace gossamer
