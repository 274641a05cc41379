// gossamer synth: a checkpoint folder of real shapes with random weights, for sizing and timing hardware.
#include "checkpoint/synth.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "apps/commands.h"
#include "apps/terminal.h"
#include "base/error.h"

namespace gossamer::apps {
namespace {

struct Options {
  std::string architecture;
  std::string out;
  std::optional<int64_t> layers;
  uint64_t seed = 0;
  std::string tokenizer;
};

void run(const Options& options) {
  const SynthArchitecture architecture = describe_synth_architecture(options.architecture, options.layers);
  SynthOptions synth;
  synth.seed = options.seed;
  synth.tokenizer = options.tokenizer;
  // More threads than this only wait for the disk.
  synth.num_threads = static_cast<int>(std::clamp(std::thread::hardware_concurrency(), 1U, 8U));
  {
    const InterruptFlag interrupt(InterruptFlag::kAndTermination);
    ProgressLine line("writing " + options.architecture, ProgressLine::kBytes);
    synth.progress = [&](uint64_t done, uint64_t total) {
      if (interrupt.is_set()) throw Error("interrupted; {} was not written", options.out);
      line.show(done, total);
    };
    write_synth_checkpoint(architecture, options.out, synth);
  }
  fmt::print("{}: {}, {} tensors, {} bytes\n", options.out, options.architecture, architecture.tensors.size(),
             architecture.total_bytes());
}

}  // namespace

void add_synth(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("synth",
                             "Write a checkpoint folder of an architecture's real shapes with random "
                             "weights, to size and time hardware "
                             "without a download. No tokenizer is written unless --tokenizer names one.");
  auto options = std::make_shared<Options>();
  command->add_option("ARCH", options->architecture, "What to write")
      ->required()
      ->check(CLI::IsMember(synth_architecture_names()));
  command->add_option("OUT", options->out, "Folder to make; must not exist yet, or be empty")->required();
  command->add_option("--layers", options->layers, "Only the first so many layers");
  command->add_option("--seed", options->seed, "Another seed gives other weights")->capture_default_str();
  command->add_option("--tokenizer", options->tokenizer, "A tokenizer.json to copy into the folder")
      ->check(CLI::ExistingFile);
  command->callback([options] { run(*options); });
}

}  // namespace gossamer::apps
