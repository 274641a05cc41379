// Which tokens of a text are scored given which others: the three usual definitions of perplexity, whose
// numbers are not comparable. Called by `gossamer eval perplexity`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gossamer {

// The tokens [begin, end) of a text, seen together; of these the last `num_scored` are predicted.
struct PerplexityWindow {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t num_scored = 0;
  bool after_prefix = false;  // one token that is none of the text's stands before it
};

// llama-perplexity: disjoint windows of `window` tokens; the second half of each is scored. With a stride
// (--ppl-stride): windows of window + stride / 2 tokens that begin every `stride`, the last `stride` scored.
// Tokens that fill no window are not scored.
std::vector<PerplexityWindow> llama_windows(std::size_t num_tokens, std::size_t window, std::size_t stride);

// The one of the transformers documentation: windows of `window` that begin every `stride`; each scores what
// none before it has. The first token of all is never scored.
std::vector<PerplexityWindow> sliding_windows(std::size_t num_tokens, std::size_t window, std::size_t stride);

// lm-evaluation-harness: disjoint, every token is scored, the first after the prefix token; what a last,
// shorter part is scored given is prolonged to the left, to `window` tokens.
std::vector<PerplexityWindow> rolling_windows(std::size_t num_tokens, std::size_t window);

// What lm-evaluation-harness makes of wiki.test.raw: articles, and each as ordinary text.
std::vector<std::string> split_wikitext(std::string_view text);
std::string detokenize_wikitext(std::string_view page);

// len(re.split(r"\s+", text))
std::size_t count_words(std::string_view text);

}  // namespace gossamer
