#include "eval/perplexity_windows.h"

#include <algorithm>
#include <utility>

#include "eval/python_text.h"

namespace gossamer {
namespace {

// str.replace
void replace_all(std::u32string& text, std::u32string_view what, std::u32string_view by) {
  std::u32string result;
  for (std::size_t i = 0; i < text.size();) {
    if (std::u32string_view(text).substr(i).starts_with(what)) {
      result += by;
      i += what.size();
    } else {
      result += text[i++];
    }
  }
  text = std::move(result);
}

// re.sub(r"OPEN\s*([^CLOSE]*?)\s*CLOSE", r"OPEN\1CLOSE", text)
void trim_within(std::u32string& text, char32_t open, char32_t close) {
  std::u32string result;
  std::size_t i = 0;
  while (i < text.size()) {
    const std::size_t end = text[i] == open ? text.find(close, i + 1) : std::u32string::npos;
    if (end == std::u32string::npos) {
      result += text[i++];
      continue;
    }
    std::size_t first = i + 1;
    std::size_t last = end;
    while (first < last && is_python_space(text[first])) ++first;
    while (last > first && is_python_space(text[last - 1])) --last;
    result += open;
    result.append(text, first, last - first);
    result += close;
    i = end + 1;
  }
  text = std::move(result);
}

// re.sub(r"/' [0-9]/", r"/'[0-9]/", text): the original's slip, kept.
void replace_slashed_digits(std::u32string& text) {
  for (char32_t digit = U'0'; digit <= U'9'; ++digit)
    replace_all(text, std::u32string(U"/' ") + digit + U"/", U"/'[0-9]/");
}

}  // namespace

std::vector<PerplexityWindow> llama_windows(std::size_t num_tokens, std::size_t window, std::size_t stride) {
  const bool is_disjoint = stride == 0;
  const std::size_t step = is_disjoint ? window : stride;
  const std::size_t length = window + stride / 2;
  const std::size_t num_scored = is_disjoint ? window - 1 - window / 2 : std::min(stride, length - 1);
  // With a stride the original leaves out a last window that would just fit.
  const std::size_t rest = num_tokens < length ? 0 : num_tokens - length;
  const std::size_t count = is_disjoint ? num_tokens / window : (rest + stride - 1) / stride;
  std::vector<PerplexityWindow> windows;
  for (std::size_t i = 0; i < count; ++i)
    windows.push_back({.begin = i * step, .end = i * step + length, .num_scored = num_scored});
  return windows;
}

std::vector<PerplexityWindow> sliding_windows(std::size_t num_tokens, std::size_t window,
                                              std::size_t stride) {
  std::vector<PerplexityWindow> windows;
  std::size_t previous_end = 0;
  for (std::size_t begin = 0; begin < num_tokens; begin += stride) {
    const std::size_t end = std::min(begin + window, num_tokens);
    const std::size_t num_new = end - previous_end;
    // The first token of a window is predicted by nothing.
    windows.push_back({.begin = begin, .end = end, .num_scored = std::min(num_new, end - begin - 1)});
    previous_end = end;
    if (end == num_tokens) break;
  }
  return windows;
}

std::vector<PerplexityWindow> rolling_windows(std::size_t num_tokens, std::size_t window) {
  std::vector<PerplexityWindow> windows;
  for (std::size_t done = 0; done < num_tokens;) {
    const std::size_t end = std::min(done + window, num_tokens);
    PerplexityWindow next{.begin = end > window ? end - window : 0,
                          .end = end,
                          .num_scored = end - done,
                          .after_prefix = end <= window};
    if (!next.after_prefix) --next.begin;  // the token before `window` others predicts the first of them
    windows.push_back(next);
    done = end;
  }
  return windows;
}

std::vector<std::string> split_wikitext(std::string_view text) {
  std::vector<std::string> pages;
  std::vector<std::u32string> lines;
  const auto end_page = [&] {
    std::u32string page;
    for (std::size_t i = 0; i < lines.size(); ++i) page += (i > 0 ? U"\n" : U"") + lines[i];
    if (!python_strip(page).empty()) pages.push_back(to_utf8(page));
    lines.clear();
  };
  for (std::u32string& line : python_split(to_code_points(text), U'\n')) {
    std::u32string heading = line;
    replace_all(heading, U"= = =", U"===");
    replace_all(heading, U"= =", U"==");
    heading = std::u32string(python_strip(heading));
    if (heading.starts_with(U"= ") && heading.ends_with(U" =")) end_page();
    lines.push_back(std::move(line));
  }
  end_page();
  return pages;
}

std::string detokenize_wikitext(std::string_view page) {
  std::u32string text = to_code_points(page);
  replace_all(text, U"s '", U"s'");
  replace_slashed_digits(text);
  replace_all(text, U" @-@ ", U"-");
  replace_all(text, U" @,@ ", U",");
  replace_all(text, U" @.@ ", U".");
  for (const char32_t mark : std::u32string_view(U":;.!?,"))
    replace_all(text, std::u32string(U" ") + mark + U" ", std::u32string(1, mark) + U" ");
  trim_within(text, U'(', U')');
  trim_within(text, U'[', U']');
  trim_within(text, U'{', U'}');
  trim_within(text, U'"', U'"');
  trim_within(text, U'\'', U'\'');
  replace_all(text, U"= = = =", U"====");
  replace_all(text, U"= = =", U"===");
  replace_all(text, U"= =", U"==");
  replace_all(text, U" \u00B0 ", U"\u00B0");
  replace_all(text, U" \n", U"\n");
  replace_all(text, U"\n ", U"\n");
  replace_all(text, U" N ", U" 1 ");
  replace_all(text, U" 's", U"'s");
  return to_utf8(text);
}

std::size_t count_words(std::string_view text) {
  const std::u32string all = to_code_points(text);
  std::size_t parts = 1;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (is_python_space(all[i]) && (i == 0 || !is_python_space(all[i - 1]))) ++parts;
  }
  return parts;
}

}  // namespace gossamer
