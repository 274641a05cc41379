// A YAML run file: prompts of a data set through the model, with log, results and profile under
// res/DATE/CASE_NAME.
#include <fmt/format.h>

#include <filesystem>
#include <utility>

#include "apps/run/run_tasks.h"
#include "apps/text_files.h"
#include "base/error.h"
#include "base/json.h"

namespace gossamer::apps {
namespace {

namespace fs = std::filesystem;

json::object to_json(const RecipeSettings& settings, const std::string& model) {
  return {{"model_name", settings.model_name},
          {"model_path", model},
          {"enable_profiler", settings.enable_profiler},
          {"dataset", settings.dataset},
          {"input_max_len", settings.input_max_len},
          {"max_new_tokens", settings.max_new_tokens},
          {"batch_size", settings.batch_size},
          {"temperature", settings.temperature},
          {"top_p", settings.top_p},
          {"top_k", settings.top_k},
          {"seed", settings.seed ? json::value(*settings.seed) : json::value()}};
}

fs::path result_folder(const RunOptions& options, const RecipeSettings& settings) {
  const std::string case_name =
      fmt::format("{}_{}", settings.model_name, fs::path(options.file).stem().string());
  fs::path folder = fs::path("res") / date_stamp() / case_name;
  if (!settings.output_path.empty()) folder = settings.output_path;
  if (!options.output.empty()) folder = options.output;
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw Error("{}: cannot make the folder: {}", folder.string(), error.message());
  return folder;
}

// Where enable_profiler has the engine's trace written: here, and nowhere else, it meets ModelOptions.
void enable_profiler(const fs::path& folder, ModelOptions& model, CaseLog& log) {
  fs::create_directories(folder / "prof");
  if (model.profile.path.empty()) model.profile.path = (folder / "prof" / "trace.json").string();
  log.info("enable_profiler: the trace goes to {}", model.profile.path);
}

std::vector<Request> make_requests(const Session& session, const RecipeSettings& settings,
                                   const PromptSet& prompts) {
  std::vector<Request> requests;
  for (int64_t i = 0; i < settings.batch_size; ++i) {
    Request request;
    request.prompt =
        encode_prompt(session, prompts, prompts.texts[static_cast<std::size_t>(i) % prompts.texts.size()],
                      {.input_max_len = settings.input_max_len,
                       .input_max_len_where = settings.input_max_len_where,
                       .max_new_tokens = settings.max_new_tokens});
    request.max_new_tokens = settings.max_new_tokens;
    request.sampling.temperature = static_cast<float>(settings.temperature);
    request.sampling.top_p = static_cast<float>(settings.top_p);
    request.sampling.top_k = static_cast<int32_t>(settings.top_k);
    request.sampling.seed = static_cast<uint64_t>(settings.seed.value_or(0) + i);
    request.stop_token_ids = session.defaults().eos_ids;
    requests.push_back(std::move(request));
  }
  return requests;
}

void write_results(const fs::path& path, const RecipeSettings& settings, const PromptSet& prompts,
                   const std::vector<Request>& requests, const std::vector<PromptAnswer>& answers) {
  json::array results;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    results.push_back(json::object{{"prompt", prompts.texts[i % prompts.texts.size()]},
                                   {"prompt_tokens", requests[i].prompt.size()},
                                   {"text", answers[i].text},
                                   {"reasoning", answers[i].reasoning},
                                   {"finish_reason", answers[i].finish_reason},
                                   {"token_ids", json::value_from(answers[i].tokens)}});
  }
  const json::object object = {
      {"model_name", settings.model_name}, {"prompts", prompts.source}, {"results", std::move(results)}};
  write_text_file(path.string(), json::serialize(object) + "\n");
}

void run_logged(const RunOptions& options, const RunFile& file, const RecipeSettings& settings,
                const fs::path& folder, CaseLog& log) {
  ModelOptions model = options.model;
  model.model =
      model_of(options, file, file.has("model_config.model_path") ? "model_config.model_path" : "model_path",
               settings.model_path);
  if (!settings.dtype.empty() && !options.dtype_given) model.precision.dtype = settings.dtype;
  log.info("runner_settings is: {}", json::serialize(to_json(settings, model.model)));
  for (const std::string& note : file.notes()) log.warning(note);
  if (settings.enable_profiler) enable_profiler(folder, model, log);

  std::vector<fs::path> folders;
  if (!options.dataset_path.empty()) folders.emplace_back(options.dataset_path);
  if (!settings.dataset_path.empty()) folders.emplace_back(settings.dataset_path);
  folders.emplace_back("dataset");
  folders.push_back(fs::path(options.file).parent_path() / "dataset");
  const PromptSet prompts = find_prompts(settings.dataset, folders, settings.batch_size);
  log.info("{} prompts of {}", settings.dataset, prompts.source);
  for (const std::string& warning : prompts.warnings) log.warning(warning);

  Session session(model);
  if (settings.needs_chat_form && !session.has_chat_form()) {
    throw Error(
        "{}: the model has no chat form: expected \"default\", or a GPT-OSS folder with its tokenizer",
        file.where("model_config.tokenizer_mode"));
  }
  const std::vector<Request> requests = make_requests(session, settings, prompts);
  load_for(session, log, requests, settings.batch_size);
  const std::vector<PromptAnswer> answers = answer_prompts(session, log, settings.model_name, requests);
  write_results(folder / "results.json", settings, prompts, requests, answers);
  log.info("log and results are in {}", folder.string());
  log.info("model run success");
}

}  // namespace

void run_recipe(const RunOptions& options, RunFile& file) {
  if (options.task && *options.task != "inference") {
    throw Error("--task {}: a YAML file describes inference: {} is a task of INI files", *options.task,
                *options.task);
  }
  const RecipeSettings settings = read_recipe(file);
  const fs::path folder = result_folder(options, settings);
  CaseLog log((folder / "log_0.log").string());
  try {
    run_logged(options, file, settings, folder, log);
  } catch (const std::exception& error) {
    log.error(error.what());
    throw;
  }
}

}  // namespace gossamer::apps
