// Haystacks of needle tests: text of a length given in tokens, with sentences put between its own. Called by
// `gossamer verify needle`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gossamer {

// Text that begins again where it ends. White space is one space everywhere, so that an empty line stands in
// front of the question only.
class Haystack {
 public:
  // One text after another. Throws Error where there is no word in them.
  explicit Haystack(const std::vector<std::string>& texts);

  // The first so many words; where the last one ends no sentence, a full stop does. A Chinese character is a
  // word.
  std::string first_words(int64_t num_words) const;
  // Where its sentences begin: offsets in first_words(), its whole size being the last of them.
  std::vector<std::size_t> sentence_starts(int64_t num_words) const;

  // What begins again, once.
  const std::string& text() const { return text_; }

 private:
  struct Word {
    std::size_t end = 0;  // in text_
    bool ends_sentence = false;
  };
  std::string text_;
  std::size_t period_ =
      0;  // bytes from one beginning of the text to the next: with a space where it needs one
  std::vector<Word> words_;
};

// Where a sentence is put: in front of the first sentence of the hay that begins at `depth` (0 to 1, of the
// hay's tokens) or, going back, nearest before.
struct Insertion {
  std::string text;
  double depth = 0.0;
};

using CountTokens = std::function<int64_t(std::string_view)>;

// The largest n up to `most` whose `count` is at most `target`, or one whose count is at most `slack` less;
// -1 where count(0) is too much. `count` grows with n; it is asked for few n, the first near `guess`.
int64_t most_that_fits(int64_t guess, int64_t most, int64_t target, int64_t slack,
                       const std::function<int64_t(int64_t)>& count);

struct HayPrompt {
  std::string text;
  int64_t num_tokens = 0;
  int64_t num_words = 0;  // of hay
  double depth = 0.0;     // the share of the hay's tokens in front of the first insertion
};

// `before`, hay with the insertions, `after`: as many words of hay as make at most `max_tokens` tokens, and
// not more than a few tokens less. `guess` words are tried first. Nothing where not even one word fits.
std::optional<HayPrompt> make_hay_prompt(const Haystack& hay, const std::string& before,
                                         const std::vector<Insertion>& insertions, const std::string& after,
                                         int64_t max_tokens, const CountTokens& count, int64_t guess);

}  // namespace gossamer
