#include "text/pre_tokenizer.h"

#include <string>

#include "text/split_patterns.h"

namespace gossamer {

void PreTokenizer::split_from(std::size_t step, std::string_view text, const UnicodeTable& unicode,
                              const Sink& sink) const {
  if (text.empty()) return;
  if (step == steps_.size()) {
    sink(text);
    return;
  }
  const PreTokenizerStep& s = steps_[step];
  std::string prefixed;
  if (s.add_prefix_space && text.front() != ' ') {
    prefixed.reserve(text.size() + 1);
    prefixed.append(1, ' ').append(text);
    text = prefixed;
  }
  const bool is_last = step + 1 == steps_.size();
  const auto give = [&](const char* begin, const char* end) {
    const std::string_view piece(begin, static_cast<std::size_t>(end - begin));
    is_last ? sink(piece) : split_from(step + 1, piece, unicode, sink);
  };
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  switch (s.pattern) {
    case SplitPattern::kNone:
      give(begin, end);
      return;
    case SplitPattern::kGpt2:
      for (const char* p = begin; p != end;) {
        const char* const next = gpt2_match_end(unicode, p, end);
        give(p, next);
        p = next;
      }
      return;
    case SplitPattern::kO200k:
      for (const char* p = begin; p != end;) {
        const char* const next = o200k_match_end(unicode, p, end);
        give(p, next);
        p = next;
      }
      return;
    case SplitPattern::kRegex: {
      RegexSplitter::Matches matches(*s.regex, text);
      RegexMatch match;
      const char* done = begin;
      while (matches.next(match)) {
        if (begin + match.begin != done) give(done, begin + match.begin);
        if (!s.remove_matches) give(begin + match.begin, begin + match.end);
        done = begin + match.end;
      }
      if (done != end) give(done, end);
      return;
    }
  }
}

}  // namespace gossamer
