// The questions of `gossamer verify needle`: every length by every depth, one prompt at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "apps/subject/subject.h"
#include "eval/needle_task.h"
#include "eval/needle_text.h"

namespace gossamer::apps {

struct NeedleOptions {
  NeedleTask task;
  std::vector<int64_t> lengths;  // of prompts in tokens, chat form and question included; ascending
  std::vector<double> depths;    // 0 to 1, ascending
  int64_t max_new_tokens = 256;
  // False: every prompt is computed whole, so that the time to its first token is that of a prompt which
  // nobody asked before.
  bool share_prefixes = false;
};

struct NeedleCell {
  int64_t length = 0;
  double depth = 0.0;
  bool asked = false;
  std::string error;    // why there is no answer
  double placed = 0.0;  // the share of the hay in front of the needle
  std::string needle;
  std::vector<std::string> expected;
  CompletionAnswer answer;
  double score = 0.0;  // 1: everything expected is in the answer

  bool found() const { return score >= 1.0; }
};

struct NeedleRun {
  bool chat = false;              // a user's message; else text that is gone on with
  int64_t num_form_tokens = 0;    // that the chat form adds to a message
  bool hay_has_answer = false;    // so that a model may be right without the needle
  bool complete = false;          // every cell was asked
  std::vector<NeedleCell> cells;  // by length, then depth

  std::size_t num_asked() const;
  // Over the cells that were asked.
  double recall() const;
};

// The essays that come with the program. Throws Error when they are not there.
Haystack own_haystack();

// Asks all cells, short prompts first, and calls `on_cell` (from the same thread) after each. Ends early when
// the subject is stopped or cannot answer any more. Throws Error, after one short question, where a prompt
// cannot be made.
NeedleRun run_needles(Subject& subject, const Haystack& hay, const NeedleOptions& options,
                      const std::function<void(const NeedleRun&)>& on_cell = {});

// One line with what would fit, thrown as Error, where a prompt and an answer of a token are longer than
// `limit`. 0: nobody knows the limit.
void check_needle_lengths(const std::vector<int64_t>& lengths, int64_t limit, const std::string& model);

}  // namespace gossamer::apps
