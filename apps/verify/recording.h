// Asks a subject what a Recording (eval/golden_file.h) holds: the answers to prompts, and what it thinks of
// texts. Used by `gossamer verify record`, `gossamer verify precision` and `gossamer verify MODEL --golden`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "apps/subject/open_subject.h"
#include "apps/subject/subject.h"
#include "eval/golden_file.h"

namespace gossamer::apps {

struct RecordingPrompts {
  struct Prompt {
    std::string text;
    // Whether it is a user's message; nothing: where the model has a chat form.
    std::optional<bool> chat;
  };
  std::vector<Prompt> prompts;
  std::vector<std::string> texts;  // to be read, not answered
};

// A file of prompts: docs/verify-precision.md. Throws Error naming the file and the prompt.
RecordingPrompts read_prompt_set(const std::string& path);
RecordingPrompts parse_prompt_set(const json::value& value, const std::string& where);
// The file that comes with the program for this kind of model.
std::string default_prompt_file(const std::string& model, const Subject& subject);

struct RecordingSettings {
  int64_t max_new_tokens = 256;
  int num_top = 10;
  std::size_t concurrency = 16;  // questions at once
};

// What a subject could not tell, in its own words; empty: everything was told.
struct RecordingGaps {
  std::string scores;  // the log-probabilities of a text
  std::string hidden;
};

// How many questions at once keep it busy.
std::size_t questions_at_once(const SubjectOptions& options);

// The answers, and the texts to be read: each prompt with its answer, and the set's texts in pieces. Throws
// Error when a question is not answered.
Recording record_answers(Subject& subject, const RecordingPrompts& set, const RecordingSettings& settings,
                         RecordingGaps& gaps);
// The same prompts answered by another; the texts are the other's, still to be read.
Recording repeat_answers(Subject& subject, const Recording& expected, std::size_t concurrency);

// Logits [vocab_size] of a text's position that predicts its token `index`, which is judged; in order.
using PredictionSink =
    std::function<void(std::size_t text, std::size_t index, std::span<const float> logits)>;

// Has the subject read recording.texts and fills in what it thinks of them. `sink`, when set: of a subject
// that gives logits; the texts are read one after the other then. Throws Error.
void record_texts(Subject& subject, Recording& recording, std::size_t concurrency, const PredictionSink& sink,
                  RecordingGaps& gaps);

}  // namespace gossamer::apps
