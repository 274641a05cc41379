#include "apps/session.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "apps/model_path.h"
#include "apps/terminal.h"
#include "backend/registry.h"
#include "base/error.h"
#include "base/system_memory.h"
#include "model/packed_model.h"

namespace gossamer::apps {
namespace {

constexpr std::array<const char*, 7> kHarmonyTokens = {
    "<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>", "<|return|>", "<|call|>"};

bool has_tokenizer(const Checkpoint& checkpoint) {
  return checkpoint.find_file("tokenizer.json") || checkpoint.find_file("vocab.json");
}

}  // namespace

void add_weight_options(CLI::App& command, ModelOptions& options) {
  command
      .add_option("MODEL", options.model,
                  "Folder with config.json and safetensors files, or one that `pack` wrote; demo: the "
                  "built-in model; synth:ARCH: ARCH's "
                  "real shapes (see synth --help) with random weights, made in memory")
      ->required();
  command
      .add_option(
          "--dtype", options.precision.dtype,
          "What dense weights become and activations are: auto (weights as stored), bf16, f16, f32; also "
          "bfloat16, float16, half, float32, float")
      ->transform(CLI::Transformer(std::map<std::string, std::string>{
          {"bfloat16", "bf16"}, {"float16", "f16"}, {"half", "f16"}, {"float32", "f32"}, {"float", "f32"}}))
      ->option_text("auto|bf16|f16|f32")
      ->check(CLI::IsMember({"auto", "bf16", "f16", "f32"}))
      ->capture_default_str();
  command
      .add_option(
          "--weights", options.precision.weights,
          "What weights become: auto (as --dtype says), w8 (int8), w4 (int4, head int8), w8a8 (w8 with "
          "int8 activations), or PART=FORMAT,... with the parts embed, dense, router, experts, head and the "
          "formats f32, bf16, f16, int8, int8g32, int4. MXFP4 experts stay as they are in the presets")
      ->capture_default_str();
  command
      .add_option("--activations", options.precision.activations,
                  "What enters products with int8, int4 and MXFP4 weights: auto (as --dtype says), int8")
      ->check(CLI::IsMember({"auto", "int8"}))
      ->capture_default_str();
  command.add_option(
      "--smoothing", options.precision.smoothing,
      "A file of `gossamer calibrate`: int8 activations with their outliers moved into the weights");
  command
      .add_option(
          "--threads", options.num_threads,
          "Threads to compute with. Default: the physical cores allowed to this process. Results do not "
          "depend on it")
      ->check(CLI::Range(1, 4096));
  command
      .add_option("--backend", options.backend,
                  "Where to compute: " + fmt::format("{}", fmt::join(backend_names(), ", ")))
      ->check(CLI::IsMember(backend_names()))
      ->capture_default_str();
  command.add_option("--instruction-set", options.instruction_set,
                     "Instead of the best that the processor has: portable, avx2, avx512, amx, neon");
  command.add_flag(
      "--verbose,-v", options.verbose,
      "Say on standard error which kernels were chosen, what memory is planned, how long things took");
}

void add_model_options(CLI::App& command, ModelOptions& options, const std::string& len_help) {
  add_weight_options(command, options);
  command
      .add_option("--numa", options.numa,
                  "Where weights lie on a machine with several NUMA nodes: auto (interleave where there are "
                  "several), interleave (on the nodes of the allowed cores in turn), replicate (all of them "
                  "on every node: "
                  "as many times the memory), off (where first touched)")
      ->check(CLI::IsMember({"auto", "interleave", "replicate", "off"}))
      ->capture_default_str();
  command
      .add_option(
          "--pin", options.pin,
          "What threads keep to: auto (their node, where weights are interleaved over several), node, "
          "core (a core for each: for a machine of one's own), off")
      ->check(CLI::IsMember({"auto", "node", "core", "off"}))
      ->capture_default_str();
  command
      .add_option("--kv-cache-dtype", options.precision.kv_cache_dtype,
                  "What keys and values are kept as: auto (as the activations), bf16, f16, f32, int8 (a "
                  "scale for each "
                  "head and token)")
      ->check(CLI::IsMember({"auto", "bf16", "f16", "f32", "int8"}))
      ->capture_default_str();
  command
      .add_option(
          "--max-model-len", options.max_model_len,
          "Tokens of one sequence, prompt and answer (auto: what fits, up to the model's limit); " + len_help)
      ->option_text("N|auto")
      ->transform(CLI::Transformer(std::map<std::string, int64_t>{{"auto", kWhatFits}}))
      ->check(CLI::Range(kWhatFits, int64_t{1} << 31));
  command
      .add_option("--chunk-tokens", options.chunk_tokens,
                  "The most prompt tokens computed in one step. Results do not depend on it")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  add_profile_options(command, options.profile);
}

Session::Session(const ModelOptions& options) : options_(options) {
  path_ = options_.model;
  if (!is_synthetic(options_.model)) path_ = resolve_model_path(options_.model);
  folder_ = ModelFolder::open(open_checkpoint(options_.model), options_.precision);
  backend_ = create_backend({.name = options_.backend,
                             .num_threads = options_.num_threads,
                             .instruction_set = options_.instruction_set,
                             .numa = options_.numa,
                             .pin = options_.pin});
  check_backend(*folder_, *backend_);
  note("{}", backend_->describe());
  if (has_tokenizer(*folder_->checkpoint)) tokenizer_ = Tokenizer::load(folder_->checkpoint->folder());
  read_chat_form();
  read_defaults();
}

void Session::read_chat_form() {
  has_chat_form_ = tokenizer_ && info().architecture == "gpt_oss" &&
                   std::all_of(kHarmonyTokens.begin(), kHarmonyTokens.end(), [this](const char* token) {
                     return tokenizer_->special_id(token).has_value();
                   });
  if (has_chat_form_ || !tokenizer_) return;
  const auto source =
      read_chat_template([this](const std::string& name) { return folder_->checkpoint->find_file(name); });
  if (!source) return;
  Result<ChatTemplate> form = ChatTemplate::create(*source, *tokenizer_);
  if (form.ok()) {
    chat_template_ = std::move(form).value();
  } else {
    chat_template_problem_ = form.error().message;
    note("{}", chat_template_problem_);
  }
}

const Tokenizer& Session::require_tokenizer() const {
  if (tokenizer_) return *tokenizer_;
  throw Error(
      "{}: there is no tokenizer.json, so text cannot be read or written; generate takes --token-ids instead",
      path_.string());
}

void Session::print_note(const std::string& text) const { fmt::print(stderr, "gossamer: {}\n", text); }

void Session::read_defaults() {
  const ConfigReader& config = folder_->checkpoint->generation_config();
  SamplingParams& sampling = defaults_.sampling;
  const auto number = [&config](Keys keys, float fallback) {
    return static_cast<float>(config.get_number(keys, fallback));
  };
  // As transformers does it: greedy unless the file says do_sample.
  if (config.get_bool({"do_sample"}, false)) {
    sampling.temperature = number({"temperature"}, 1.0F);
    sampling.top_k = static_cast<int32_t>(config.get_int({"top_k"}, 0, {.min = 0, .max = 1 << 30}));
    sampling.top_p = number({"top_p"}, 1.0F);
    sampling.min_p = number({"min_p"}, 0.0F);
  } else {
    sampling.temperature = 0.0F;
  }
  sampling.repetition_penalty = number({"repetition_penalty"}, 1.0F);
  if (const auto error = check_sampling_params(sampling, info().vocab_size))
    throw Error("{}: {}", config.where(), error->message);

  defaults_.eos_ids = config.get_ids({"eos_token_id"});
  if (defaults_.eos_ids.empty() && has_chat_form_) {
    // Never <|end|>: it ends a message, after which the model goes on with the next.
    for (const char* token : {"<|return|>", "<|call|>", "<|endoftext|>"}) {
      if (const auto id = tokenizer_->special_id(token)) defaults_.eos_ids.push_back(*id);
    }
  } else if (defaults_.eos_ids.empty()) {
    defaults_.eos_ids = folder_->checkpoint->config().get_ids({"eos_token_id"});
  }
  if (!chat_template_) return;
  for (const int32_t id : chat_template_->end_ids()) {
    if (std::find(defaults_.eos_ids.begin(), defaults_.eos_ids.end(), id) == defaults_.eos_ids.end())
      defaults_.eos_ids.push_back(id);
  }
}

int64_t Session::longest() const {
  const int64_t limit = info().max_positions;
  if (options_.max_model_len > limit) {
    throw Error("--max-model-len {} is beyond the model's limit of {} positions", options_.max_model_len,
                limit);
  }
  return options_.max_model_len > 0 ? options_.max_model_len : limit;
}

EngineLimits Session::limits(int64_t max_model_len, int64_t max_num_seqs, int64_t max_logit_rows) const {
  // No step is larger than all sequences at their longest; a short prompt takes a small workspace.
  const int64_t chunk =
      max_model_len > 0 ? std::min(options_.chunk_tokens, max_model_len) : options_.chunk_tokens;
  return {.max_model_len = max_model_len,
          .max_num_seqs = max_num_seqs,
          .max_batched_tokens = std::max(chunk, max_num_seqs),
          .max_logit_rows = std::max(max_logit_rows, max_num_seqs)};
}

bool Session::fits_with(const PrecisionOptions& precision, const EngineLimits& limits,
                        std::size_t available) const {
  ModelFolder other = ModelFolder::open(open_checkpoint(options_.model), precision);
  return compute_plan(other, *backend_, limits).total() + kMemoryReserve <= available;
}

MemoryPlan Session::plan(const EngineLimits& limits) const {
  const std::size_t available = read_system_memory().available;
  try {
    return plan_memory(*folder_, *backend_, limits, available);
  } catch (const Error& error) {
    if (folder_->packed) throw;  // its formats are what they are
    EngineLimits asked = limits;
    if (asked.max_model_len == 0) asked.max_model_len = 1;
    if (asked.max_model_len > info().max_positions) throw;
    for (const char* dtype : {"bf16", "f16"}) {  // the same bytes; bf16 computes faster
      PrecisionOptions precision = options_.precision;
      precision.dtype = dtype;
      if (dtype == options_.precision.dtype || !fits_with(precision, asked, available)) continue;
      throw Error("{}; --dtype {} would fit", error.what(), dtype);
    }
    for (const char* weights : {"w8", "w4"}) {
      PrecisionOptions precision = options_.precision;
      precision.weights = weights;
      if (options_.precision.weights != "auto" || !fits_with(precision, asked, available)) continue;
      throw Error("{}; --weights {} would fit", error.what(), weights);
    }
    throw;
  }
}

void Session::observe(ProductObserver observer) {
  GOSSAMER_CHECK(!engine_);
  backend_ = create_observing_backend(std::move(backend_), std::move(observer));
}

void Session::load(const MemoryPlan& plan, const EngineSettings& settings, const LoadProgress& progress) {
  note("memory: weights {}, KV cache {} ({} for up to {} sequences of {}), workspace {}",
       format_bytes(plan.weights), format_bytes(plan.kv), count_tokens(plan.limits.kv_cache_tokens),
       plan.limits.max_num_seqs, plan.limits.max_model_len, format_bytes(plan.workspace));
  if (!options_.profile.path.empty()) {
    profile_ = std::make_unique<ProfileFile>(options_.profile, options_.model, backend_->num_host_threads());
  }
  const int64_t num_sampled_ids = tokenizer_ ? tokenizer_->vocab_size() : 0;
  const Clock::time_point load_start = Clock::now();
  const std::size_t stored = folder_->checkpoint->stored_bytes();
  {
    ProgressLine line(fmt::format("loading {}", format_bytes(stored)));
    LoadedModel loaded = load_model(*std::exchange(folder_, std::nullopt), *backend_,
                                    {.progress =
                                         [&](std::size_t done, std::size_t total) {
                                           line.show(done, total);
                                           if (progress) progress(done, total);
                                         },
                                     .num_threads = options_.num_threads});
    engine_ = std::make_unique<Engine>(
        std::move(loaded), *backend_,
        EngineOptions{.limits = plan.limits,
                      .num_sampled_ids = num_sampled_ids,
                      .chunk_tokens = std::min(options_.chunk_tokens, plan.limits.max_batched_tokens),
                      .max_draft_tokens = settings.max_draft_tokens,
                      .max_waiting_requests = settings.max_waiting_requests,
                      .max_waiting_tokens = settings.max_waiting_tokens});
  }
  if (profile_) backend_->set_profiler(&profile_->profiler());
  load_seconds_ = seconds_since(start_);
  const double seconds = seconds_since(load_start);
  note("loaded {} in {:.2f} s ({:.2f} GB/s)", format_bytes(stored), seconds,
       static_cast<double>(stored) / 1e9 / std::max(seconds, 1e-9));
}

std::string count_tokens(int64_t count) { return fmt::format("{} token{}", count, count == 1 ? "" : "s"); }

}  // namespace gossamer::apps
