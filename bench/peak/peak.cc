#include "bench/peak/peak.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <numeric>

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

// A stream's length: long enough for the hardware's prefetchers, short enough that threads finish together.
constexpr int64_t kPieceBytes = int64_t{256} << 10;
constexpr int64_t kPiecesPerThread = 64;  // in a region

// The sum of a piece's words, which count up through the buffer.
uint64_t piece_sum(int64_t piece) {
  constexpr uint64_t kWords = kPieceBytes / sizeof(uint64_t);
  const uint64_t first = static_cast<uint64_t>(piece) * kWords;
  return kWords / 2 * (2 * first + kWords - 1);
}

// Twice the last cache, since reading in order leaves nothing in a cache that is smaller than the buffer.
std::size_t buffer_size() {
  const auto cache = static_cast<std::size_t>(std::max(0L, ::sysconf(_SC_LEVEL3_CACHE_SIZE)));
  const std::size_t wanted = std::clamp(2 * cache, std::size_t{512} << 20, std::size_t{2} << 30);
  const std::size_t size = std::min(wanted, read_system_memory().available / 4);
  return std::max(size / kPieceBytes, std::size_t{1}) * kPieceBytes;
}

struct Level {
  std::string name;
  LoopList list;
};

// Those of this processor, weakest first.
std::vector<Level> available_levels() {
  std::vector<Level> levels = {{"portable", portable::loops()}};
  [[maybe_unused]] const CpuFeatures features = detect_cpu_features();
#if defined(__x86_64__)
  if (features.avx2) levels.push_back({"avx2", avx2::loops()});
  if (features.avx512) levels.push_back({"avx512", avx512::loops()});
  if (features.amx_bf16) levels.push_back({"amx", amx::loops()});
#elif defined(__aarch64__)
  if (features.neon) levels.push_back({"neon", neon::loops()});
#endif
  return levels;
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
  for (const Level& level : available_levels()) {
    for (int64_t i = 0; i < level.list.count; ++i) instructions.push_back({level.name, level.list.loops[i]});
  }
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
  // No two pages alike: a system may keep only one of those that are.
  auto* words = static_cast<uint64_t*>(buffer_.data());
  std::iota(words, words + buffer_.size() / sizeof(uint64_t), uint64_t{0});
  for (const Level& level : available_levels()) {
    if (level.list.sum_words != nullptr) sum_words_ = level.list.sum_words;
  }
}

double MemoryReader::read_for(ThreadPool& pool, double seconds) {
  const auto num_pieces = static_cast<int64_t>(buffer_.size()) / kPieceBytes;
  const int64_t pieces_per_region = std::min(num_pieces, kPiecesPerThread * pool.num_threads());
  const auto* bytes = static_cast<const std::byte*>(buffer_.data());
  std::vector<uint64_t> sums(static_cast<std::size_t>(pieces_per_region));
  int64_t pieces = 0;
  const auto start = Clock::now();
  double taken = 0.0;
  do {
    pool.parallel_for(pieces_per_region, [&](int64_t task, int) {
      sums[static_cast<std::size_t>(task)] =
          sum_words_(bytes + (next_piece_ + task) % num_pieces * kPieceBytes, kPieceBytes);
    });
    next_piece_ = (next_piece_ + pieces_per_region) % num_pieces;
    pieces += pieces_per_region;
    taken = seconds_since(start);
  } while (taken < seconds);
  // Also keeps the compiler from leaving the reads out.
  const int64_t first = next_piece_ - pieces_per_region;
  for (int64_t task = 0; task < pieces_per_region; ++task) {
    GOSSAMER_CHECK_EQ(sums[static_cast<std::size_t>(task)],
                      piece_sum((first + task + num_pieces) % num_pieces));
  }
  return static_cast<double>(pieces * kPieceBytes) / taken;
}

double MemoryReader::measure(ThreadPool& pool, int repeats, double seconds) {
  std::vector<double> rates;
  for (int i = 0; i < repeats; ++i) rates.push_back(read_for(pool, seconds));
  return median(std::move(rates));
}

}  // namespace gossamer::peak
