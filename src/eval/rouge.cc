#include "eval/rouge.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "eval/python_text.h"

namespace gossamer {
namespace {

using Words = std::vector<int32_t>;  // numbers instead of words
using WordSet = std::set<int32_t>;

class WordNumbers {
 public:
  int32_t of(const std::u32string& word) {
    return numbers_.emplace(word, static_cast<int32_t>(numbers_.size())).first->second;
  }

 private:
  std::unordered_map<std::u32string, int32_t> numbers_;
};

// A sentence of white space has one word, the empty one: that is what " ".join(...).split(" ") gives.
std::vector<Words> read_sentences(std::string_view text, WordNumbers& numbers) {
  std::vector<Words> sentences;
  for (const std::u32string& sentence : python_split(to_code_points(text), U'.')) {
    if (sentence.empty()) continue;
    Words words;
    for (const std::u32string& word : python_split(sentence)) words.push_back(numbers.of(word));
    if (words.empty()) words.push_back(numbers.of({}));
    sentences.push_back(std::move(words));
  }
  return sentences;
}

Words flatten(const std::vector<Words>& sentences) {
  Words all;
  for (const Words& words : sentences) all.insert(all.end(), words.begin(), words.end());
  return all;
}

constexpr double kEpsilon = 1e-8;

RougeScore score_of(std::size_t hypothesis, std::size_t reference, std::size_t overlap) {
  const auto share = [overlap](std::size_t count) {
    return count == 0 ? 0.0 : static_cast<double>(overlap) / static_cast<double>(count);
  };
  RougeScore score{.recall = share(reference), .precision = share(hypothesis)};
  score.f = 2.0 * ((score.precision * score.recall) / (score.precision + score.recall + kEpsilon));
  return score;
}

RougeScore rouge_n(const Words& hypothesis, const Words& reference, std::size_t n) {
  const auto ngrams = [n](const Words& words) {
    std::set<Words> set;
    for (std::size_t i = 0; i + n <= words.size(); ++i) {
      const auto begin = words.begin() + static_cast<std::ptrdiff_t>(i);
      set.emplace(begin, begin + static_cast<std::ptrdiff_t>(n));
    }
    return set;
  };
  const std::set<Words> in_hypothesis = ngrams(hypothesis);
  const std::set<Words> in_reference = ngrams(reference);
  const auto overlap = std::count_if(in_hypothesis.begin(), in_hypothesis.end(),
                                     [&](const Words& ngram) { return in_reference.contains(ngram); });
  return score_of(in_hypothesis.size(), in_reference.size(), static_cast<std::size_t>(overlap));
}

// Adds the words of a longest common subsequence to `words`. Which one, where there are several, decides the
// score: it is the one that goes back along `other` unless only `sentence` leads to the same length.
void add_common_subsequence(const Words& sentence, const Words& other, WordSet& words) {
  const std::size_t columns = other.size() + 1;
  std::vector<bool> goes_up((sentence.size() + 1) * columns);
  std::vector<uint32_t> above(columns);
  std::vector<uint32_t> row(columns);
  for (std::size_t i = 1; i <= sentence.size(); ++i) {
    for (std::size_t j = 1; j <= other.size(); ++j) {
      if (sentence[i - 1] == other[j - 1]) {
        row[j] = above[j - 1] + 1;
      } else {
        row[j] = std::max(above[j], row[j - 1]);
        goes_up[i * columns + j] = above[j] > row[j - 1];
      }
    }
    std::swap(above, row);
  }
  std::size_t i = sentence.size();
  std::size_t j = other.size();
  while (i > 0 && j > 0) {
    if (sentence[i - 1] == other[j - 1]) {
      words.insert(sentence[i - 1]);
      --i;
      --j;
    } else if (goes_up[i * columns + j]) {
      --i;
    } else {
      --j;
    }
  }
}

RougeScore rouge_l_of(const std::vector<Words>& hypothesis, const std::vector<Words>& reference) {
  WordSet common;
  for (const Words& sentence : reference) {
    for (const Words& other : hypothesis) add_common_subsequence(sentence, other, common);
  }
  const auto count = [](const std::vector<Words>& sentences) {
    const Words all = flatten(sentences);
    return WordSet(all.begin(), all.end()).size();
  };
  return score_of(count(hypothesis), count(reference), common.size());
}

}  // namespace

std::optional<RougeScores> compute_rouge(std::string_view hypothesis, std::string_view reference) {
  WordNumbers numbers;
  const std::vector<Words> said = read_sentences(hypothesis, numbers);
  const std::vector<Words> expected = read_sentences(reference, numbers);
  if (said.empty() || expected.empty()) return std::nullopt;
  return RougeScores{.rouge_1 = rouge_n(flatten(said), flatten(expected), 1),
                     .rouge_2 = rouge_n(flatten(said), flatten(expected), 2),
                     .rouge_l = rouge_l_of(said, expected)};
}

double rouge_l(std::string_view hypothesis, std::string_view reference) {
  WordNumbers numbers;
  const std::vector<Words> said = read_sentences(hypothesis, numbers);
  const std::vector<Words> expected = read_sentences(reference, numbers);
  return said.empty() || expected.empty() ? 0.0 : rouge_l_of(said, expected).f;
}

}  // namespace gossamer
