// gossamer bench: measurements of this machine (machine.cc), of the kernels (kernels.cc), of a model
// (model.cc), of the engine (engine.cc) and of a server (serve.cc) under many requests, and what they share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/thread_pool.h"
#include "bench/peak/peak.h"
#include "tensor/dtype.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace gossamer::apps {

void add_bench_engine(CLI::App& bench);
void add_bench_kernels(CLI::App& bench);
void add_bench_machine(CLI::App& bench);
void add_bench_model(CLI::App& bench);
void add_bench_serve(CLI::App& bench);

// A list such as 1,4,16 of numbers within [least, most].
CLI::Option* add_list_option(CLI::App& command, const std::string& names, std::vector<int64_t>& values,
                             const std::string& help, int64_t least, int64_t most);

// The ceilings of some number of threads.
struct Ceilings {
  struct Rate {
    peak::Instruction instruction;
    double operations_per_s = 0.0;
  };
  int num_threads = 0;
  double read_bytes_per_s = 0.0;
  std::vector<Rate> rates;  // weakest level first

  // The rate of best_instruction(); nothing when there is none.
  std::optional<double> rate(std::string_view level, peak::Operand operand) const;
};

Ceilings measure_ceilings(ThreadPool& pool, peak::MemoryReader& memory);

// {"cpu", "physical_cores", "memory_bytes", "read_buffer_bytes", "ceilings": [{"threads", ...}]}
json::object describe_machine(const std::vector<Ceilings>& ceilings, const peak::MemoryReader& memory);

// What products with such activations compute with.
peak::Operand operand_of(DType activation);

// "bf16", "f32", "i8".
std::string dtype_label(DType dtype);

}  // namespace gossamer::apps
