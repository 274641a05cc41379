// What a YAML run file asks for: the recipes of cann-recipes-infer in their first form (model_name, exe_mode,
// world_size at the top; everything about requests in data_config) and their newer one (model_config,
// data_config, parallel_config, scheduler_config). Called by recipe_run.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "apps/run/run_file.h"

namespace gossamer::apps {

struct RecipeSettings {
  std::string model_name;
  std::string model_path;
  std::string dtype;  // as --dtype takes it; empty: as stored
  bool enable_profiler = false;
  bool needs_chat_form = false;  // tokenizer_mode: chat
  std::string output_path;       // empty: res/DATE/CASE_NAME

  std::string dataset = "default";  // or LongBench, InfiniteBench
  std::string dataset_path;
  int64_t input_max_len = 0;  // tokens of a prompt's text; 0: prompts are not cut
  std::string input_max_len_where;
  int64_t max_new_tokens = 32;
  int64_t batch_size = 1;
  double temperature = 0.0;
  double top_p = 1.0;
  int64_t top_k = 0;
  std::optional<int64_t> seed;
};

// Takes every key of the file; what is not used here becomes a note of it. Throws Error naming file and line.
RecipeSettings read_recipe(RunFile& file);

}  // namespace gossamer::apps
