// LongBench, versions 1 and 2: tasks, prompts, the users' files as published, scores. Called by `gossamer
// eval longbench`.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "eval/dataset.h"

namespace gossamer {

class Jieba;

enum class LongbenchMetric {
  kQaF1,
  kQaF1Zh,
  kRouge,
  kRougeZh,
  kClassification,
  kRetrieval,
  kRetrievalZh,
  kCount,
  kCodeSimilarity,
};

struct LongbenchTask {
  std::string_view name;
  LongbenchMetric metric;
  int64_t max_new_tokens;
  bool in_e;             // LongBench-E has it
  bool is_chat;          // false: never through a chat template
  bool first_line_only;  // the score is of the first line that is not empty
  std::string_view prompt;

  bool needs_jieba() const {
    return metric == LongbenchMetric::kQaF1Zh || metric == LongbenchMetric::kRougeZh;
  }
  // A newline is a stop token, from the second token on.
  bool stops_at_newline() const { return name == "samsum"; }
};

// The 21 tasks, in the order of the original.
std::span<const LongbenchTask> longbench_tasks();

struct LongbenchRow {
  std::string id;  // the line's number
  std::string where;
  std::string input;
  std::string context;
  std::vector<std::string> answers;
  std::vector<std::string> all_classes;
  int64_t length = 0;
};

// Rows that the task's metric could not score are complained of. Throws Error when the file cannot be read.
Dataset<LongbenchRow> read_longbench(const std::filesystem::path& file, const LongbenchTask& task);
std::string longbench_prompt(const LongbenchTask& task, const LongbenchRow& row);

// The best score against any of the answers, 0 to 1. Without `jieba` Chinese words are characters.
double longbench_score(const LongbenchTask& task, const LongbenchRow& row, std::string_view prediction,
                       const Jieba* jieba);

// LongBench-E's three groups by `length`.
inline constexpr std::array<std::string_view, 3> kLongbenchBuckets = {"0-4k", "4-8k", "8k+"};
std::size_t longbench_bucket(int64_t length);

struct LongbenchV2Row {
  std::string id;
  std::string where;  // file and index of the element, from 0
  std::string difficulty;
  std::string length;  // short, medium or long
  std::string question;
  std::array<std::string, 4> choices;
  char answer = 'A';
  std::string context;
};

inline constexpr int64_t kLongbenchV2MaxNewTokens = 128;

// data.json, an array. Throws Error when it is none.
Dataset<LongbenchV2Row> read_longbench_v2(const std::filesystem::path& file);
std::string longbench_v2_prompt(const LongbenchV2Row& row);

}  // namespace gossamer
