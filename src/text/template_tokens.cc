#include "text/template_tokens.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>

namespace gossamer {
namespace {

constexpr std::string_view kWhiteSpace = " \t\n\r\f\v";

bool is_name_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// Jinja's one string escape syntax is Python's; these are the escapes that templates use.
std::optional<char> unescaped(char c) {
  switch (c) {
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'r':
      return '\r';
    case '\\':
    case '\'':
    case '"':
      return c;
    default:
      return std::nullopt;
  }
}

class Cutter {
 public:
  explicit Cutter(std::string_view text) : text_(text) {
    // As Jinja does: one line break at the end of the file is the file's, not the template's.
    if (text_.ends_with('\n')) text_.remove_suffix(1);
  }

  Result<std::vector<TemplatePart>> run() {
    while (at_ < text_.size()) {
      take_text();
      if (at_ < text_.size() && !take_tag()) return RequestError{.message = error_};
    }
    return std::move(parts_);
  }

 private:
  // Up to the next tag. What came before decides about white space at its beginning, what follows at its end.
  void take_text() {
    std::size_t end = at_;
    for (;; ++end) {
      end = std::min(text_.find('{', end), text_.size());
      if (end + 1 >= text_.size()) {
        end = text_.size();
        break;
      }
      if (const char c = text_[end + 1]; c == '{' || c == '%' || c == '#') break;
    }
    const std::size_t begin = at_;
    std::string_view part = text_.substr(begin, end - begin);
    line_ += static_cast<int>(std::count(part.begin(), part.end(), '\n'));
    at_ = end;
    if (strip_next_) {
      part.remove_prefix(std::min(part.find_first_not_of(kWhiteSpace), part.size()));
    } else if (trim_next_ && part.starts_with('\n')) {
      part.remove_prefix(1);
    }
    strip_next_ = trim_next_ = false;
    if (end + 2 < text_.size() && text_[end + 2] == '-') {
      part = part.substr(0, part.find_last_not_of(kWhiteSpace) + 1);
    } else if (end < text_.size() && text_[end + 1] != '{') {
      // A statement alone in its line takes the white space before it along.
      std::size_t indent = end;
      while (indent > begin && (text_[indent - 1] == ' ' || text_[indent - 1] == '\t')) --indent;
      if (indent == 0 || text_[indent - 1] == '\n')
        part = part.substr(0, part.size() - std::min(part.size(), end - indent));
    }
    if (!part.empty()) parts_.push_back({.text = std::string(part), .line = line_});
  }

  bool take_tag() {
    const char opening = text_[at_ + 1];
    at_ += 2;
    if (opening == '#') {
      const std::size_t end = text_.find("#}", at_);
      if (end == std::string_view::npos) return fail("a comment without an end");
      const std::string_view comment = text_.substr(at_, end - at_);
      line_ += static_cast<int>(std::count(comment.begin(), comment.end(), '\n'));
      strip_next_ = comment.ends_with('-');
      trim_next_ = true;
      at_ = end + 2;
      return true;
    }
    TemplatePart part{.kind = opening == '%' ? TemplatePart::Kind::kStatement : TemplatePart::Kind::kWrite,
                      .line = line_};
    if (at_ < text_.size() && text_[at_] == '-') ++at_;
    const std::string_view closing = opening == '%' ? "%}" : "}}";
    for (;;) {
      while (at_ < text_.size() && kWhiteSpace.find(text_[at_]) != std::string_view::npos) {
        if (text_[at_] == '\n') ++line_;
        ++at_;
      }
      if (at_ >= text_.size()) return fail("a tag without an end");
      const std::string_view rest = text_.substr(at_);
      if (rest.starts_with(closing)) {
        at_ += 2;
        break;
      }
      if (rest.front() == '-' && rest.substr(1).starts_with(closing)) {
        at_ += 3;
        strip_next_ = true;
        break;
      }
      if (!take_word(part.words)) return false;
    }
    trim_next_ = opening == '%';
    parts_.push_back(std::move(part));
    return true;
  }

  bool take_word(std::vector<TemplateWord>& words) {
    const char c = text_[at_];
    if (c == '\'' || c == '"') return take_string(c, words);
    if (is_name_char(c)) {
      const std::size_t begin = at_;
      while (at_ < text_.size() && is_name_char(text_[at_])) ++at_;
      const bool number = std::isdigit(static_cast<unsigned char>(c)) != 0;
      words.push_back({number ? TemplateWord::Kind::kNumber : TemplateWord::Kind::kName,
                       std::string(text_.substr(begin, at_ - begin))});
      return true;
    }
    const std::string_view two = text_.substr(at_, 2);
    const bool is_two =
        two == "==" || two == "!=" || two == "<=" || two == ">=" || two == "//" || two == "**";
    words.push_back({TemplateWord::Kind::kSymbol, std::string(is_two ? two : two.substr(0, 1))});
    at_ += is_two ? 2 : 1;
    return true;
  }

  bool take_string(char quote, std::vector<TemplateWord>& words) {
    std::string value;
    for (++at_; at_ < text_.size() && text_[at_] != quote; ++at_) {
      if (text_[at_] == '\n') ++line_;
      if (text_[at_] != '\\') {
        value += text_[at_];
        continue;
      }
      ++at_;
      const std::optional<char> c = at_ < text_.size() ? unescaped(text_[at_]) : std::nullopt;
      if (!c) return fail("an escape in a string that is none of \\n \\t \\r \\\\ \\' \\\"");
      value += *c;
    }
    if (at_ >= text_.size()) return fail("a string without an end");
    ++at_;
    words.push_back({TemplateWord::Kind::kString, std::move(value)});
    return true;
  }

  bool fail(std::string_view what) {
    error_ = fmt::format("line {}: {}", line_, what);
    return false;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool strip_next_ = false;  // "-%}": all white space behind the tag goes
  bool trim_next_ = false;   // a statement takes the line break behind it along
  std::vector<TemplatePart> parts_;
  std::string error_;
};

}  // namespace

Result<std::vector<TemplatePart>> cut_template(std::string_view text) { return Cutter(text).run(); }

}  // namespace gossamer
