#include "apps/bench/bench.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>

#include "apps/commands.h"
#include "base/cpu_info.h"
#include "base/error.h"
#include "base/system_memory.h"

namespace gossamer::apps {

CLI::Option* add_list_option(CLI::App& command, const std::string& names, std::vector<int64_t>& values,
                             const std::string& help, int64_t least, int64_t most) {
  return command.add_option(names, values, help)
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::Range(least, most));
}

std::optional<double> Ceilings::rate(std::string_view level, peak::Operand operand) const {
  std::vector<peak::Instruction> instructions;
  for (const Rate& rate : rates) instructions.push_back(rate.instruction);
  const peak::Instruction* best = peak::best_instruction(instructions, level, operand);
  if (best == nullptr) return std::nullopt;
  return rates[static_cast<std::size_t>(best - instructions.data())].operations_per_s;
}

Ceilings measure_ceilings(ThreadPool& pool, peak::MemoryReader& memory) {
  Ceilings ceilings{.num_threads = pool.num_threads(), .read_bytes_per_s = memory.measure(pool), .rates = {}};
  for (const peak::Instruction& instruction : peak::available_instructions()) {
    ceilings.rates.push_back({instruction, peak::measure_operations(pool, instruction)});
  }
  return ceilings;
}

json::object describe_machine(const std::vector<Ceilings>& ceilings, const peak::MemoryReader& memory) {
  json::array by_threads;
  for (const Ceilings& of_threads : ceilings) {
    json::array rates;
    for (const Ceilings::Rate& rate : of_threads.rates) {
      rates.push_back({{"level", rate.instruction.level},
                       {"instruction", rate.instruction.loop.instruction},
                       {"operand", peak::operand_name(rate.instruction.loop.operand)},
                       {"operations_per_s", rate.operations_per_s}});
    }
    by_threads.push_back({{"threads", of_threads.num_threads},
                          {"memory_read_bytes_per_s", of_threads.read_bytes_per_s},
                          {"dot_products", std::move(rates)}});
  }
  return {{"cpu", cpu_model_name()},
          {"physical_cores", num_physical_cores()},
          {"memory_bytes", read_system_memory().total},
          {"read_buffer_bytes", memory.size_bytes()},
          {"ceilings", std::move(by_threads)}};
}

peak::Operand operand_of(DType activation) {
  if (activation == DType::kI8) return peak::Operand::kInt8;
  return activation == DType::kBf16 ? peak::Operand::kBf16 : peak::Operand::kF32;
}

std::string dtype_label(DType dtype) {
  std::string label(dtype_name(dtype));
  std::transform(label.begin(), label.end(), label.begin(), [](unsigned char c) { return std::tolower(c); });
  return label;
}

void add_bench(CLI::App& program) {
  CLI::App* command = program.add_subcommand(
      "bench",
      "Measure this machine's ceilings, the kernels or a model against them, or the engine or a server under "
      "many requests. Machines that are shared change from minute to minute: take ratios within one run, not "
      "absolute numbers");
  command->require_subcommand(1);
  add_bench_machine(*command);
  add_bench_kernels(*command);
  add_bench_model(*command);
  add_bench_engine(*command);
  add_bench_serve(*command);
}

}  // namespace gossamer::apps
