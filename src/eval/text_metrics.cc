#include "eval/text_metrics.h"

#include <cmath>
#include <map>
#include <utility>

#include "eval/jieba.h"
#include "eval/python_text.h"
#include "eval/rouge.h"
#include "eval/similarity.h"

namespace gossamer {
namespace {

using Words = std::vector<std::u32string>;

constexpr std::u32string_view kAsciiPunctuation = U"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
constexpr std::u32string_view kChinesePunctuation =
    U"！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、〃》「」『』【】〔〕〖〗〘〙"
    U"〚〛〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏.";

bool is_one_of(char32_t c, std::u32string_view characters) {
  return characters.find(c) != std::u32string_view::npos;
}

// re.sub(r"\b(a|an|the)\b", " ", text)
std::u32string without_articles(std::u32string_view text) {
  std::u32string result;
  for (std::size_t i = 0; i < text.size();) {
    if (!is_python_word(text[i])) {
      result += text[i++];
      continue;
    }
    std::size_t end = i;
    while (end < text.size() && is_python_word(text[end])) ++end;
    const std::u32string_view word = text.substr(i, end - i);
    if (word == U"a" || word == U"an" || word == U"the") {
      result += U' ';
    } else {
      result += word;
    }
    i = end;
  }
  return result;
}

Words normalized_words(std::string_view text) {
  std::u32string kept;
  for (const char32_t c : python_lower(to_code_points(text))) {
    if (!is_one_of(c, kAsciiPunctuation)) kept += c;
  }
  return python_split(without_articles(kept));
}

std::u32string normalize_zh(std::u32string_view text) {
  std::u32string kept;
  for (const char32_t c : python_lower(text)) {
    if (!is_one_of(c, kAsciiPunctuation) && !is_one_of(c, kChinesePunctuation) && !is_python_space(c))
      kept += c;
  }
  return kept;
}

double f1_score(const Words& prediction, const Words& truth) {
  std::map<std::u32string, std::size_t> left;
  for (const std::u32string& word : truth) ++left[word];
  std::size_t common = 0;
  for (const std::u32string& word : prediction) {
    const auto entry = left.find(word);
    if (entry == left.end() || entry->second == 0) continue;
    --entry->second;
    ++common;
  }
  if (common == 0) return 0.0;
  const double precision = 1.0 * static_cast<double>(common) / static_cast<double>(prediction.size());
  const double recall = 1.0 * static_cast<double>(common) / static_cast<double>(truth.size());
  return (2 * precision * recall) / (precision + recall);
}

Words cut(std::string_view text, const Jieba* jieba) {
  const std::u32string code_points = to_code_points(text);
  if (jieba != nullptr) return jieba->cut(code_points);
  Words characters;
  for (const char32_t c : code_points) characters.emplace_back(1, c);
  return characters;
}

double share_of_right_numbers(std::string_view prediction, const std::u32string& right) {
  const Words numbers = find_digit_runs(to_code_points(prediction));
  if (numbers.empty()) return 0.0;
  std::size_t num_right = 0;
  for (const std::u32string& number : numbers) num_right += number == right ? 1 : 0;
  return static_cast<double>(num_right) / static_cast<double>(numbers.size());
}

// The digits behind the first `label` that has some.
std::optional<std::u32string> number_behind(std::u32string_view text, std::u32string_view label) {
  for (std::size_t at = text.find(label); at != std::u32string_view::npos; at = text.find(label, at + 1)) {
    std::u32string digits;
    for (std::size_t i = at + label.size(); i < text.size() && is_python_digit(text[i]); ++i)
      digits += text[i];
    if (!digits.empty()) return digits;
  }
  return std::nullopt;
}

std::optional<double> retrieval(std::string_view prediction, std::string_view truth,
                                std::u32string_view label) {
  const std::optional<std::u32string> right = number_behind(to_code_points(truth), label);
  if (!right) return std::nullopt;
  return share_of_right_numbers(prediction, *right);
}

}  // namespace

std::string normalize_answer(std::string_view text) {
  std::string joined;
  for (const std::u32string& word : normalized_words(text)) {
    if (!joined.empty()) joined += ' ';
    joined += to_utf8(word);
  }
  return joined;
}

std::string normalize_zh_answer(std::string_view text) { return to_utf8(normalize_zh(to_code_points(text))); }

double qa_f1(std::string_view prediction, std::string_view truth) {
  return f1_score(normalized_words(prediction), normalized_words(truth));
}

double qa_f1_zh(std::string_view prediction, std::string_view truth, const Jieba* jieba) {
  const auto words = [jieba](std::string_view text) {
    Words kept;
    for (const std::u32string& word : cut(text, jieba)) {
      if (std::u32string normalized = normalize_zh(word); !normalized.empty())
        kept.push_back(std::move(normalized));
    }
    return kept;
  };
  return f1_score(words(prediction), words(truth));
}

double rouge_zh(std::string_view prediction, std::string_view truth, const Jieba* jieba) {
  const auto spaced = [jieba](std::string_view text) {
    std::string joined;
    bool first = true;
    for (const std::u32string& word : cut(text, jieba)) {
      if (!std::exchange(first, false)) joined += ' ';
      joined += to_utf8(word);
    }
    return joined;
  };
  return rouge_l(spaced(prediction), spaced(truth));
}

double classification_score(std::string_view prediction, std::string_view truth,
                            const std::vector<std::string>& all_classes) {
  std::vector<std::string> matches;
  for (const std::string& name : all_classes) {
    if (prediction.find(name) != std::string_view::npos) matches.push_back(name);
  }
  // The original removes from the list that it walks: what follows a removed name is not looked at.
  for (std::size_t i = 0; i < matches.size(); ++i) {
    const std::string name = matches[i];
    if (truth.find(name) == std::string_view::npos || name == truth) continue;
    for (std::size_t k = 0; k < matches.size(); ++k) {
      if (matches[k] != name) continue;
      matches.erase(matches.begin() + static_cast<std::ptrdiff_t>(k));
      break;
    }
  }
  for (const std::string& name : matches) {
    if (name == truth) return 1.0 / static_cast<double>(matches.size());
  }
  return 0.0;
}

std::optional<double> retrieval_score(std::string_view prediction, std::string_view truth) {
  return retrieval(prediction, truth, U"Paragraph ");
}

std::optional<double> retrieval_zh_score(std::string_view prediction, std::string_view truth) {
  return retrieval(prediction, truth, U"段落");
}

double count_score(std::string_view prediction, std::string_view truth) {
  return share_of_right_numbers(prediction, to_code_points(truth));
}

double code_similarity(std::string_view prediction, std::string_view truth, CodeSimilarity library) {
  std::u32string_view rest;
  const std::u32string all = to_code_points(prediction);
  rest = all;
  while (!rest.empty() && rest.front() == U'\n') rest.remove_prefix(1);
  std::u32string line;
  for (const std::u32string& candidate : python_split(rest, U'\n')) {
    if (candidate.find_first_of(U"`#") != std::u32string::npos ||
        candidate.find(U"//") != std::u32string::npos)
      continue;
    line = candidate;
    break;
  }
  const std::u32string expected = to_code_points(truth);
  if (line == expected) return 1.0;
  if (line.empty() || expected.empty()) return 0.0;
  const double ratio =
      library == CodeSimilarity::kLevenshtein ? indel_ratio(line, expected) : difflib_ratio(line, expected);
  return std::nearbyint(100 * ratio) / 100;  // halves to the even number, as Python rounds
}

}  // namespace gossamer
