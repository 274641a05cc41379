// gossamer pack: a model folder in another form. Packed: every weight as the backend prepares it, so that
// later starts map it instead of preparing it again; or GPT-OSS with BF16 experts, for other programs.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "apps/commands.h"
#include "apps/model_path.h"
#include "apps/session.h"
#include "apps/terminal.h"
#include "backend/registry.h"
#include "base/cpu_info.h"
#include "base/error.h"
#include "base/system_memory.h"
#include "checkpoint/bf16_checkpoint.h"
#include "model/packed_model.h"

namespace gossamer::apps {
namespace {

constexpr const char* kPacked = "packed";
constexpr const char* kBf16Checkpoint = "bf16-checkpoint";

struct Options {
  ModelOptions model;
  std::string out;
  std::string form = kPacked;
  bool force = false;
};

// Formats are chosen for packed folders only.
void check_bf16_options(const ModelOptions& options) {
  const PrecisionOptions& precision = options.precision;
  if (precision.weights != "auto" || precision.activations != "auto" || precision.dtype != "auto" ||
      !precision.smoothing.empty()) {
    throw Error(
        "--as {} writes every number as it is: leave out --weights, --activations, --smoothing and --dtype",
        kBf16Checkpoint);
  }
}

void run(const Options& options) {
  const InterruptFlag interrupt(InterruptFlag::kAndTermination);
  const ModelOptions& model = options.model;
  std::size_t bytes = 0;
  const Clock::time_point start = Clock::now();
  {
    ProgressLine line("packing " + model.model, ProgressLine::kBytes);
    const auto progress = [&](std::size_t done, std::size_t total) {
      if (interrupt.is_set()) throw Error("interrupted; {} was not written", options.out);
      line.show(done, total);
    };
    if (options.form == kBf16Checkpoint) {
      check_bf16_options(model);
      const auto checkpoint = open_checkpoint(model.model);
      bytes = write_bf16_checkpoint(*checkpoint, {.out = options.out,
                                                  .replace = options.force,
                                                  .num_threads = threads_or_default(model.num_threads),
                                                  .progress = progress});
    } else {
      const ModelFolder folder = ModelFolder::open(open_checkpoint(model.model), model.precision);
      const auto backend = create_backend({.name = model.backend,
                                           .num_threads = model.num_threads,
                                           .instruction_set = model.instruction_set});
      if (model.verbose) fmt::print(stderr, "gossamer: {}\n", backend->describe());
      bytes = pack_model(folder, *backend,
                         {.out = options.out,
                          .replace = options.force,
                          .source = model.model,
                          .precision = model.precision,
                          .num_threads = model.num_threads,
                          .progress = progress});
    }
  }
  fmt::print("{}: {}, {} of weights in {:.1f} s\n", options.out, options.form, format_bytes(bytes),
             seconds_since(start));
}

}  // namespace

void add_pack(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "pack",
      "Write a model into a folder of its own with its weights as the backend prepares them, in the formats "
      "that "
      "--weights, --activations and --dtype choose. Every command takes that folder as MODEL and starts at "
      "once: nothing is prepared again, and nothing is in memory twice. With --as bf16-checkpoint: GPT-OSS "
      "with BF16 experts, in the layout of Hugging Face, for other programs");
  auto options = std::make_shared<Options>();
  add_weight_options(*command, options->model);
  command->add_option("OUT", options->out, "Folder to make; must not exist yet, or be empty")->required();
  command->add_option("--as", options->form, "What to write")
      ->check(CLI::IsMember({kPacked, kBf16Checkpoint}))
      ->capture_default_str();
  command->add_flag("--force", options->force, "Replace the model folder OUT, once the new one is complete");
  command->callback([options] { run(*options); });
}

}  // namespace gossamer::apps
