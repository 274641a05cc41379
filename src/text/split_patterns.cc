#include "text/split_patterns.h"

#include "base/utf8.h"

namespace gossamer {
namespace {

// Walks over characters, knowing the class of the one it stands on.
class Cursor {
 public:
  Cursor(const UnicodeTable& unicode, const char* p, const char* end) : unicode_(unicode), end_(end) {
    move_to(p);
  }

  const char* position() const { return p_; }
  bool at_end() const { return p_ == end_; }
  bool is(char c) const { return p_ != end_ && *p_ == c; }
  bool is_newline() const { return is('\n') || is('\r'); }

  // Of the end it is kOther, so only tests for that class need at_end() as well.
  CharClass char_class() const { return class_; }
  bool is_space() const { return class_ == CharClass::kSpace; }
  bool is_number() const { return class_ == CharClass::kNumber; }
  bool is_letter() const { return gossamer::is_letter(class_); }
  bool is_symbol() const { return (class_ == CharClass::kOther && !at_end()) || class_ == CharClass::kMark; }

  void advance() { move_to(next_); }
  void move_to(const char* p) {
    p_ = p;
    next_ = p;
    if (p == end_) {
      class_ = CharClass::kOther;
    } else if (static_cast<unsigned char>(*p) < 0x80) {
      ++next_;
      class_ = unicode_.ascii_class(static_cast<unsigned char>(*p));
    } else {
      class_ = unicode_.char_class(utf8_decode_valid(next_));
    }
  }

 private:
  const UnicodeTable& unicode_;
  const char* const end_;
  const char* p_ = nullptr;
  const char* next_ = nullptr;  // the character after this one
  CharClass class_ = CharClass::kOther;
};

// \s+(?!\S)|\s+ on a run of white space: all of it at the end of the text, else all but its last character,
// which may belong to what follows; but at least one character.
const char* match_spaces(Cursor cursor) {
  const char* const begin = cursor.position();
  const char* last = begin;
  while (cursor.is_space()) {
    last = cursor.position();
    cursor.advance();
  }
  return cursor.at_end() || last == begin ? cursor.position() : last;
}

// U*L+ or else U+L*, where U is every letter or mark but lower case, and L every one but upper and title
// case: both contain the letters without case. The greedy U* must give characters back until L+ finds one to
// begin with; that is the last caseless one of the run, and what follows it is upper case, so L+ ends there
// again.
struct LetterMatch {
  const char* end = nullptr;  // nullptr: no match
  bool has_lower = false;     // by U*L+, the first alternative
};
LetterMatch match_letters(Cursor cursor) {
  const char* const begin = cursor.position();
  const char* after_last_caseless = nullptr;
  for (;;) {
    const CharClass c = cursor.char_class();
    const bool caseless = c == CharClass::kCaseless || c == CharClass::kMark;
    if (!caseless && c != CharClass::kUpper) break;
    cursor.advance();
    if (caseless) after_last_caseless = cursor.position();
  }
  if (cursor.char_class() == CharClass::kLower) {
    do {
      cursor.advance();
    } while (cursor.char_class() >= CharClass::kLower);  // lower, caseless, mark
    return {cursor.position(), true};
  }
  if (after_last_caseless != nullptr) return {after_last_caseless, true};
  if (cursor.position() != begin) return {cursor.position(), false};
  return {};
}

// 's, 't, 're, 've, 'm, 'll and 'd at `p`, in either case if `any_case`; U+017F is an s in another case.
// Returns the end of the match, or `p` without one.
const char* match_contraction(const char* p, const char* end, bool any_case) {
  if (end - p < 2 || *p != '\'') return p;
  const auto lower = [&](char c) {
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  };
  const char first = lower(p[1]);
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return p + 2;
  if (end - p < 3) return p;
  const char second = lower(p[2]);
  if ((first == 'r' || first == 'v') && second == 'e') return p + 3;
  if (first == 'l' && second == 'l') return p + 3;
  if (any_case && p[1] == '\xC5' && p[2] == '\xBF') return p + 3;
  return p;
}

bool is_ascii_lower(char c) { return c >= 'a' && c <= 'z'; }
bool is_ascii_upper(char c) { return c >= 'A' && c <= 'Z'; }

// The common cases without a look at any table: words in ASCII, behind a space or not. They return nullptr
// where they cannot be sure, among others before a character beyond ASCII, which may belong to the word.
const char* gpt2_ascii_word_end(const char* p, const char* end) {
  if (*p == ' ') ++p;
  const char* const begin = p;
  while (p != end && is_ascii_lower(static_cast<char>(*p | 0x20))) ++p;
  return p != begin && (p == end || static_cast<unsigned char>(*p) < 0x80) ? p : nullptr;
}

const char* o200k_ascii_word_end(const char* p, const char* end) {
  if (*p == ' ') ++p;
  while (p != end && is_ascii_upper(*p)) ++p;
  const char* const begin = p;
  while (p != end && is_ascii_lower(*p)) ++p;
  const bool is_certain = p == end || (static_cast<unsigned char>(*p) < 0x80 && *p != '\'');
  return p != begin && is_certain ? p : nullptr;
}

}  // namespace

const char* gpt2_match_end(const UnicodeTable& unicode, const char* p, const char* end) {
  if (const char* word_end = gpt2_ascii_word_end(p, end)) return word_end;
  if (const char* contraction = match_contraction(p, end, false); contraction != p) return contraction;
  const Cursor begin(unicode, p, end);
  Cursor cursor = begin;
  if (cursor.is(' ')) cursor.advance();
  if (cursor.is_letter()) {
    while (cursor.is_letter()) cursor.advance();
    return cursor.position();
  }
  if (cursor.is_number()) {
    while (cursor.is_number()) cursor.advance();
    return cursor.position();
  }
  if (cursor.is_symbol()) {
    while (cursor.is_symbol()) cursor.advance();
    return cursor.position();
  }
  return match_spaces(begin);
}

const char* o200k_match_end(const UnicodeTable& unicode, const char* p, const char* end) {
  if (const char* word_end = o200k_ascii_word_end(p, end)) return word_end;
  const Cursor begin(unicode, p, end);
  // [^\r\n\p{L}\p{N}]? before letters: first with it, then without; but U*L+ both ways before U+L*. Without
  // it only letters and marks can match, and only a mark can be both.
  if (!begin.is_number() && !begin.is_newline()) {
    Cursor letters = begin;
    if (!begin.is_letter()) letters.advance();
    LetterMatch match = match_letters(letters);
    if (!match.has_lower && begin.char_class() == CharClass::kMark) match = match_letters(begin);
    if (match.end != nullptr) return match_contraction(match.end, end, true);
  }
  Cursor cursor = begin;
  if (cursor.is_number()) {
    for (int i = 0; i < 3 && cursor.is_number(); ++i) cursor.advance();
    return cursor.position();
  }
  if (cursor.is(' ')) cursor.advance();
  if (cursor.is_symbol()) {
    while (cursor.is_symbol()) cursor.advance();
    while (cursor.is_newline() || cursor.is('/')) cursor.advance();
    return cursor.position();
  }
  // White space. \s*[\r\n]+ ends behind the last line break of the run.
  const char* after_newline = nullptr;
  for (Cursor spaces = begin; spaces.is_space();) {
    const bool newline = spaces.is_newline();
    spaces.advance();
    if (newline) after_newline = spaces.position();
  }
  return after_newline != nullptr ? after_newline : match_spaces(begin);
}

}  // namespace gossamer
