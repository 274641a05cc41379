// Session: the way from a MODEL argument to an engine that answers, which generate, chat, score and inspect
// share: the folder is opened and checked, the memory planned, and only then anything loaded.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/commands.h"
#include "apps/profile_file.h"
#include "backend/backend.h"
#include "backend/observing_backend.h"
#include "engine/engine.h"
#include "engine/memory_plan.h"
#include "model/model_folder.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace gossamer::apps {

using Clock = std::chrono::steady_clock;
inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// ModelOptions::max_model_len "auto".
inline constexpr int64_t kWhatFits = -1;

// The options that every command on a model takes.
struct ModelOptions {
  std::string model;
  PrecisionOptions precision;
  int64_t max_model_len = 0;
  int64_t chunk_tokens = 512;
  int num_threads = 0;
  std::string numa = "auto";
  std::string pin = "auto";
  std::string backend = "cpu";
  std::string instruction_set;
  bool verbose = false;
  ProfileOptions profile;
};

// MODEL and what chooses how its weights are prepared: the part of them that `pack` takes too.
void add_weight_options(CLI::App& command, ModelOptions& options);
// All of them. `len_help`: what --max-model-len means when it is not given.
void add_model_options(CLI::App& command, ModelOptions& options, const std::string& len_help);

// What generation_config.json says about sampling; read before loading, which closes the folder.
struct GenerationDefaults {
  SamplingParams sampling;
  std::vector<int32_t> eos_ids;
};

// What an engine is asked beyond its limits (EngineOptions).
struct EngineSettings {
  int max_draft_tokens = 0;
  int64_t max_waiting_requests = 0;
  int64_t max_waiting_tokens = 0;
};

class Session {
 public:
  // Opens folder, tokenizer (where there is one) and backend; checks every tensor; loads nothing. Throws
  // Error.
  explicit Session(const ModelOptions& options);

  const ModelOptions& options() const { return options_; }
  const std::filesystem::path& path() const { return path_; }
  const ModelInfo& info() const { return engine_ ? engine_->info() : folder_->model->info(); }
  const Tokenizer* tokenizer() const { return tokenizer_.get(); }
  // The same, or an Error that says what a folder without tokenizer can do.
  const Tokenizer& require_tokenizer() const;
  const Backend& backend() const { return *backend_; }
  const GenerationDefaults& defaults() const { return defaults_; }

  // GPT-OSS with a tokenizer that has Harmony's tokens.
  bool has_chat_form() const { return has_chat_form_; }
  // The chat form of other models, where theirs is known; else why not, where they have one.
  const ChatTemplate* chat_template() const { return chat_template_ ? &*chat_template_ : nullptr; }
  const std::string& chat_template_problem() const { return chat_template_problem_; }

  // The longest sequence that the user or the model allows.
  int64_t longest() const;

  // Until load(): the opened folder.
  const ModelFolder& folder() const { return *folder_; }

  // The limits with max_batched_tokens and chunks as the options say.
  EngineLimits limits(int64_t max_model_len, int64_t max_num_seqs, int64_t max_logit_rows) const;

  // Plans; throws Error with the numbers, and with every setting that would fit, when it does not fit.
  MemoryPlan plan(const EngineLimits& limits) const;

  // From here on `observer` sees what goes through the products. Before load().
  void observe(ProductObserver observer);

  // Loads the weights, showing progress on a terminal and to `progress`, and makes the engine.
  void load(const MemoryPlan& plan, const EngineSettings& settings = {}, const LoadProgress& progress = {});

  // With --verbose: a line on standard error.
  template <typename... Args>
  void note(fmt::format_string<Args...> format, Args&&... args) const {
    if (options_.verbose) print_note(fmt::format(format, std::forward<Args>(args)...));
  }

  Engine& engine() { return *engine_; }
  double load_seconds() const { return load_seconds_; }

 private:
  void print_note(const std::string& text) const;
  void read_chat_form();
  void read_defaults();
  bool fits_with(const PrecisionOptions& precision, const EngineLimits& limits, std::size_t available) const;

  Clock::time_point start_ = Clock::now();
  ModelOptions options_;
  std::filesystem::path path_;
  std::unique_ptr<ProfileFile> profile_;  // outlives the backend, whose threads write into it
  std::unique_ptr<Backend> backend_;
  std::optional<ModelFolder> folder_;
  std::unique_ptr<Tokenizer> tokenizer_;
  GenerationDefaults defaults_;
  bool has_chat_form_ = false;
  std::optional<ChatTemplate> chat_template_;
  std::string chat_template_problem_;
  std::unique_ptr<Engine> engine_;
  double load_seconds_ = 0.0;
};

// "1 token", "2 tokens".
std::string count_tokens(int64_t count);

}  // namespace gossamer::apps
