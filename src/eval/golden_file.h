// Golden files: what a model answered to fixed prompts and what it thought of fixed texts, small enough to be
// kept and sent. `gossamer verify record` writes them; `gossamer verify precision --a` and
// `gossamer verify MODEL --golden` hold a deployment against them. Format: docs/verify-precision.md.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "eval/precision.h"

namespace gossamer {

struct RecordedAnswer {
  std::string prompt;  // as it was asked
  bool chat = false;   // as a user's message; else the text that is gone on with
  // The prompt as the model saw it, and what it said to it, greedily. Empty where an endpoint does not tell.
  std::vector<int32_t> prompt_ids;
  std::vector<int32_t> answer_ids;
  std::string answer;  // reasoning first, where there is any
  std::string finish_reason;
};

// One token of a text that the model had to read.
struct RecordedToken {
  float logprob = 0.0F;           // natural, given the tokens before it
  std::vector<TokenLogprob> top;  // the most likely ones in its place, most likely first
};

struct RecordedText {
  std::string name;           // "answer 3", "text 1"
  std::vector<int32_t> ids;   // at least two
  std::size_t num_given = 1;  // the first ids, which are read and not judged: an answer's prompt
  // Of ids[num_given] and on; empty where it is not told.
  std::vector<RecordedToken> tokens;
  // The final norm's output at the last token; empty where it is not told. A file keeps four digits of each
  // number, and the checksum of all bits.
  std::vector<float> hidden;
  std::string hidden_checksum;
};

struct Recording {
  json::object identity;  // what it depends on: model, precision, instructions
  int64_t max_new_tokens = 0;
  int num_top = 0;
  std::vector<RecordedAnswer> answers;
  std::vector<RecordedText> texts;  // of the answers (prompt and answer), then others
};

// Of every number's bits.
std::string hidden_checksum(const std::vector<float>& hidden);

// Throws Error naming the file and the place of what is wrong.
Recording read_golden_file(const std::filesystem::path& path);
Recording parse_golden_file(std::string_view text, const std::string& where);
std::string write_golden_file(const Recording& recording);

struct AnswerComparison {
  bool same_prompt_ids = true;       // or one of them is not known
  std::optional<TokenMatch> tokens;  // nothing where one of the answers' tokens is not known
  double rouge_l = 0.0;
};

struct TextComparison {
  // The same as RecordedText::tokens, empty where one of both is. The divergences are truncated_divergence,
  // of the top lists.
  std::vector<PredictedToken> tokens;
  std::optional<double> cosine;  // of `hidden`; equal checksums: 1
};

struct RecordingComparison {
  std::vector<AnswerComparison> answers;
  std::vector<TextComparison> texts;
};

// `found`: the same prompts and texts, in the same order, by another model.
RecordingComparison compare_recordings(const Recording& expected, const Recording& found);

}  // namespace gossamer
