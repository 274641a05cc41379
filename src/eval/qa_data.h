// BoolQ and GSM8K as published: JSON Lines. Called by `gossamer eval boolq` and `gsm8k`.
#pragma once

#include <filesystem>
#include <string>

#include "eval/dataset.h"

namespace gossamer {

struct BoolqQuestion {
  std::string id;  // the line's number
  std::string where;
  std::string passage;
  std::string question;
  bool answer = false;
};

// BoolQ's own dev.jsonl and train.jsonl ("answer") and SuperGLUE's val.jsonl ("label"). Throws Error when the
// file cannot be read.
Dataset<BoolqQuestion> read_boolq(const std::filesystem::path& file);
// lm-eval's prompt; " yes" and " no" are the continuations.
std::string boolq_prompt(const BoolqQuestion& question);
std::string boolq_chat_prompt(const BoolqQuestion& question);

struct Gsm8kQuestion {
  std::string id;  // the line's number
  std::string where;
  std::string question;
  std::string answer;  // the number behind "#### "
};

Dataset<Gsm8kQuestion> read_gsm8k(const std::filesystem::path& file);
std::string gsm8k_chat_prompt(const Gsm8kQuestion& question);

}  // namespace gossamer
