// The general path for a Split pattern that is none of split_patterns.h: PCRE2 in UTF mode. Its classes
// follow the Unicode version of the installed PCRE2 (10.42: 14.0), and its \s takes U+180E for a space, which
// the reference's does not.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace gossamer {

// A match at [begin, end), in bytes.
struct RegexMatch {
  std::size_t begin = 0;
  std::size_t end = 0;
};

class RegexSplitter {
 public:
  // Compiles `pattern`; throws Error with the position of a mistake in it, naming `where` (a file).
  RegexSplitter(const std::string& pattern, const std::string& where);
  ~RegexSplitter();
  RegexSplitter(RegexSplitter&&) noexcept;

  // Matches one text from left to right. Safe to use several at the same time.
  class Matches {
   public:
    Matches(const RegexSplitter& splitter, std::string_view text);  // valid UTF-8; must outlive this
    ~Matches();
    Matches(const Matches&) = delete;
    Matches& operator=(const Matches&) = delete;

    // Finds the next match that is not empty; false if there is none. Throws Error where the pattern needs
    // more backtracking than PCRE2's limit allows.
    bool next(RegexMatch& match);

   private:
    struct State;
    std::unique_ptr<State> state_;
  };

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace gossamer
