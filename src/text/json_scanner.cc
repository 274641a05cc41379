#include "text/json_scanner.h"

#include "base/error.h"
#include "base/utf8.h"

namespace gossamer {
namespace {

constexpr std::size_t kMaxDepth = 128;

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

}  // namespace

void JsonScanner::fail(std::string_view message) const {
  throw Error("{}: {} at byte {} of {}", where_, message, position_, text_.size());
}

void JsonScanner::skip_space() {
  while (position_ < text_.size() && is_space(text_[position_])) ++position_;
}

char JsonScanner::peek() {
  skip_space();
  return position_ < text_.size() ? text_[position_] : '\0';
}

void JsonScanner::expect(char c) {
  if (peek() != c || position_ == text_.size()) {
    if (position_ == text_.size()) fail(fmt::format("the file ends where '{}' was expected", c));
    fail(fmt::format("expected '{}', found '{}'", c, text_[position_]));
  }
  ++position_;
}

void JsonScanner::begin(char open) {
  expect(open);
  if (is_first_.size() == kMaxDepth) fail("values nested too deeply");
  is_first_.push_back(true);
}

bool JsonScanner::next(char close) {
  if (peek() == close) {
    ++position_;
    is_first_.pop_back();
    return false;
  }
  if (is_first_.back()) {
    is_first_.back() = false;
  } else {
    expect(',');
  }
  return true;
}

void JsonScanner::begin_object() { begin('{'); }
void JsonScanner::begin_array() { begin('['); }
bool JsonScanner::next_element() { return next(']'); }

bool JsonScanner::next_key(std::string& key) {
  if (!next('}')) return false;
  read_string(key);
  expect(':');
  return true;
}

void JsonScanner::read_string(std::string& out) {
  expect('"');
  out.clear();
  bool ascii = true;
  for (;;) {
    const std::size_t begin = position_;
    while (position_ < text_.size()) {
      const auto c = static_cast<unsigned char>(text_[position_]);
      if (c == '"' || c == '\\' || c < 0x20) break;
      ascii &= c < 0x80;
      ++position_;
    }
    out.append(text_.substr(begin, position_ - begin));
    if (position_ == text_.size()) fail("the file ends inside a string");
    const char c = text_[position_];
    if (c == '"') break;
    if (c != '\\') fail("control character inside a string");
    ++position_;
    read_escape(out);
  }
  ++position_;
  if (!ascii && !utf8_is_valid(out)) fail("a string that is not valid UTF-8 ends");
}

uint32_t JsonScanner::read_hex4() {
  if (text_.size() - position_ < 4) fail("the file ends inside a \\u escape");
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const char c = text_[position_++];
    value <<= 4;
    if (c >= '0' && c <= '9') {
      value |= static_cast<uint32_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      value |= static_cast<uint32_t>(c - 'a' + 10);
    } else if (c >= 'A' && c <= 'F') {
      value |= static_cast<uint32_t>(c - 'A' + 10);
    } else {
      fail("bad hexadecimal digit in a \\u escape");
    }
  }
  return value;
}

void JsonScanner::read_escape(std::string& out) {
  if (position_ == text_.size()) fail("the file ends inside a string");
  const char c = text_[position_++];
  switch (c) {
    case '"':
    case '\\':
    case '/':
      out.push_back(c);
      return;
    case 'b':
      out.push_back('\b');
      return;
    case 'f':
      out.push_back('\f');
      return;
    case 'n':
      out.push_back('\n');
      return;
    case 'r':
      out.push_back('\r');
      return;
    case 't':
      out.push_back('\t');
      return;
    case 'u':
      break;
    default:
      fail("unknown escape in a string");
  }
  char32_t code_point = read_hex4();
  if (code_point >= 0xD800 && code_point < 0xE000) {
    const bool pair = code_point < 0xDC00 && text_.substr(position_, 2) == "\\u";
    if (pair) position_ += 2;
    const uint32_t low = pair ? read_hex4() : 0;
    if (low < 0xDC00 || low >= 0xE000) fail("half of a surrogate pair in a string");
    code_point = 0x10000 + ((code_point - 0xD800) << 10 | (low - 0xDC00));
  }
  utf8_append(code_point, out);
}

int64_t JsonScanner::read_integer(int64_t limit) {
  const char first = peek();
  if (first < '0' || first > '9') fail("expected a whole number of 0 or more");
  int64_t value = 0;
  const std::size_t begin = position_;
  while (position_ < text_.size() && text_[position_] >= '0' && text_[position_] <= '9') {
    value = value * 10 + (text_[position_] - '0');
    if (value > limit) fail(fmt::format("a number above the limit of {}", limit));
    ++position_;
  }
  if (first == '0' && position_ - begin > 1) fail("a number with leading zeros");
  if (position_ < text_.size() && (text_[position_] == '.' || (text_[position_] | 0x20) == 'e')) {
    fail("expected a whole number, found a fraction");
  }
  return value;
}

std::string_view JsonScanner::skip_value() {
  const char first = peek();
  const std::size_t begin = position_;
  if (first == '\0') fail("the file ends where a value was expected");
  std::vector<char> closers;
  do {
    if (position_ == text_.size()) fail("the file ends inside a value");
    const char c = text_[position_];
    if (c == '"') {
      ++position_;
      while (position_ < text_.size() && text_[position_] != '"')
        position_ += text_[position_] == '\\' ? 2 : 1;
      if (position_ >= text_.size()) {
        position_ = text_.size();
        fail("the file ends inside a string");
      }
      ++position_;
    } else if (c == '{' || c == '[') {
      if (closers.size() == kMaxDepth) fail("values nested too deeply");
      closers.push_back(c == '{' ? '}' : ']');
      ++position_;
    } else if (c == '}' || c == ']') {
      if (closers.empty() || closers.back() != c) fail("unexpected closing bracket");
      closers.pop_back();
      ++position_;
    } else if (closers.empty()) {  // a bare number or word
      while (position_ < text_.size() && !is_space(text_[position_]) && text_[position_] != ',' &&
             text_[position_] != '}' && text_[position_] != ']') {
        ++position_;
      }
      if (position_ == begin) fail("expected a value");
    } else {
      ++position_;
    }
  } while (!closers.empty());
  return text_.substr(begin, position_ - begin);
}

void JsonScanner::finish() {
  if (peek() != '\0' || position_ < text_.size()) fail("unexpected text after the end of the value");
}

}  // namespace gossamer
