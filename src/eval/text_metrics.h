// LongBench's scores of an answer against an expected one, 0 to 1, exactly as its metrics.py computes them,
// oddities included. Called by `gossamer eval longbench`. ROUGE is in rouge.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gossamer {

class Jieba;

// Lower case, without ASCII punctuation, articles and superfluous white space.
std::string normalize_answer(std::string_view text);
// Lower case, without ASCII and Chinese punctuation and without white space.
std::string normalize_zh_answer(std::string_view text);

// F1 over words of the normalised answers.
double qa_f1(std::string_view prediction, std::string_view truth);

// The same over Chinese words; where there is no `jieba`, over characters, which gives other numbers.
double qa_f1_zh(std::string_view prediction, std::string_view truth, const Jieba* jieba);
// ROUGE-L over Chinese words; where there is no `jieba`, over characters.
double rouge_zh(std::string_view prediction, std::string_view truth, const Jieba* jieba);

// 1 / (classes named in the prediction) where the right one is among them. A class whose name is a part of
// the right one's is not counted, but the class listed after such a one escapes that check.
double classification_score(std::string_view prediction, std::string_view truth,
                            const std::vector<std::string>& all_classes);

// The share of the right number among the numbers of the prediction. Nothing where the truth holds no
// "Paragraph N" ("段落N").
std::optional<double> retrieval_score(std::string_view prediction, std::string_view truth);
std::optional<double> retrieval_zh_score(std::string_view prediction, std::string_view truth);
double count_score(std::string_view prediction, std::string_view truth);

// fuzzywuzzy's ratio works with whichever of two libraries is installed; they differ by several points.
enum class CodeSimilarity { kLevenshtein, kDifflib };

// The first line of the prediction that is no comment or fence, against the truth, in hundredths.
double code_similarity(std::string_view prediction, std::string_view truth,
                       CodeSimilarity library = CodeSimilarity::kLevenshtein);

}  // namespace gossamer
