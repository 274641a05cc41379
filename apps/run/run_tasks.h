// The tasks of `gossamer run`, one file each.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/run/case_log.h"
#include "apps/run/prompts.h"
#include "apps/run/recipe_settings.h"
#include "apps/run/run_file.h"
#include "apps/run/sdk_settings.h"
#include "apps/session.h"

namespace gossamer::apps {

// The command line. Flags go before what the file and the environment say.
struct RunOptions {
  ModelOptions model;  // .model: --model, empty where it is not given
  bool pin_given = false;
  bool dtype_given = false;
  std::string file;
  std::optional<std::string> task;
  std::string output;
  std::string dataset_path;
};

// A YAML file: prompts of a data set, answered side by side.
void run_recipe(const RunOptions& options, RunFile& file);

// Tasks of an INI file. `model`: options with what the file says about the model in them.
void run_inference(const RunOptions& options, const ModelOptions& model, const SdkSettings& settings,
                   CaseLog& log);
void run_precision(const ModelOptions& model, const SdkSettings& settings, const RunFile& file, CaseLog& log);
void run_performance(const RunOptions& options, const ModelOptions& model, const SdkSettings& settings,
                     CaseLog& log);

// The folder that the file's model_path or --model says. Throws Error naming the file's line when it is not
// there.
std::string model_of(const RunOptions& options, const RunFile& file, const std::string& key,
                     const std::string& model_path);

// What answer_prompts() gives for each prompt.
struct PromptAnswer {
  std::string text;
  std::string reasoning;  // where the model has Harmony's form
  std::string finish_reason;
  std::vector<int32_t> tokens;
};

// Runs prompts side by side through the loaded session and logs lengths, times and answers, "{name} inference
// time cost of prefill is 12.34 ms" and so on.
std::vector<PromptAnswer> answer_prompts(Session& session, CaseLog& log, const std::string& name,
                                         const std::vector<Request>& requests);

// Plans for the requests, `max_num_seqs` side by side, and loads. Throws Error when a prompt is too long;
// warns when answers will be cut.
void load_for(Session& session, CaseLog& log, const std::vector<Request>& requests, int64_t max_num_seqs);

}  // namespace gossamer::apps
