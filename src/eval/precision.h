// How far two deployments are apart: measures on what both said and on what both thought of the same text.
// Called by golden_file.cc, `gossamer verify precision` and `gossamer verify`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace gossamer {

struct TokenMatch {
  std::size_t num_positions = 0;                // of the longer answer
  std::size_t num_equal = 0;                    // positions at which both have the same token
  std::optional<std::size_t> first_difference;  // the first position at which they have not

  bool identical() const { return !first_difference; }
};
TokenMatch match_tokens(std::span<const int32_t> expected, std::span<const int32_t> found);

// ROUGE-L (its f) of an answer, the other being the reference. Equal texts have 1 exactly, empty ones too,
// which the Python package calls 0.999999995 and an error.
double answer_rouge_l(std::string_view expected, std::string_view found);

// Of equal vectors 1 exactly; nothing where one is zero, not finite or of another length.
std::optional<double> cosine_similarity(std::span<const float> a, std::span<const float> b);

struct TokenLogprob {
  int32_t id = 0;
  float logprob = 0.0F;  // natural
};

// The Kullback-Leibler divergence of `found` from `expected`, two lists of most likely tokens, in nats: of
// the distributions over the tokens that both lists name and "any other". Merging outcomes never raises the
// divergence, so this is a lower bound of the one between the full distributions.
double truncated_divergence(std::span<const TokenLogprob> expected, std::span<const TokenLogprob> found);

// What both models think of one token of a text, given those before it.
struct PredictedToken {
  double expected_loss = 0.0;  // -log of its probability
  double found_loss = 0.0;
  double divergence = 0.0;  // of the two distributions it was drawn from; see DivergenceStatistics
  bool same_top = false;    // both find the same token most likely
};

struct Estimate {
  double value = 0.0;
  double error = 0.0;  // standard error, as llama-perplexity computes it
};

// Everything that `llama-perplexity --kl-divergence` prints, by its formulas.
struct DivergenceStatistics {
  std::size_t num_tokens = 0;
  Estimate perplexity;           // of the found model
  Estimate expected_perplexity;  // of the expected one
  Estimate log_ratio;            // ln(perplexity / expected_perplexity)
  Estimate ratio;
  Estimate difference;              // perplexity - expected_perplexity
  double correlation = 0.0;         // of the two losses
  Estimate divergence;              // mean
  Estimate probability_change;      // mean of p(found) - p(expected) of the text's own tokens
  Estimate probability_change_rms;  // root of the mean square
  Estimate same_top;                // share
  std::vector<double> divergences;  // ascending
  std::vector<double> probability_changes;

  // Interpolated, 0 <= share <= 1. Of an ascending list that is not empty.
  static double percentile(std::span<const double> ascending, double share);
};
// Of at least one token; errors need two, else they are 0.
DivergenceStatistics compute_divergence_statistics(std::span<const PredictedToken> tokens);

}  // namespace gossamer
