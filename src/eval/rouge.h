// ROUGE as the Python package `rouge` 1.0.1 computes it: sentences end at ".", n-grams and words count once
// however often they occur, ROUGE-L is the summary's. Called by LongBench's scores and by comparisons of two
// deployments.
#pragma once

#include <optional>
#include <string_view>

namespace gossamer {

struct RougeScore {
  double recall = 0.0;
  double precision = 0.0;
  double f = 0.0;
};

struct RougeScores {
  RougeScore rouge_1;
  RougeScore rouge_2;
  RougeScore rouge_l;
};

// Nothing where one of the texts has no sentence, which the package calls an error.
std::optional<RougeScores> compute_rouge(std::string_view hypothesis, std::string_view reference);

// The f of ROUGE-L alone; 0 where there is none. Unlike the package, whose recursion gives up on sentences of
// about a thousand words, it has a value for texts of any length.
double rouge_l(std::string_view hypothesis, std::string_view reference);

}  // namespace gossamer
