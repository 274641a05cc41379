// This machine's own ceilings: what its memory gives to readers and what each instruction set computes on
// registers. Called by `gossamer bench`, which holds everything else against them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"
#include "bench/peak/loops.h"
#include "tensor/tensor.h"

namespace gossamer::peak {

// "f32", "bf16", "int8".
std::string_view operand_name(Operand operand);

// A loop that this processor can run.
struct Instruction {
  std::string level;  // "portable", "avx2", "avx512", "amx", "neon", as kernels are chosen
  Loop loop{};
};

// Weakest level first.
std::vector<Instruction> available_instructions();

// The best for this operand that a kernel of `level` may use: of the level itself or of a weaker one (AMX has
// no f32 product), with f32 standing in for bf16 where there is nothing for bf16. nullptr when there is none.
const Instruction* best_instruction(const std::vector<Instruction>& instructions, std::string_view level,
                                    Operand operand);

// The median of several.
double median(std::vector<double> values);

// Operations per second of all threads of the pool together: the median of `repeats` runs of about `seconds`.
double measure_operations(ThreadPool& pool, const Instruction& instruction, int repeats = 5,
                          double seconds = 0.04);

// Reads a buffer well beyond the caches from front to back, all threads at once.
class MemoryReader {
 public:
  // Takes twice the last cache, between 512 MiB and 2 GiB, but no more than a quarter of the memory that is
  // available.
  MemoryReader();

  std::size_t size_bytes() const { return buffer_.size(); }

  // Bytes per second: the median of `repeats` runs of about `seconds`.
  double measure(ThreadPool& pool, int repeats = 5, double seconds = 0.08);

 private:
  double read_for(ThreadPool& pool, double seconds);

  Buffer buffer_;
  uint64_t (*sum_words_)(const void* bytes, int64_t size) = nullptr;  // of the best level
  int64_t next_piece_ = 0;  // goes on where the last run stopped, or the caches would hold what comes next
};

}  // namespace gossamer::peak
