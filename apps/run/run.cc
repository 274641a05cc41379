// gossamer run: run files of other deployments, YAML recipes and INI files of atb_speed_sdk
// (docs/run-files.md).
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string_view>

#include "apps/commands.h"
#include "apps/model_path.h"
#include "apps/run/run_tasks.h"
#include "apps/text_files.h"
#include "base/error.h"

namespace gossamer::apps {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestFile = std::size_t{1} << 20;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

// MAX_SEQ_LEN, unless --max-model-len is given.
void read_max_seq_len(ModelOptions& model) {
  const std::string text = environment("MAX_SEQ_LEN");
  if (text.empty() || model.max_model_len != 0) return;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), model.max_model_len);
  if (error != std::errc() || end != text.data() + text.size() || model.max_model_len < 1 ||
      model.max_model_len > int64_t{1} << 31)
    throw Error("MAX_SEQ_LEN: expected a number of tokens from 1 on, found \"{}\"", text);
}

void run_sdk(const RunOptions& options, RunFile& file) {
  SdkSettings settings = read_sdk(file);
  const std::string task = options.task.value_or("inference");
  ModelOptions model = options.model;
  if (!options.pin_given && !settings.bind_cpu) model.pin = "off";
  std::error_code error;
  fs::create_directories(settings.log_dir, error);
  CaseLog log((fs::path(settings.log_dir) / fmt::format("run_{}.log", task)).string());
  try {
    model.model = model_of(options, file, "model.model_path", settings.model_path);
    log.info("task {} of {}, model {}", task, options.file, model.model);
    for (const std::string& note : file.notes()) log.warning(note);
    if (task == "inference") {
      run_inference(options, model, settings, log);
    } else if (task == "precision") {
      run_precision(model, settings, file, log);
    } else {
      // Either of the names that versions of the SDK have for it.
      const bool asked = environment("RETURN_PERF_DETAIL") == "1" || environment("TIMEIT") == "1";
      if (settings.performance.detail && !asked)
        log.info("perf_mode=detail: every step is timed, also without RETURN_PERF_DETAIL=1");
      settings.performance.detail = settings.performance.detail || asked;
      run_performance(options, model, settings, log);
    }
  } catch (const std::exception& failure) {
    log.error(failure.what());
    throw;
  }
}

void run(RunOptions options) {
  read_max_seq_len(options.model);
  const std::string ending = fs::path(options.file).extension().string();
  const bool yaml = ending == ".yaml" || ending == ".yml";
  if (!yaml && ending != ".ini")
    throw Error("{}: expected a name that ends in .yaml, .yml or .ini", options.file);
  std::error_code error;
  if (const auto size = fs::file_size(options.file, error); !error && size > kLongestFile)
    throw Error("{}: expected a run file of at most {} bytes, found {}", options.file, kLongestFile, size);
  const std::string text = read_text_file("FILE", options.file);
  RunFile file = yaml ? RunFile::from_yaml(options.file, text) : RunFile::from_ini(options.file, text);
  if (yaml) {
    run_recipe(options, file);
  } else {
    run_sdk(options, file);
  }
}

}  // namespace

std::string model_of(const RunOptions& options, const RunFile& file, const std::string& key,
                     const std::string& model_path) {
  if (!options.model.model.empty()) return options.model.model;
  if (model_path == "demo" || is_synthetic(model_path) || fs::exists(model_path)) return model_path;
  throw Error("{}: expected the folder of the weights, found {}: write it there, or give --model",
              file.where(key),
              model_path.empty() ? "nothing" : fmt::format("\"{}\", which does not exist", model_path));
}

void add_run(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "run",
      "Run what a file says: a YAML recipe (inference over a data set), or an INI file of atb_speed_sdk "
      "(--task "
      "inference, precision, performance). MAX_SEQ_LEN in the environment limits the length of sequences");
  auto options = std::make_shared<RunOptions>();
  command
      ->add_option("FILE", options->file,
                   "The run file, .yaml or .ini; samples come with Gossamer in examples/")
      ->required()
      ->check(CLI::ExistingFile);
  add_model_options(*command, options->model, "Default: MAX_SEQ_LEN, or what the file's task needs");
  // Here the model is in the file.
  command->remove_option(command->get_option("MODEL"));
  command->add_option("--model", options->model.model, "Instead of the file's model_path");
  command->add_option("--task", options->task, "Of an INI file. Default: inference")
      ->check(CLI::IsMember({"inference", "precision", "performance"}));
  command->add_option(
      "--output,-o", options->output,
      "The folder for what is written. Default: res/DATE/CASE_NAME for YAML, the current one for "
      "the CSV file of --task performance");
  command->add_option(
      "--dataset-path", options->dataset_path,
      "The folder with default_prompt.json, LongBench/ or InfiniteBench/. Default: dataset, here or "
      "beside the file");
  command->callback([options, command] {
    options->pin_given = command->count("--pin") > 0;
    options->dtype_given = command->count("--dtype") > 0;
    run(*options);
  });
}

}  // namespace gossamer::apps
