// gossamer bench machine: what memory and dot products give here, for each number of threads.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "apps/bench/bench.h"
#include "apps/text_files.h"
#include "base/cpu_info.h"
#include "base/system_memory.h"

namespace gossamer::apps {
namespace {

struct Options {
  std::vector<int64_t> threads;
  std::string json;
};

// Every number of threads on a small machine, powers of two and all cores on a large one.
std::vector<int64_t> default_threads() {
  const int cores = num_physical_cores();
  std::vector<int64_t> threads;
  for (int n = 1; n < cores; n = cores <= 8 ? n + 1 : 2 * n) threads.push_back(n);
  threads.push_back(cores);
  return threads;
}

void print(const std::vector<Ceilings>& all) {
  fmt::print("{:<44}", "threads");
  for (const Ceilings& ceilings : all) fmt::print("{:>10}", ceilings.num_threads);
  fmt::print("\n{:<44}", "memory, read, GB/s");
  for (const Ceilings& ceilings : all) fmt::print("{:>10.1f}", ceilings.read_bytes_per_s * 1e-9);
  for (std::size_t i = 0; i < all.front().rates.size(); ++i) {
    const peak::Instruction& instruction = all.front().rates[i].instruction;
    fmt::print("\n{:<9}{:<5}{:<30}", instruction.level, peak::operand_name(instruction.loop.operand),
               instruction.loop.instruction);
    for (const Ceilings& ceilings : all) fmt::print("{:>10.0f}", ceilings.rates[i].operations_per_s * 1e-9);
  }
  fmt::print("\nDot products in 10^9 operations a second; a multiplication and an addition are two.\n");
}

void run(const Options& options) {
  check_output_path(options.json);
  const std::vector<int64_t> threads = options.threads.empty() ? default_threads() : options.threads;
  peak::MemoryReader memory;
  fmt::print("{}, {} physical cores; reads go through {}\n", cpu_model_name(), num_physical_cores(),
             format_bytes(memory.size_bytes()));
  std::vector<Ceilings> all;
  for (const int64_t n : threads) {
    ThreadPool pool(static_cast<int>(n));
    all.push_back(measure_ceilings(pool, memory));
  }
  print(all);
  if (!options.json.empty()) {
    write_text_file(options.json,
                    json::serialize(json::object{{"machine", describe_machine(all, memory)}}) + "\n");
  }
}

}  // namespace

void add_bench_machine(CLI::App& bench) {
  CLI::App* command = bench.add_subcommand(
      "machine",
      "This machine's own ceilings: memory reads, and f32, bf16 and int8 dot products with the best "
      "instructions of each instruction set that it has. Medians of five runs");
  auto options = std::make_shared<Options>();
  add_list_option(*command, "--threads", options->threads,
                  "Numbers of threads: 1,2. Default: 1 to the physical cores allowed to this process", 1,
                  4096);
  command->add_option("--json", options->json, "Write the figures to this file, too");
  command->callback([options] { run(*options); });
}

}  // namespace gossamer::apps
