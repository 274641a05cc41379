// Cuts text into the pieces that are merged separately, as the "pre_tokenizer" of a tokenizer.json says.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "text/regex_splitter.h"
#include "text/unicode.h"

namespace gossamer {

enum class SplitPattern : uint8_t {
  kNone,   // no split
  kGpt2,   // split_patterns.h
  kO200k,  // split_patterns.h
  kRegex,  // any other
};

// One step; several act one after the other, each on the pieces of the one before.
struct PreTokenizerStep {
  SplitPattern pattern = SplitPattern::kNone;
  std::optional<RegexSplitter> regex = std::nullopt;  // with kRegex
  bool remove_matches = false;                        // drops what the pattern matches, keeps what is between
  bool add_prefix_space = false;  // before splitting, to a text that does not begin with a space
};

class PreTokenizer {
 public:
  using Sink = std::function<void(std::string_view piece)>;

  explicit PreTokenizer(std::vector<PreTokenizerStep> steps) : steps_(std::move(steps)) {}

  // Gives the pieces of `text` (valid UTF-8) to `sink` in order; none is empty. A piece is valid during the
  // call only.
  void split(std::string_view text, const UnicodeTable& unicode, const Sink& sink) const {
    split_from(0, text, unicode, sink);
  }

 private:
  void split_from(std::size_t step, std::string_view text, const UnicodeTable& unicode,
                  const Sink& sink) const;

  std::vector<PreTokenizerStep> steps_;
};

}  // namespace gossamer
