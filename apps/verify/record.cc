// gossamer verify record: what a model says and thinks, in a file that others are held against later.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/text_files.h"
#include "apps/verify/recording.h"
#include "apps/verify/verify_commands.h"
#include "base/error.h"
#include "checkpoint/safetensors_writer.h"
#include "eval/llama_logits.h"

namespace gossamer::apps {
namespace {

struct Options {
  SubjectOptions subject;
  std::string output;
  std::string prompts;
  RecordingSettings recording;
  std::string logits_file;
  std::string text;
  int32_t window = 512;
  int32_t num_windows = 8;
};

void record_golden(const Options& options) {
  check_output_path(options.output);
  RecordingPrompts prompts;  // read before anything is loaded
  if (!options.prompts.empty()) prompts = read_prompt_set(options.prompts);
  const std::unique_ptr<Subject> subject = open_subject(options.subject);
  if (options.prompts.empty())
    prompts = read_prompt_set(default_prompt_file(options.subject.model.model, *subject));
  RecordingSettings settings = options.recording;
  settings.concurrency = questions_at_once(options.subject);
  RecordingGaps gaps;
  Recording recording = record_answers(*subject, prompts, settings, gaps);
  record_texts(*subject, recording, settings.concurrency, {}, gaps);
  const std::string text = write_golden_file(recording);
  write_text_file(options.output, text);
  fmt::print("{}: {} answers, {} texts, {} bytes\n", options.output, recording.answers.size(),
             recording.texts.size(), text.size());
  if (!gaps.scores.empty()) fmt::print("without log-probabilities, first of {}\n", gaps.scores);
  if (!gaps.hidden.empty()) fmt::print("without hidden states, first of {}\n", gaps.hidden);
}

void record_logits(const Options& options) {
  check_output_path(options.logits_file);
  if (options.text.empty()) throw Error("--logits-file needs --text, the text that the model reads");
  const std::string text = read_text_file("--text", options.text);
  const std::unique_ptr<Subject> subject = open_subject(options.subject);
  if (!subject->gives_logits())
    throw Error("--logits-file takes whole distributions: expected a model folder, found a URL");
  if (options.window > subject->max_model_len()) {
    throw Error("--n-ctx {}: expected at most {}, which the model takes", options.window,
                subject->max_model_len());
  }
  std::vector<int32_t> ids = subject->encode(text);
  const std::size_t window = static_cast<std::size_t>(options.window);
  const std::size_t most = ids.size() / window;
  if (most == 0)
    throw Error("--text {}: expected at least --n-ctx {} tokens, found {}", options.text, window, ids.size());
  const std::size_t num_windows =
      options.num_windows == 0 ? most : std::min(most, static_cast<std::size_t>(options.num_windows));
  ids.resize(num_windows * window);
  std::optional<LlamaLogitsWriter> writer;  // once the vocabulary is known
  std::exception_ptr failure;               // the engine's thread takes none
  LlamaLogitsShape shape{.window = options.window, .num_windows = static_cast<int32_t>(num_windows)};
  for (std::size_t i = 0; i < num_windows; ++i) {
    const auto error = subject->read_logits(
        std::span(ids).subspan(i * window, window),
        [&](int64_t position, std::span<const float> logits, std::span<const float> /*hidden*/) {
          const auto at = static_cast<std::size_t>(position);
          if (failure || at < shape.first_position() || at + 1 >= window) return;
          try {
            if (!writer) {
              shape.vocab_size = static_cast<int32_t>(logits.size());
              check_disk_space(options.logits_file, shape.file_bytes());
              writer.emplace(options.logits_file, shape, ids);
            }
            writer->append(logits);
          } catch (...) {
            failure = std::current_exception();
          }
        });
    if (failure) std::rethrow_exception(failure);
    if (error) throw Error("window {}: {}", i, error->message);
  }
  writer->finish();
  fmt::print("{}: {} windows of {} tokens, {} words, {} bytes\n", options.logits_file, num_windows, window,
             shape.vocab_size, shape.file_bytes());
}

void run(const Options& options) {
  if (options.output.empty() == options.logits_file.empty()) {
    throw Error("expected one of --output (a golden file) and --logits-file, found {}",
                options.output.empty() ? "none" : "both");
  }
  options.output.empty() ? record_logits(options) : record_golden(options);
}

}  // namespace

void add_verify_record(CLI::App& verify) {
  CLI::App* command = verify.add_subcommand(
      "record",
      "Write what a model answers to prompts and thinks of texts into a small file, which `verify precision "
      "--a` and `verify MODEL --golden` hold deployments against");
  auto options = std::make_shared<Options>();
  add_subject_options(*command, options->subject, "A model folder, demo, or the URL of an endpoint");
  command->add_option("--output,-o", options->output, "The golden file");
  command->add_option("--prompts", options->prompts,
                      "A JSON file of prompts. Default: the set for the model's family that comes with the "
                      "program");
  command->add_option("--max-tokens", options->recording.max_new_tokens, "The most tokens of an answer")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  command
      ->add_option("--top-logprobs", options->recording.num_top, "Most likely tokens kept at each position")
      ->check(CLI::Range(0, 1 << 16))
      ->capture_default_str();
  command->add_option("--logits-file", options->logits_file,
                      "Instead: a file as `llama-perplexity --kl-divergence-base` writes it, of --text");
  command->add_option("--text", options->text, "For --logits-file: a UTF-8 text; -: standard input");
  command->add_option("--n-ctx", options->window, "For --logits-file: tokens of a window")
      ->check(CLI::Range(4, 1 << 20))
      ->capture_default_str();
  command->add_option("--chunks", options->num_windows, "For --logits-file: windows; 0: all of the text")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command->callback([options] { run(*options); });
}

}  // namespace gossamer::apps
