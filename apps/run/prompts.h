// The prompts of a run: built in or from a data set's folder, and how they become token ids. Used by the
// tasks of `gossamer run`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "apps/session.h"

namespace gossamer::apps {

// What a model is told around a long text.
struct SummaryFrame {
  std::string before;
  std::string behind;  // {max_new_tokens} in it stands for that number
};

struct PromptSet {
  std::string source;  // the file or folder
  std::vector<std::string> texts;
  // Only the built-in file's, unless the user's own has one.
  SummaryFrame summary;
  bool summarise = false;             // texts are long ones, to be put between the two
  std::vector<std::string> warnings;  // about what was left out, by file and line
};

// {"text": "..." or ["...", ...], "summary": {"before": "...", "behind": "..."}}; "summary" may be absent.
// Throws Error naming the file and what is wrong with it.
PromptSet read_prompt_file(const std::filesystem::path& path);

// share/default_prompt.json, as installed or in the source tree.
PromptSet built_in_prompts();

// `dataset`: "default", "LongBench" or "InfiniteBench". Looked for in `folders`, in this order: their
// default_prompt.json, LongBench/data/*.jsonl, InfiniteBench/longbook_qa_eng.jsonl. As many texts as there
// are up to `count`. Throws Error saying where it looked.
PromptSet find_prompts(const std::string& dataset, const std::vector<std::filesystem::path>& folders,
                       int64_t count);

// How prompts are made for a model.
struct PromptForm {
  int64_t input_max_len = 0;        // of a prompt's text, in tokens; 0: not cut
  std::string input_max_len_where;  // of the key, for errors
  int64_t max_new_tokens = 0;
};

// Ids that are tokens of the model, the same for the same seed.
std::vector<int32_t> random_prompt(const Session& session, int64_t count, uint64_t seed);

// A prompt's ids: cut to input_max_len from its end (a long text: inside its frame), and in Harmony's form,
// whose own tokens come on top, where the model has one. Without a tokenizer they are
// random ones, input_max_len of them or kRandomTokens, or what fits. Throws Error when there is no room for a
// text.
inline constexpr int64_t kRandomTokens = 64;
std::vector<int32_t> encode_prompt(const Session& session, const PromptSet& prompts, const std::string& text,
                                   const PromptForm& form);

}  // namespace gossamer::apps
