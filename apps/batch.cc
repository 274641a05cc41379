// gossamer batch: a file of OpenAI requests to a file of answers.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "apps/batch_files.h"
#include "apps/batch_run.h"
#include "apps/commands.h"
#include "apps/served_session.h"
#include "apps/serving_options.h"
#include "apps/session.h"
#include "apps/terminal.h"
#include "apps/text_files.h"
#include "base/error.h"
#include "server/grammar_cache.h"

namespace gossamer::apps {
namespace {

struct Options {
  ModelOptions model;
  ServingOptions serving;
  std::string input;
  std::string output;
  std::vector<std::string> served_names;
  uint64_t seed = 0;
};

std::string count_lines(std::size_t count) { return fmt::format("{} line{}", count, count == 1 ? "" : "s"); }

void run(const Options& options) {
  BatchInput input(options.input);
  check_output_path(options.output);
  BatchOutput output(options.output, input);
  const std::size_t num_left = input.size() - output.num_found();
  if (num_left == 0) {
    fmt::print(stderr, "gossamer: {} has an answer to each of {}: nothing to do\n", options.output,
               count_lines(input.size()));
    return;
  }

  Session session(options.model);
  session.load(plan_serving(session, options.serving), serving_settings(options.serving));
  GrammarCache grammars(session.require_tokenizer());
  const ServedModel model = served_model(session, grammars, options.served_names);
  if (output.num_found() > 0) {
    fmt::print(stderr, "gossamer: {} has {} of {} already: going on with the rest\n", options.output,
               output.num_found(), count_lines(input.size()));
  }

  const Clock::time_point start = Clock::now();
  BatchTotals totals;
  bool all = false;
  {
    const InterruptFlag interrupt(InterruptFlag::kAndTermination);
    // Enough waits behind what runs that no step is short of sequences.
    BatchRun batch(session.engine(), model, input, output,
                   {.max_in_flight = 4 * options.serving.max_num_seqs, .seed = options.seed});
    all = batch.run(interrupt);
    totals = batch.totals();
  }
  const double seconds = std::max(seconds_since(start), 1e-9);
  fmt::print(
      stderr,
      "gossamer: {} answered ({} failed) in {:.1f} s: {} of prompts, {} of answers ({:.1f} tokens/s)\n",
      count_lines(totals.answered), totals.failed, seconds, count_tokens(totals.prompt_tokens),
      count_tokens(totals.completion_tokens), static_cast<double>(totals.completion_tokens) / seconds);
  if (!all) {
    throw Error("interrupted: {} has {} of {}; the same command goes on from there", options.output,
                output.num_found() + totals.answered, count_lines(input.size()));
  }
}

}  // namespace

void add_batch(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "batch",
      "Answer a file of requests in OpenAI's batch format, a JSON object a line: custom_id, url "
      "(/v1/chat/completions or /v1/completions), body. Answers come in any order, one line each, with their "
      "custom_id; a request that cannot be answered has a line that says why. A run that was interrupted, or "
      "killed, goes on with the same command: nothing is lost, nothing is done twice.");
  auto options = std::make_shared<Options>();
  add_model_options(*command, options->model,
                    "a request that could become longer is refused. Default: 16384, or the model's limit, or "
                    "what fits");
  add_serving_options(*command, options->serving);
  command->add_option("--input,-i", options->input, "The requests, JSON Lines")->required();
  command
      ->add_option("--output,-o", options->output, "The answers: a new file, or that of a run to go on with")
      ->required();
  add_served_names(*command, options->served_names);
  command
      ->add_option(
          "--seed", options->seed,
          "For requests that sample without a seed of their own: with their custom_id it decides what "
          "they get, so that a run can be repeated")
      ->capture_default_str();
  command->callback([options] { run(*options); });
}

}  // namespace gossamer::apps
