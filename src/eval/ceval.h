// C-Eval: the 52 subjects, the users' CSV files as published, and the official prompts. Called by `gossamer
// eval ceval`.
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/dataset.h"

namespace gossamer {

struct CevalSubject {
  std::string_view name;  // as in file names: "computer_network"
  std::string_view chinese;
  std::string_view category;  // STEM, Social Science, Humanities, Other
  bool hard;                  // of C-Eval Hard
};

// In the order of the published subject_mapping.json.
std::span<const CevalSubject> ceval_subjects();

struct CevalQuestion {
  std::string id;     // column "id"
  std::string where;  // file and line
  std::string question;
  std::array<std::string, 4> choices;
  std::string answer;  // "A" to "D"; empty where the split has no answers
};

struct CevalData {
  struct Subject {
    const CevalSubject* subject = nullptr;
    std::vector<CevalQuestion> examples;   // of dev, at most as many as asked for
    std::vector<CevalQuestion> questions;  // of the split
  };
  std::vector<Subject> subjects;  // those that can be run
  bool has_answers = true;        // every subject of the split has the column
  std::vector<Complaint> complaints;
  std::vector<std::string> missing;
};

// Reads folder/dev/NAME_dev.csv and folder/SPLIT/NAME_SPLIT.csv of the subjects (empty: all). Throws Error
// where there is no file of the split at all, or for a subject that is none.
CevalData read_ceval(const std::filesystem::path& folder, const std::string& split, std::size_t num_examples,
                     const std::vector<std::string>& subjects);

// The official prompt for base models; the answer is the token that follows.
std::string ceval_prompt(const CevalSubject& subject, std::span<const CevalQuestion> examples,
                         const CevalQuestion& question);
// Ours for chats: no examples, the answer to be given as 答案：X.
std::string ceval_chat_prompt(const CevalSubject& subject, const CevalQuestion& question);

}  // namespace gossamer
