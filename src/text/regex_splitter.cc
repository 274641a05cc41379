#include "text/regex_splitter.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

#include "base/check.h"
#include "base/error.h"

namespace gossamer {
namespace {

std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(code, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

}  // namespace

struct RegexSplitter::Code {
  pcre2_code* compiled = nullptr;
  ~Code() { pcre2_code_free(compiled); }
};

struct RegexSplitter::Matches::State {
  const pcre2_code* compiled = nullptr;
  pcre2_match_data* data = nullptr;
  std::string_view text;
  std::size_t position = 0;
  ~State() { pcre2_match_data_free(data); }
};

RegexSplitter::RegexSplitter(const std::string& pattern, const std::string& where)
    : code_(std::make_unique<Code>()) {
  int error = 0;
  PCRE2_SIZE offset = 0;
  code_->compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                  PCRE2_UTF | PCRE2_UCP, &error, &offset, nullptr);
  if (code_->compiled == nullptr) {
    throw Error("{}: the split pattern is not understood at its byte {}: {}: {}", where, offset,
                message_of(error), pattern);
  }
  pcre2_jit_compile(code_->compiled, PCRE2_JIT_COMPLETE);  // without it matching is slower, nothing else
}

RegexSplitter::~RegexSplitter() = default;
RegexSplitter::RegexSplitter(RegexSplitter&&) noexcept = default;

RegexSplitter::Matches::Matches(const RegexSplitter& splitter, std::string_view text)
    : state_(std::make_unique<State>()) {
  state_->compiled = splitter.code_->compiled;
  state_->data = pcre2_match_data_create_from_pattern(state_->compiled, nullptr);
  state_->text = text;
  GOSSAMER_CHECK(state_->data != nullptr);
}

RegexSplitter::Matches::~Matches() = default;

bool RegexSplitter::Matches::next(RegexMatch& match) {
  State& s = *state_;
  const int result = pcre2_match(s.compiled, reinterpret_cast<PCRE2_SPTR>(s.text.data()), s.text.size(),
                                 s.position, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, s.data, nullptr);
  if (result == PCRE2_ERROR_NOMATCH) return false;
  if (result < 0) throw Error("the split pattern of the tokenizer failed on a text: {}", message_of(result));
  const PCRE2_SIZE* const offsets = pcre2_get_ovector_pointer(s.data);
  match = {offsets[0], offsets[1]};
  if (match.end < match.begin || match.begin < s.position) {  // \K in a lookaround can do this
    throw Error("the split pattern of the tokenizer matches backwards");
  }
  s.position = match.end;
  return true;
}

}  // namespace gossamer
