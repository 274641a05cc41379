// gossamer verify precision: two deployments, or one and a file of what another said, held against each
// other. One model is in memory at a time; what the first thinks of a text waits in a temporary file.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "apps/spill_file.h"
#include "apps/text_files.h"
#include "apps/verify/precision_report.h"
#include "apps/verify/recording.h"
#include "apps/verify/side.h"
#include "apps/verify/verify_commands.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "engine/compare_logits.h"
#include "eval/llama_logits.h"

namespace gossamer::apps {
namespace {

struct Options {
  std::string a;
  std::string b;
  std::string prompts;
  std::string output;
  std::string html;
  RecordingSettings recording;
  int64_t divergence_tokens = 2048;
  PrecisionLimits limits;
  SubjectOptions common;
};

// The logits of the first tokens that are judged, as many as the user allows.
class LogitsSpill {
 public:
  explicit LogitsSpill(int64_t most) : most_(most) {}

  int64_t num_rows() const { return num_rows_; }

  void write(std::span<const float> logits, std::size_t num_tokens) {
    if (num_rows_ >= most_) return;
    if (!file_) {
      vocab_size_ = logits.size();
      const uint64_t rows = std::min(num_tokens, static_cast<std::size_t>(most_));
      file_.emplace(rows * vocab_size_ * sizeof(float), "a smaller --divergence-tokens");
    }
    file_->write(logits.data(), logits.size());
    ++num_rows_;
  }
  void rewind() {
    if (file_) file_->rewind();
  }
  // Nothing where all that were written are read.
  std::optional<LogitsDifference> compare_next(std::span<const float> logits) {
    if (num_read_ == num_rows_) return std::nullopt;
    if (logits.size() != vocab_size_) {
      throw Error("expected two models with one vocabulary, found {} words in the first, {} in the second",
                  vocab_size_, logits.size());
    }
    ++num_read_;
    return compare_logits(file_->read(vocab_size_), logits);
  }

 private:
  int64_t most_;
  int64_t num_rows_ = 0;
  int64_t num_read_ = 0;
  std::size_t vocab_size_ = 0;
  std::optional<SpillFile> file_;
};

bool is_file(const std::string& side) {
  std::error_code error;
  return !is_url(side) && std::filesystem::is_regular_file(side, error);
}

std::size_t count_judged(const Recording& recording) {
  std::size_t count = 0;
  for (const RecordedText& text : recording.texts) count += text.ids.size() - text.num_given;
  return count;
}

// The first side, when it is asked and not read from a file.
Recording ask_first(const Options& options, const SubjectOptions& side, LogitsSpill* spill,
                    RecordingGaps& gaps) {
  RecordingPrompts prompts;  // read before anything is loaded
  if (!options.prompts.empty()) prompts = read_prompt_set(options.prompts);
  const std::unique_ptr<Subject> subject = open_subject(side);
  if (options.prompts.empty()) prompts = read_prompt_set(default_prompt_file(side.model.model, *subject));
  RecordingSettings settings = options.recording;
  settings.concurrency = questions_at_once(side);
  Recording recording = record_answers(*subject, prompts, settings, gaps);
  const std::size_t num_tokens = count_judged(recording);
  PredictionSink sink;
  if (spill != nullptr) {
    sink = [&](std::size_t, std::size_t, std::span<const float> logits) { spill->write(logits, num_tokens); };
  }
  record_texts(*subject, recording, settings.concurrency, sink, gaps);
  return recording;
}

PrecisionComparison compare_sides(const Options& options) {
  PrecisionComparison comparison{.expected_name = options.a, .found_name = options.b};
  const SubjectOptions second = parse_side("--b", options.b, options.common);
  LogitsSpill spill(options.divergence_tokens);
  if (is_file(options.a)) {
    if (!options.prompts.empty()) {
      throw Error("--prompts {}: the golden file {} has its own prompts: expected one of the two",
                  options.prompts, options.a);
    }
    comparison.expected = read_golden_file(options.a);
  } else {
    const SubjectOptions first = parse_side("--a", options.a, options.common);
    const bool both_here = !is_url(first.model.model) && !is_url(second.model.model);
    comparison.expected = ask_first(options, first, both_here ? &spill : nullptr, comparison.expected_gaps);
  }
  spill.rewind();
  const std::unique_ptr<Subject> subject = open_subject(second);
  comparison.found = repeat_answers(*subject, comparison.expected, questions_at_once(second));
  std::vector<std::pair<std::size_t, std::size_t>> places;  // text and index of `differences`
  std::vector<LogitsDifference> differences;
  PredictionSink sink;
  if (spill.num_rows() > 0) {
    sink = [&](std::size_t text, std::size_t index, std::span<const float> logits) {
      const auto difference = spill.compare_next(logits);
      if (!difference) return;
      places.emplace_back(text, index);
      differences.push_back(*difference);
    };
  }
  record_texts(*subject, comparison.found, questions_at_once(second), sink, comparison.found_gaps);
  comparison.compared = compare_recordings(comparison.expected, comparison.found);
  for (std::size_t i = 0; i < places.size(); ++i) {
    PredictedToken& token = comparison.compared.texts[places[i].first].tokens[places[i].second];
    token.divergence = differences[i].divergence;
    token.same_top = differences[i].same_top;
    comparison.full.push_back(token);
  }
  return comparison;
}

// Against a file of llama-perplexity: its tokens are read as it read them, window by window.
PrecisionComparison compare_with_logits_file(const Options& options, const LlamaLogits& file) {
  PrecisionComparison comparison{.expected_name = options.a, .found_name = options.b};
  const SubjectOptions side = parse_side("--b", options.b, options.common);
  if (is_url(side.model.model)) {
    throw Error("--b {}: a file of logits takes whole distributions: expected a model folder, found a URL",
                options.b);
  }
  const LlamaLogitsShape& shape = file.shape();
  comparison.expected.identity = {{"logits_file", options.a},
                                  {"window", shape.window},
                                  {"vocab_size", shape.vocab_size},
                                  {"windows", shape.num_windows}};
  const std::unique_ptr<Subject> subject = open_subject(side);
  comparison.found.identity = subject->identity();
  for (std::size_t window = 0; window < static_cast<std::size_t>(shape.num_windows); ++window) {
    const std::vector<int32_t> ids = file.tokens(window);
    std::exception_ptr failure;  // the engine's thread takes none
    const auto error = subject->read_logits(
        ids, [&](int64_t position, std::span<const float> logits, std::span<const float> /*hidden*/) {
          const auto at = static_cast<std::size_t>(position);
          if (failure || at < shape.first_position() || at + 1 >= ids.size()) return;
          try {
            if (logits.size() != static_cast<std::size_t>(shape.vocab_size)) {
              throw Error("{}: expected a vocabulary of {}, as {} has, found {}", options.b, logits.size(),
                          options.b, shape.vocab_size);
            }
            comparison.full.push_back(file.compare(window, at - shape.first_position(), logits, ids[at + 1]));
          } catch (...) {
            failure = std::current_exception();
          }
        });
    if (failure) std::rethrow_exception(failure);
    if (error) throw Error("{}: window {}: {}", options.a, window, error->message);
  }
  return comparison;
}

void run(const Options& options) {
  check_output_path(options.output);
  check_output_path(options.html);
  std::optional<PrecisionReport> report;
  if (is_file(options.a)) {
    const MappedFile file(options.a);
    if (LlamaLogits::is_one(file.bytes())) {
      report =
          make_report(compare_with_logits_file(options, LlamaLogits(file.bytes(), options.a)), options.limits,
                      /*logits_file=*/true);
    }
  }
  if (!report) report = make_report(compare_sides(options), options.limits, /*logits_file=*/false);
  fmt::print("{}", to_text(*report));
  if (!options.output.empty()) write_text_file(options.output, json::serialize(to_json(*report)) + "\n");
  if (!options.html.empty()) write_text_file(options.html, to_page(*report));
  if (report->verdict() == Measure::Verdict::kFail) exit_with_failed_verdict();
}

void add_limits(CLI::App& command, PrecisionLimits& limits) {
  constexpr const char* kGroup = "Limits";
  const auto add = [&](const char* name, std::optional<double>& limit, const std::string& help) {
    const std::string usual =
        limit ? fmt::format(". Default: {:g}", *limit) : std::string(". Default: none, told and not judged");
    command.add_option(name, limit, help + usual)->group(kGroup);
  };
  add("--min-identical", limits.min_identical, "Share of answers that are the same to the last token");
  add("--min-token-match", limits.min_token_match, "Share of positions of answers with the same token");
  add("--min-cosine", limits.min_cosine, "Mean cosine of the last hidden states");
  add("--min-rouge-l", limits.min_rouge_l, "Mean ROUGE-L of answers");
  add("--max-perplexity-difference", limits.max_perplexity_difference,
      "Difference of the perplexities, either way");
  add("--max-divergence", limits.max_divergence, "Mean KL divergence, in nats");
  add("--min-same-top", limits.min_same_top, "Share of tokens where both find the same one most likely");
}

}  // namespace

void add_verify_precision(CLI::App& verify) {
  CLI::App* command = verify.add_subcommand(
      "precision",
      "Hold a deployment (--b) against a reference (--a): the same prompts greedily answered, the same text "
      "read. PASS, or FAIL and exit code 2");
  auto options = std::make_shared<Options>();
  command
      ->add_option("--a,--gpu-url", options->a,
                   "The reference: a model folder or demo, with options in parentheses (demo(int8), "
                   "demo(weights=w8a8,kv-cache-dtype=int8)); a URL; a golden file of `verify record`; a file "
                   "of `llama-perplexity --kl-divergence-base`")
      ->required();
  command
      ->add_option("--b,--npu-url", options->b, "What is held against it: a model folder or a URL, likewise")
      ->required();
  command->add_option(
      "--prompts,--test-prompts", options->prompts,
      "A JSON file: a list of prompts, or {\"prompts\": [...], \"text\": [...]}. Default: the "
      "set for the model's family that comes with the program");
  command->add_option("--output,-o", options->output, "Write everything to this file as JSON");
  command->add_option("--html", options->html, "Write a page with plots");
  command->add_option("--max-tokens", options->recording.max_new_tokens, "The most tokens of an answer")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 20))
      ->capture_default_str();
  command
      ->add_option("--top-logprobs", options->recording.num_top,
                   "The most likely tokens that are compared where one side cannot give whole distributions")
      ->check(CLI::Range(0, 1 << 16))
      ->capture_default_str();
  command
      ->add_option("--divergence-tokens", options->divergence_tokens,
                   "At how many tokens whole distributions are compared, where both models run here")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 31))
      ->capture_default_str();
  add_limits(*command, options->limits);
  add_subject_options(*command, options->common, "");
  command->callback([options] { run(*options); });
}

}  // namespace gossamer::apps
