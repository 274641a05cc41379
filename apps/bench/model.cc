// gossamer bench model: prefill and decode of a model against what the machine could do at most.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "apps/bench/bench.h"
#include "apps/bench/model_report.h"
#include "apps/bench/model_runs.h"
#include "apps/session.h"
#include "apps/text_files.h"
#include "backend/registry.h"
#include "base/cpu_info.h"
#include "base/error.h"
#include "base/system_memory.h"

namespace gossamer::apps {
namespace {

const std::vector<int64_t> kDefaultPrompts = {128, 512, 2048};

// Default prompts that are too long for the model are left out; what the user asks for must fit.
void check_lengths(ModelBenchOptions& options, const Session& session) {
  if (options.prompts.empty()) {
    for (const int64_t prompt : kDefaultPrompts) {
      if (prompt < session.longest()) options.prompts.push_back(prompt);
    }
  }
  const int64_t needed = needed_model_len(options);
  if (needed > session.longest()) {
    throw Error(
        "{}: expected runs of at most {} positions{}, found {}: the longest prompt, or depth and "
        "--repeat times (-n and 2) tokens; shorten one of them",
        session.options().model, session.longest(),
        session.options().max_model_len > 0 ? " (--max-model-len)" : ", the model's limit", needed);
  }
}

void write_reports(const ModelBenchOptions& options, const ModelReport& report) {
  if (!options.json.empty()) write_text_file(options.json, json::serialize(to_json(report)) + "\n");
  if (!options.csv.empty()) write_text_file(options.csv, to_csv(report));
  if (!options.html.empty()) write_text_file(options.html, to_html(report));
}

void run(ModelBenchOptions options) {
  for (const std::string& path : {options.json, options.html, options.csv}) check_output_path(path);
  Session session(options.model);
  check_lengths(options, session);
  const int64_t most = *std::max_element(options.sequences.begin(), options.sequences.end());
  const CostModel cost(session.folder(), session.backend());
  ModelReport report{.model = options.model.model,
                     .backend = session.backend().describe(),
                     .level = options.model.instruction_set.empty() ? instruction_sets().back()
                                                                    : options.model.instruction_set,
                     .activation = session.folder().precision.weights.int8_activations
                                       ? DType::kI8
                                       : session.folder().precision.activation,
                     .info = session.info(),
                     .weight_bytes = cost.weight_bytes(),
                     .operations_per_token = cost.operations_per_token()};
  EngineLimits limits = session.limits(needed_model_len(options), most, most);
  limits.kv_cache_tokens = limits.max_model_len * most;  // no sequence is to wait for pages
  session.load(session.plan(limits));
  report.load_seconds = session.load_seconds();
  report.loaded_resident_bytes = peak_resident_bytes();
  fmt::print("{}: {}\n{}\nweights {}, {:.2f} GOP a token; loaded in {:.2f} s, peak memory {}\n", report.model,
             report.info.architecture, report.backend,
             format_bytes(static_cast<std::size_t>(report.weight_bytes)), report.operations_per_token * 1e-9,
             report.load_seconds, format_bytes(report.loaded_resident_bytes));

  ThreadPool pool(threads_or_default(options.model.num_threads));
  peak::MemoryReader memory;
  report.ceilings = measure_ceilings(pool, memory);
  report.machine = describe_machine({report.ceilings}, memory);
  const std::vector<peak::Instruction> instructions = peak::available_instructions();
  const peak::Instruction* dot_product =
      peak::best_instruction(instructions, report.level, operand_of(report.activation));
  GOSSAMER_CHECK(dot_product != nullptr);
  report.dot_product = dot_product->loop.instruction;
  fmt::print("{}, {} threads: reads {:.1f} GB/s, {} {:.0f} GOP/s\n\n", cpu_model_name(), pool.num_threads(),
             report.ceilings.read_bytes_per_s * 1e-9, report.dot_product,
             report.ceilings.rate(report.level, operand_of(report.activation)).value() * 1e-9);

  ModelBench bench(session, cost, *dot_product, pool, memory, options);
  print_table_head();
  const auto add = [&](ModelResult result) {
    print_table_row(result);
    report.results.push_back(result);
    report.peak_resident_bytes = peak_resident_bytes();
    write_reports(options, report);  // what there is survives an interruption
  };
  for (const int64_t prompt : options.prompts) add(bench.prefill(prompt));
  for (const int64_t depth : options.depths) {
    for (const int64_t sequences : options.sequences) add(bench.decode(sequences, depth));
  }
}

}  // namespace

void add_bench_model(CLI::App& bench) {
  CLI::App* command = bench.add_subcommand(
      "model",
      "Prefill and decode of a model: tokens a second, the bytes and operations that they need at least, and "
      "how near that comes to what this machine's memory and dot products give next to each run. Medians and "
      "spread of several runs; greedy, so that every run computes the same");
  auto options = std::make_shared<ModelBenchOptions>();
  constexpr int64_t kLongest = int64_t{1} << 24;
  add_model_options(*command, options->model, "a limit on what is measured. Default: the model's");
  add_list_option(*command, "-p,--prompts", options->prompts,
                  "Prompt lengths of the prefills. Default: those of 128,512,2048 that the model takes", 1,
                  kLongest);
  command->add_option("-n,--new-tokens", options->new_tokens, "Tokens of each sequence in a run of a decode")
      ->check(CLI::Range(int64_t{1}, kLongest))
      ->capture_default_str();
  add_list_option(*command, "-d,--depths", options->depths,
                  fmt::format("Tokens in the cache when a decode starts. 0: a prompt of {}", kShortPrompt), 0,
                  kLongest)
      ->capture_default_str();
  add_list_option(*command, "-b,--sequences", options->sequences, "Numbers of sequences that decode at once",
                  1, 4096)
      ->capture_default_str();
  command->add_option("--repeat", options->repeat, "Runs of each measurement")
      ->check(CLI::Range(int64_t{1}, int64_t{1000}))
      ->capture_default_str();
  command->add_flag("--skip-prompts", options->skip_prompts,
                    "Decode: take the cache's pages without computing the prompts, for depths at which that "
                    "takes too long. Speed is the same, the text means nothing");
  command->add_option("--json", options->json, "Write everything to this file");
  command->add_option("--html", options->html, "Write a page with tables and plots to this file");
  command->add_option("--csv", options->csv,
                      "Write a line for each decode to this file: response time, first "
                      "and next tokens");
  command->callback([options] { run(*options); });
}

}  // namespace gossamer::apps
