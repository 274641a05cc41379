// A question for likelihoods as tokens: which of them are given and which are scored. The same for every kind
// of Subject.
#pragma once

#include <cstdint>
#include <vector>

#include "apps/subject/subject.h"

namespace gossamer::apps {

struct LikelihoodTokens {
  struct Part {
    std::vector<int32_t> context;       // at least one
    std::vector<int32_t> continuation;  // at least one; both together fit the model
  };
  std::vector<Part> parts;  // one for each continuation
  LikelihoodAnswer answer;  // the counts, and room for the log-probabilities
};

// As lm-evaluation-harness does it: context and continuation tokenised together and cut where the context
// alone ends; a context that is too long loses its beginning; for an empty one the model's prefix token
// stands.
Result<LikelihoodTokens> split_likelihood(const Subject& model, const LikelihoodQuestion& question);

}  // namespace gossamer::apps
