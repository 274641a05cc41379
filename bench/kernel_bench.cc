// The kernel laboratory: products of GPT-OSS-20B's shapes on every instruction set of this machine, against
// the memory bandwidth and the arithmetic peak measured in the same run.
//   kernel_bench [--threads=N] [--levels=avx512,amx] [--tokens=1,16,512] [--only=mxfp4]
// Weights rotate through more memory than the caches hold, as in a forward pass. Take ratios, not absolute
// numbers, from shared machines. Correctness is tests/backend's.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/levels.h"
#include "base/cpu_info.h"
#include "base/thread_pool.h"
#include "bench/peak.h"

namespace gossamer {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kRotatedBytes = std::size_t{1200} << 20;
constexpr double kSecondsPerCase = 0.4;

// Seconds of the fastest tenth of the calls of `body(i)`, after one to warm up: what the machine can do when
// the neighbours are quiet for a moment.
double best_seconds(const std::function<void(int)>& body) {
  body(0);
  std::vector<double> seconds;
  double total = 0.0;
  for (int i = 1; total < kSecondsPerCase || seconds.size() < 5; ++i) {
    const auto start = Clock::now();
    body(i);
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    total += seconds.back();
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 10];
}

// As a product reads: a few dozen megabytes per region, rotating through more than the caches hold.
double read_bandwidth(ThreadPool& pool) {
  const Buffer buffer = Buffer::allocate_host(kRotatedBytes);
  constexpr int64_t kPiece = int64_t{256} << 10;
  constexpr int64_t kPiecesPerRegion = 128;
  constexpr auto kRegions = static_cast<int64_t>(kRotatedBytes) / (kPiece * kPiecesPerRegion);
  auto* bytes = static_cast<std::byte*>(buffer.data());
  std::memset(bytes, 1, kRotatedBytes);
  std::vector<uint64_t> sums(kPiecesPerRegion);
  const double seconds = best_seconds([&](int call) {
    pool.parallel_for(kPiecesPerRegion, [&](int64_t i, int) {
      const auto* words =
          reinterpret_cast<const uint64_t*>(bytes + (call % kRegions * kPiecesPerRegion + i) * kPiece);
      uint64_t sum[8] = {};
      for (int64_t w = 0; w < kPiece / 8; w += 8) {
        __builtin_prefetch(words + w + 1024 / 8);
        for (int64_t j = 0; j < 8; ++j) sum[j] += words[w + j];
      }
      sums[static_cast<std::size_t>(i)] =
          sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
    });
  });
  return static_cast<double>(kPiece * kPiecesPerRegion) / seconds;
}

struct Case {
  std::string name;
  Format format;
  int64_t num_experts;  // 1: a plain product
  int64_t rows;
  int64_t cols;
};

// Random bytes, decent enough as numbers: bf16 and f32 with small exponents.
std::unique_ptr<Weight> random_weight(Backend& backend, const Case& c, uint64_t seed) {
  const auto count = static_cast<std::size_t>(c.num_experts * c.rows * c.cols);
  std::vector<uint8_t> codes(c.format == Format::kMxfp4 ? count / 2
                                                        : count * (c.format == Format::kF32 ? 4 : 2));
  uint64_t state = seed * 2 + 1;
  for (std::size_t i = 0; i + 8 <= codes.size(); i += 8) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    uint64_t word = state ^ (state >> 29);
    if (c.format == Format::kBf16) word = (word & 0x807f807f807f807fULL) | 0x3c803c803c803c80ULL;
    if (c.format == Format::kF32) word = (word & 0x807fffff807fffffULL) | 0x3c8000003c800000ULL;
    std::memcpy(codes.data() + i, &word, 8);
  }
  const std::vector<uint8_t> scales(c.format == Format::kMxfp4 ? count / 32 : 0, 120);
  WeightSource source{.name = c.name,
                      .format = c.format,
                      .num_experts = c.num_experts,
                      .rows = c.rows,
                      .cols = c.cols,
                      .row_order = {},
                      .parts = {},
                      .release = {}};
  WeightPart part{.rows = c.rows, .codes = {}, .scales = {}};
  if (c.format == Format::kMxfp4) {
    part.codes = {codes.data(), DType::kU8, Shape{c.num_experts, c.rows, c.cols / 32, 16}};
    part.scales = {scales.data(), DType::kU8, Shape{c.num_experts, c.rows, c.cols / 32}};
  } else {
    part.codes = {codes.data(), c.format == Format::kF32 ? DType::kF32 : DType::kBf16,
                  Shape{c.num_experts, c.rows, c.cols}};
  }
  source.parts.push_back(part);
  return backend.prepare(source, c.format, DType::kBf16);
}

class Laboratory {
 public:
  Laboratory(int num_threads, std::vector<int64_t> tokens, std::string only)
      : num_threads_(num_threads), tokens_(std::move(tokens)), only_(std::move(only)), pool_(num_threads) {
    bandwidth_ = read_bandwidth(pool_);
    peaks_ = measure_peaks(pool_);
    fmt::print("{}, {} threads: reads {:.1f} GB/s", cpu_model_name(), num_threads, bandwidth_ * 1e-9);
    for (const Peak& peak : peaks_) fmt::print(", {} {:.0f} GFLOP/s", peak.name, peak.flops * 1e-9);
    fmt::print("\n{:<9} {:<28} {:>6} {:>9} {:>8} {:>6} {:>9} {:>6}\n", "level", "product", "tokens", "ms",
               "GB/s", "of bw", "GFLOP/s", "of peak");
  }

  void run(const std::string& level, const Case& c, DType activation) {
    if (c.name.find(only_) == std::string::npos) return;
    const auto backend = create_cpu_backend(num_threads_, level);
    backend->reserve({.max_tokens = 512,
                      .max_sequences = 1,
                      .max_positions = 512,
                      .max_cols = c.cols,
                      .num_experts = c.num_experts,
                      .num_experts_per_token = 4,
                      .hidden_dim = 2880,
                      .ffn_dim = 2880,
                      .num_heads = 64,
                      .head_dim = 64});
    std::vector<std::unique_ptr<Weight>> weights;
    std::size_t bytes = 0;
    while (bytes < kRotatedBytes) {
      weights.push_back(random_weight(*backend, c, weights.size()));
      bytes += weights.back()->size_bytes();
    }
    const Buffer x = backend->allocate(static_cast<std::size_t>(512 * c.cols) * 4);
    auto* numbers = static_cast<uint8_t*>(x.data());
    for (std::size_t i = 0; i < x.size(); ++i) numbers[i] = i % 2 == 1 ? 0x3c : static_cast<uint8_t>(i * 7);
    const Buffer out = backend->allocate(static_cast<std::size_t>(512 * c.rows) * 4);
    for (const int64_t tokens : tokens_) {
      const double seconds = best_seconds([&](int i) {
        backend->linear(x.view(activation, {tokens, c.cols}),
                        *weights[static_cast<std::size_t>(i) % weights.size()], {},
                        out.view(DType::kF32, {tokens, c.rows}));
      });
      report(level, c.name, activation, tokens, seconds, static_cast<double>(weights[0]->size_bytes()),
             2.0 * static_cast<double>(tokens * c.rows * c.cols));
    }
  }

  // The expert feed-forward: tokens choose 4 of 32 experts.
  void run_experts(const std::string& level, int64_t hidden, int64_t ffn) {
    if (std::string("experts").find(only_) == std::string::npos) return;
    const auto backend = create_cpu_backend(num_threads_, level);
    backend->reserve({.max_tokens = 512,
                      .max_sequences = 1,
                      .max_positions = 512,
                      .max_cols = hidden,
                      .num_experts = 32,
                      .num_experts_per_token = 4,
                      .hidden_dim = hidden,
                      .ffn_dim = ffn,
                      .num_heads = 64,
                      .head_dim = 64});
    std::vector<std::pair<std::unique_ptr<Weight>, std::unique_ptr<Weight>>> layers;
    for (uint64_t i = 0; i < 3; ++i) {
      layers.emplace_back(random_weight(*backend, {"gate_up", Format::kMxfp4, 32, 2 * ffn, hidden}, 2 * i),
                          random_weight(*backend, {"down", Format::kMxfp4, 32, hidden, ffn}, 2 * i + 1));
    }
    const Buffer zeros = backend->allocate(static_cast<std::size_t>(512 * 32 * (2 * ffn + hidden)) * 4);
    const Buffer x = backend->allocate(static_cast<std::size_t>(512 * hidden) * 2);
    std::memset(x.data(), 0x3c, x.size());
    const Buffer experts = backend->allocate(512 * 4 * 4);
    const Buffer gates = backend->allocate(512 * 4 * 4);
    const Buffer out = backend->allocate(static_cast<std::size_t>(512 * hidden) * 4);
    for (const int64_t tokens : tokens_) {
      std::vector<bool> used(32);
      const auto choose = [&](int step) {
        std::fill(used.begin(), used.end(), false);
        for (int64_t slot = 0; slot < tokens * 4; ++slot) {
          const int64_t expert = (slot * 9 + step * 4 + slot / 4 * 5) % 32;
          static_cast<int32_t*>(experts.data())[slot] = static_cast<int32_t>(expert);
          used[static_cast<std::size_t>(expert)] = true;
        }
      };
      const double seconds = best_seconds([&](int i) {
        choose(i / 3);
        const auto& [gate_up, down] = layers[static_cast<std::size_t>(i) % layers.size()];
        const MoeParams params{.num_experts_per_token = 4,
                               .gate_up = gate_up.get(),
                               .gate_up_bias = zeros.view(DType::kF32, {32, 2 * ffn}),
                               .down = down.get(),
                               .down_bias = zeros.view(DType::kF32, {32, hidden})};
        backend->moe_add(x.view(DType::kBf16, {tokens, hidden}), experts.view(DType::kI32, {tokens, 4}),
                         gates.view(DType::kF32, {tokens, 4}), params,
                         out.view(DType::kF32, {tokens, hidden}));
      });
      const auto active = static_cast<double>(std::count(used.begin(), used.end(), true));
      const auto bytes =
          static_cast<double>(layers[0].first->size_bytes() + layers[0].second->size_bytes()) / 32;
      report(level, "experts mxfp4, 4 of 32", DType::kBf16, tokens, seconds, active * bytes,
             2.0 * static_cast<double>(tokens * 4 * 3 * ffn * hidden));
    }
  }

 private:
  void report(const std::string& level, const std::string& name, DType activation, int64_t tokens,
              double seconds, double bytes, double flops) const {
    double peak = 0.0;  // of the instruction that this level can use for these activations
    for (const Peak& p : peaks_) {
      if (p.level == level && (activation == DType::kBf16 || !p.bf16)) peak = p.flops;
    }
    fmt::print("{:<9} {:<28} {:>6} {:>9.3f} {:>8.1f} {:>5.0f}% {:>9.0f} {:>5.0f}%\n", level,
               name + " x " + (activation == DType::kBf16 ? "bf16" : "f32"), tokens, seconds * 1e3,
               bytes / seconds * 1e-9, 100 * bytes / seconds / bandwidth_, flops / seconds * 1e-9,
               peak > 0 ? 100 * flops / seconds / peak : 0.0);
    std::fflush(stdout);
  }

  int num_threads_;
  std::vector<int64_t> tokens_;
  std::string only_;
  ThreadPool pool_;
  double bandwidth_ = 0.0;
  std::vector<Peak> peaks_;
};

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream list(text);
  for (std::string part; std::getline(list, part, ',');) parts.push_back(part);
  return parts;
}

int run(int argc, char** argv) {
  int num_threads = num_physical_cores();
  std::vector<std::string> levels = cpu::available_levels();
  std::vector<int64_t> tokens = {1, 16, 512};
  std::string only;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const std::string value = argument.substr(argument.find('=') + 1);
    if (argument.rfind("--threads=", 0) == 0) {
      num_threads = std::stoi(value);
    } else if (argument.rfind("--levels=", 0) == 0) {
      levels = split(value);
    } else if (argument.rfind("--only=", 0) == 0) {
      only = value;
    } else if (argument.rfind("--tokens=", 0) == 0) {
      tokens.clear();
      for (const std::string& n : split(value)) tokens.push_back(std::min(512, std::max(1, std::stoi(n))));
    } else {
      fmt::print(
          stderr,
          "usage: kernel_bench [--threads=N] [--levels=avx512,amx] [--tokens=1,16,512] [--only=mxfp4]\n");
      return 2;
    }
  }
  Laboratory laboratory(num_threads, tokens, only);
  for (const std::string& level : levels) {
    laboratory.run(level, {"[5120, 2880] bf16", Format::kBf16, 1, 5120, 2880}, DType::kBf16);
    laboratory.run(level, {"[5120, 2880] bf16", Format::kBf16, 1, 5120, 2880}, DType::kF32);
    laboratory.run(level, {"[5760, 2880] mxfp4", Format::kMxfp4, 1, 5760, 2880}, DType::kBf16);
    laboratory.run(level, {"[6400, 1600] f32", Format::kF32, 1, 6400, 1600}, DType::kF32);
    laboratory.run_experts(level, 2880, 2880);
  }
  return 0;
}

}  // namespace
}  // namespace gossamer

int main(int argc, char** argv) { return gossamer::run(argc, argv); }
