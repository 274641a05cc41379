#include "bench/peak/peak.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/check.h"
#include "base/cpu_info.h"
#include "base/system_memory.h"

namespace gossamer::peak {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Tasks of a region for each thread: a thread that a neighbour holds up leaves some of its own to the others.
constexpr int64_t kTasksPerThread = 8;

double run_loop(ThreadPool& pool, const Loop& loop, int64_t rounds) {
  const auto start = Clock::now();
  pool.parallel_for(kTasksPerThread * pool.num_threads(), [&](int64_t, int) { loop.run(rounds); });
  return seconds_since(start);
}

// 64 KiB: a stream's length. Long enough for the hardware's prefetchers, short enough that threads finish
// together.
constexpr int64_t kPieceBytes = int64_t{64} << 10;
constexpr int64_t kPiecesPerRegion = 512;
// How far ahead of the sum lines are asked for.
constexpr int64_t kPrefetchBytes = 1024;

uint64_t sum_words(const std::byte* bytes) {
  const auto* words = reinterpret_cast<const uint64_t*>(bytes);
  uint64_t sums[8] = {};
  for (int64_t i = 0; i < kPieceBytes / 8; i += 8) {
    __builtin_prefetch(words + i + kPrefetchBytes / 8);
    for (int64_t j = 0; j < 8; ++j) sums[j] += words[i + j];
  }
  return sums[0] + sums[1] + sums[2] + sums[3] + sums[4] + sums[5] + sums[6] + sums[7];
}

std::size_t buffer_size() {
  constexpr std::size_t kRegion = kPieceBytes * kPiecesPerRegion;
  const long cache = ::sysconf(_SC_LEVEL3_CACHE_SIZE);
  std::size_t size = std::max(std::size_t{512} << 20, std::size_t{4} * static_cast<std::size_t>(std::max(0L, cache)));
  size = std::min(size, read_system_memory().available / 4);
  return std::max(size / kRegion, std::size_t{1}) * kRegion;
}

void append(std::vector<Instruction>& instructions, const std::string& level, LoopList list) {
  for (int64_t i = 0; i < list.count; ++i) instructions.push_back({level, list.loops[i]});
}

}  // namespace

std::string_view operand_name(Operand operand) {
  switch (operand) {
    case Operand::kF32:
      return "f32";
    case Operand::kBf16:
      return "bf16";
    case Operand::kInt8:
      return "int8";
  }
  GOSSAMER_CHECK(false);
}

std::vector<Instruction> available_instructions() {
  std::vector<Instruction> instructions;
  append(instructions, "portable", portable::loops());
  [[maybe_unused]] const CpuFeatures features = detect_cpu_features();
#if defined(__x86_64__)
  if (features.avx2) append(instructions, "avx2", avx2::loops());
  if (features.avx512) append(instructions, "avx512", avx512::loops());
  if (features.amx_bf16) append(instructions, "amx", amx::loops());
#elif defined(__aarch64__)
  if (features.neon) append(instructions, "neon", neon::loops());
#endif
  return instructions;
}

const Instruction* best_instruction(const std::vector<Instruction>& instructions, std::string_view level,
                                    Operand operand) {
  const auto last = std::find_if(instructions.rbegin(), instructions.rend(),
                                 [&](const Instruction& i) { return i.level == level; });
  const auto best = std::find_if(last, instructions.rend(),
                                 [&](const Instruction& i) { return i.loop.operand == operand; });
  if (best != instructions.rend()) return &*best;
  return operand == Operand::kBf16 ? best_instruction(instructions, level, Operand::kF32) : nullptr;
}

double median(std::vector<double> values) {
  GOSSAMER_CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double measure_operations(ThreadPool& pool, const Instruction& instruction, int repeats, double seconds) {
  int64_t rounds = 1000;  // found by doubling, which warms the processor up at the same time
  for (double taken = run_loop(pool, instruction.loop, rounds); taken < seconds / 2;
       taken = run_loop(pool, instruction.loop, rounds)) {
    rounds *= 2;
  }
  const double operations = static_cast<double>(instruction.loop.operations_per_round) *
                            static_cast<double>(rounds * kTasksPerThread * pool.num_threads());
  std::vector<double> rates;
  for (int i = 0; i < repeats; ++i) rates.push_back(operations / run_loop(pool, instruction.loop, rounds));
  return median(std::move(rates));
}

MemoryReader::MemoryReader() : buffer_(Buffer::allocate_host(buffer_size())) {
  std::memset(buffer_.data(), 1, buffer_.size());  // pages of zeros may all be one page
}

double MemoryReader::read_for(ThreadPool& pool, double seconds) {
  const auto num_pieces = static_cast<int64_t>(buffer_.size()) / kPieceBytes;
  const auto* bytes = static_cast<const std::byte*>(buffer_.data());
  std::vector<uint64_t> sums(kPiecesPerRegion);
  int64_t pieces = 0;
  const auto start = Clock::now();
  double taken = 0.0;
  do {
    pool.parallel_for(kPiecesPerRegion, [&](int64_t task, int) {
      sums[static_cast<std::size_t>(task)] = sum_words(bytes + (next_piece_ + task) % num_pieces * kPieceBytes);
    });
    next_piece_ = (next_piece_ + kPiecesPerRegion) % num_pieces;
    pieces += kPiecesPerRegion;
    taken = seconds_since(start);
  } while (taken < seconds);
  for (const uint64_t sum : sums) {  // also keeps the compiler from leaving the reads out
    GOSSAMER_CHECK_EQ(sum, uint64_t{0x0101010101010101} * (kPieceBytes / 8));
  }
  return static_cast<double>(pieces * kPieceBytes) / taken;
}

double MemoryReader::measure(ThreadPool& pool, int repeats, double seconds) {
  std::vector<double> rates;
  for (int i = 0; i < repeats; ++i) rates.push_back(read_for(pool, seconds));
  return median(std::move(rates));
}

}  // namespace gossamer::peak
