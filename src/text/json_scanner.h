// A pull reader for JSON with very many small strings (the vocabulary and merges of a tokenizer.json, 28 MB),
// which builds no tree. The caller says what it expects next; anything else is an Error with file and byte
// offset.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gossamer {

class JsonScanner {
 public:
  // `text` must outlive the scanner; `where` names the file in errors.
  JsonScanner(std::string_view text, std::string where) : text_(text), where_(std::move(where)) {}

  // The first byte of the next value, or '\0' at the end of the text.
  char peek();

  // for (scanner.begin_object(); scanner.next_key(key);) { read or skip exactly one value }
  void begin_object();
  bool next_key(std::string& key);

  // for (scanner.begin_array(); scanner.next_element();) { read or skip exactly one value }
  void begin_array();
  bool next_element();

  // Reads a string with its escapes resolved; throws if the result would not be valid UTF-8.
  void read_string(std::string& out);

  // Reads a whole number from 0 to `limit`.
  int64_t read_integer(int64_t limit);

  // Steps over the next value and returns its text. Brackets and strings are matched; the rest is not
  // checked.
  std::string_view skip_value();

  // Throws unless only white space is left.
  void finish();

  std::size_t offset() const { return position_; }

  // Throws Error "FILE: MESSAGE at byte N".
  [[noreturn]] void fail(std::string_view message) const;

 private:
  void skip_space();
  void expect(char c);
  void begin(char open);
  bool next(char close);
  void read_escape(std::string& out);
  uint32_t read_hex4();

  std::string_view text_;
  std::string where_;
  std::size_t position_ = 0;
  std::vector<bool> is_first_;  // of every open object or array: no element was read yet
};

}  // namespace gossamer
