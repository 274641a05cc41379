// gossamer bench kernels: products and attention of real shapes, in every format and on every instruction
// set, against the memory bandwidth and the dot-product peak measured in the same run. What differs from the
// reference backend is not timed.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/bench/attention_bench.h"
#include "apps/bench/bench.h"
#include "apps/bench/random_weights.h"
#include "apps/session.h"
#include "apps/text_files.h"
#include "backend/registry.h"
#include "base/cpu_info.h"
#include "base/error.h"
#include "base/half.h"

namespace gossamer::apps {
namespace {

struct Options {
  int num_threads = 0;
  std::vector<std::string> instruction_sets;
  std::vector<int64_t> tokens = {1, 4, 16, 512};
  std::string only;
  std::string json;
};

// What is measured. A new format is a line here.
struct Combination {
  Format format;  // as the backend keeps it
  Format stored;  // as a checkpoint has it
  DType activation;
};
constexpr Combination kCombinations[] = {
    {Format::kF32, Format::kF32, DType::kF32},       {Format::kF16, Format::kF16, DType::kF32},
    {Format::kBf16, Format::kBf16, DType::kF32},     {Format::kBf16, Format::kBf16, DType::kBf16},
    {Format::kMxfp4, Format::kMxfp4, DType::kF32},   {Format::kMxfp4, Format::kMxfp4, DType::kBf16},
    {Format::kMxfp4, Format::kMxfp4, DType::kI8},    {Format::kInt8, Format::kBf16, DType::kBf16},
    {Format::kInt8, Format::kBf16, DType::kI8},      {Format::kInt8Group, Format::kBf16, DType::kBf16},
    {Format::kInt8Group, Format::kBf16, DType::kI8}, {Format::kInt4, Format::kBf16, DType::kBf16},
    {Format::kInt4, Format::kBf16, DType::kI8},
};

// The cache of one sequence, full attention, and what the caches of all formats hold.
constexpr AttentionBench::Shape kAttention = {
    .num_heads = 64, .num_kv_heads = 8, .head_dim = 64, .depth = 8192};
constexpr AttentionBench::Shape kSmallAttention = {
    .num_heads = 6, .num_kv_heads = 2, .head_dim = 40, .depth = 75};
struct CacheFormat {
  DType kv;
  DType activation;
};
constexpr CacheFormat kCacheFormats[] = {{DType::kF32, DType::kF32},
                                         {DType::kBf16, DType::kBf16},
                                         {DType::kF16, DType::kBf16},
                                         {DType::kI8, DType::kBf16}};

// What enters the product: products with int8 activations round them themselves.
DType input_dtype(const Combination& combination) {
  return combination.activation == DType::kI8 ? DType::kBf16 : combination.activation;
}

struct Product {
  const char* name;
  int64_t num_experts = 0;  // 0: a plain product
  int64_t experts_per_token = 0;
  int64_t rows = 0;  // of a plain product; the experts' ffn_dim
  int64_t cols = 0;  // the same; the experts' hidden_dim
};
constexpr Product kProducts[] = {
    {.name = "gpt-oss-20b qkv", .rows = 5120, .cols = 2880},
    {.name = "gpt2-xl c_fc", .rows = 6400, .cols = 1600},
    {.name = "gpt-oss-20b experts", .num_experts = 32, .experts_per_token = 4, .rows = 2880, .cols = 2880},
};
// Odd in every way that a kernel could get wrong: rows that fill no panel, more tokens than a tile.
constexpr Product kSmallProduct = {.name = "small", .rows = 70, .cols = 192};
constexpr Product kSmallExperts = {
    .name = "small", .num_experts = 4, .experts_per_token = 2, .rows = 96, .cols = 64};
constexpr int64_t kSmallTokens[] = {1, 4, 33};
// Sums in f32 differ by 1e-6, an intermediate that bf16 rounds the other way by 1e-3; a wrong number by 1e-1.
constexpr double kLargestError = 1e-2;

constexpr double kSecondsPerCase = 0.3;
constexpr std::size_t kFewestCalls = 3;

// The median seconds of `body(i)`, after one call to warm up.
double median_seconds(const std::function<void(int)>& body) {
  body(0);
  std::vector<double> seconds;
  double total = 0.0;
  for (int i = 1; total < kSecondsPerCase || seconds.size() < kFewestCalls; ++i) {
    const auto start = Clock::now();
    body(i);
    seconds.push_back(seconds_since(start));
    total += seconds.back();
  }
  return peak::median(std::move(seconds));
}

// One product's weights, `copies` times over, with its inputs and outputs on one backend.
class Bench {
 public:
  Bench(Backend& backend, const Product& product, const Combination& combination, std::size_t least_bytes,
        int64_t max_tokens)
      : backend_(backend), product_(product), activation_(input_dtype(combination)) {
    const bool experts = product.num_experts > 0;
    backend.reserve({.max_tokens = max_tokens,
                     .max_sequences = 1,
                     .max_positions = max_tokens,
                     .max_cols = std::max(product.cols, product.rows),
                     .num_experts = product.num_experts,
                     .num_experts_per_token = product.experts_per_token,
                     .hidden_dim = product.cols,
                     .ffn_dim = product.rows,
                     .num_heads = 1,
                     .head_dim = 64});
    std::size_t bytes = 0;
    do {
      const uint64_t index = 2 * weights_.size();
      const auto prepare = [&](int64_t rows, int64_t cols, uint64_t i) {
        const WeightSource source =
            random_.source(combination.stored, std::max<int64_t>(1, product.num_experts), rows, cols, i);
        auto weight = backend.prepare(source, combination.format, combination.activation);
        bytes += weight->size_bytes();
        return weight;
      };
      if (experts) {
        auto gate_up = prepare(2 * product.rows, product.cols, index);
        weights_.emplace_back(std::move(gate_up), prepare(product.cols, product.rows, index + 1));
      } else {
        weights_.emplace_back(prepare(product.rows, product.cols, index), nullptr);
      }
    } while (bytes < least_bytes);
    copy_bytes_ = bytes / weights_.size();

    const int64_t out_cols = experts ? product.cols : product.rows;
    x_ = backend.allocate(static_cast<std::size_t>(max_tokens * product.cols) * dtype_size(activation_));
    out_ = backend.allocate(static_cast<std::size_t>(max_tokens * out_cols) * sizeof(float));
    fill_input(max_tokens * product.cols);
    if (experts) {
      const auto slots = static_cast<std::size_t>(max_tokens * product.experts_per_token);
      chosen_ = backend.allocate(slots * sizeof(int32_t));
      gates_ = backend.allocate(slots * sizeof(float));
      zeros_ = backend.allocate(
          static_cast<std::size_t>(product.num_experts * std::max(2 * product.rows, product.cols)) *
          sizeof(float));
      std::fill_n(static_cast<float*>(gates_.data()), slots, 0.25F);
    }
  }

  // Call number `call` uses other weights, and other experts, than the one before.
  void run(int64_t tokens, int call) {
    const auto& [first, second] = weights_[static_cast<std::size_t>(call) % weights_.size()];
    const Tensor x = x_.view(activation_, {tokens, product_.cols});
    if (product_.num_experts == 0) {
      backend_.linear(x, *first, {}, out_.view(DType::kF32, {tokens, product_.rows}));
      return;
    }
    choose_experts(tokens, call);
    const MoeParams params{
        .num_experts_per_token = static_cast<int>(product_.experts_per_token),
        .gate_up = first.get(),
        .gate_up_bias = zeros_.view(DType::kF32, {product_.num_experts, 2 * product_.rows}),
        .down = second.get(),
        .down_bias = zeros_.view(DType::kF32, {product_.num_experts, product_.cols})};
    backend_.moe_add(x, chosen_.view(DType::kI32, {tokens, product_.experts_per_token}),
                     gates_.view(DType::kF32, {tokens, product_.experts_per_token}), params,
                     out_.view(DType::kF32, {tokens, product_.cols}));
  }

  // What `tokens` tokens give with the first weights. Experts add to zero.
  std::vector<float> result(int64_t tokens) {
    std::memset(out_.data(), 0, out_.size());
    run(tokens, 0);
    const auto* numbers = static_cast<const float*>(out_.data());
    const int64_t cols = product_.num_experts > 0 ? product_.cols : product_.rows;
    return {numbers, numbers + tokens * cols};
  }

  // Bytes of weights that such a call reads, and its operations.
  double bytes(int64_t tokens) {
    if (product_.num_experts == 0) return static_cast<double>(copy_bytes_);
    choose_experts(tokens, 0);
    const auto* chosen = static_cast<const int32_t*>(chosen_.data());
    std::vector<int32_t> experts(chosen, chosen + tokens * product_.experts_per_token);
    std::sort(experts.begin(), experts.end());
    const auto touched = std::unique(experts.begin(), experts.end()) - experts.begin();
    return static_cast<double>(copy_bytes_) * static_cast<double>(touched) /
           static_cast<double>(product_.num_experts);
  }
  double operations(int64_t tokens) const {
    const int64_t matrices = product_.num_experts == 0 ? 1 : 3 * product_.experts_per_token;
    return 2.0 * static_cast<double>(tokens * product_.rows * product_.cols * matrices);
  }

 private:
  void fill_input(int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      const uint64_t bits = synth_mix(static_cast<uint64_t>(i));
      const float number = static_cast<float>(bits >> 40) * 0x1p-23F - 1.0F;  // [-1, 1)
      store_number(activation_, number,
                   static_cast<std::byte*>(x_.data()) + i * static_cast<int64_t>(dtype_size(activation_)));
    }
  }

  // Each token takes experts_per_token different ones in a row.
  void choose_experts(int64_t tokens, int call) {
    auto* chosen = static_cast<int32_t*>(chosen_.data());
    for (int64_t token = 0; token < tokens; ++token) {
      const auto first = static_cast<int64_t>(synth_mix(static_cast<uint64_t>(call * 1000 + token)) >> 32);
      for (int64_t i = 0; i < product_.experts_per_token; ++i) {
        *chosen++ = static_cast<int32_t>((first + i) % product_.num_experts);
      }
    }
  }

  Backend& backend_;
  Product product_;
  DType activation_;
  RandomWeights random_;
  std::vector<std::pair<std::unique_ptr<Weight>, std::unique_ptr<Weight>>> weights_;
  std::size_t copy_bytes_ = 0;
  Buffer x_;
  Buffer out_;
  Buffer chosen_;
  Buffer gates_;
  Buffer zeros_;
};

// Throws Error naming `what` unless found is near what the reference backend gave.
void check_close(const std::vector<float>& expected, const std::vector<float>& found,
                 const std::string& what) {
  double difference = 0.0;
  double norm = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    difference += std::pow(double{found[i]} - double{expected[i]}, 2);
    norm += std::pow(double{expected[i]}, 2);
  }
  const double error = std::sqrt(difference / norm);
  if (!(norm > 0.0 && error <= kLargestError)) {
    throw Error(
        "{}: expected the reference's result within {} of its norm, found a difference of {}; please report "
        "this",
        what, kLargestError, error);
  }
}

// Throws Error when the kernels of `level` compute something else than the reference backend.
void check_against_reference(const std::string& level, int num_threads, bool experts,
                             const Combination& combination) {
  const Product& product = experts ? kSmallExperts : kSmallProduct;
  const int64_t max_tokens = *std::max_element(std::begin(kSmallTokens), std::end(kSmallTokens));
  const auto backend = create_backend({.name = "cpu", .num_threads = num_threads, .instruction_set = level});
  const auto reference = create_backend({.name = "reference"});
  Bench tested(*backend, product, combination, 0, max_tokens);
  Bench wanted(*reference, product, combination, 0, max_tokens);
  for (const int64_t tokens : kSmallTokens) {
    check_close(wanted.result(tokens), tested.result(tokens),
                fmt::format("{}: {}{} with {} and {} activations", level,
                            experts ? "experts in " : "product in ", format_info(combination.format).name,
                            count_tokens(tokens), dtype_label(combination.activation)));
  }
}
void check_attention(const std::string& level, int num_threads, const CacheFormat& cache) {
  const int64_t max_tokens = *std::max_element(std::begin(kSmallTokens), std::end(kSmallTokens));
  const auto backend = create_backend({.name = "cpu", .num_threads = num_threads, .instruction_set = level});
  const auto reference = create_backend({.name = "reference"});
  AttentionBench tested(*backend, kSmallAttention, cache.kv, cache.activation, 0, max_tokens);
  AttentionBench wanted(*reference, kSmallAttention, cache.kv, cache.activation, 0, max_tokens);
  for (const int64_t tokens : kSmallTokens) {
    check_close(wanted.result(tokens), tested.result(tokens),
                fmt::format("{}: attention over {} with {} and {} activations", level, dtype_label(cache.kv),
                            count_tokens(tokens), dtype_label(cache.activation)));
  }
}

class Laboratory {
 public:
  explicit Laboratory(const Options& options)
      : options_(options),
        num_threads_(threads_or_default(options.num_threads)),
        pool_(num_threads_),
        ceilings_(measure_ceilings(pool_, memory_)) {
    fmt::print("{}, {} threads: reads {:.1f} GB/s\n", cpu_model_name(), num_threads_,
               ceilings_.read_bytes_per_s * 1e-9);
    fmt::print("{:<9}{:<34}{:>7}{:>10}{:>9}{:>11}{:>10}{:>9}\n", "level", "product, weights x activations",
               "tokens", "ms", "GB/s", "of memory", "GOP/s", "of peak");
  }

  void run(const std::string& level, const Product& product, const Combination& combination) {
    const std::string name = fmt::format("{}, {} x {}", product.name, format_info(combination.format).name,
                                         dtype_label(combination.activation));
    if (name.find(options_.only) == std::string::npos) return;
    check_against_reference(level, num_threads_, product.num_experts > 0, combination);
    const auto backend =
        create_backend({.name = "cpu", .num_threads = num_threads_, .instruction_set = level});
    Bench bench(*backend, product, combination, memory_.size_bytes(),
                *std::max_element(options_.tokens.begin(), options_.tokens.end()));
    for (const int64_t tokens : options_.tokens) {
      const double before = memory_.measure(pool_, 1);
      const double seconds = median_seconds([&](int call) { bench.run(tokens, call); });
      const double bandwidth = (before + memory_.measure(pool_, 1)) / 2;
      report(level, name, format_info(combination.format).name, combination.activation, tokens, seconds,
             bench.bytes(tokens), bandwidth, bench.operations(tokens));
    }
  }

  void run(const std::string& level, const CacheFormat& cache) {
    const std::string name = fmt::format("attention over {}, {} x {}", kAttention.depth,
                                         dtype_label(cache.kv), dtype_label(cache.activation));
    if (name.find(options_.only) == std::string::npos) return;
    check_attention(level, num_threads_, cache);
    const auto backend =
        create_backend({.name = "cpu", .num_threads = num_threads_, .instruction_set = level});
    const int64_t most = *std::max_element(options_.tokens.begin(), options_.tokens.end());
    AttentionBench bench(*backend, kAttention, cache.kv, cache.activation, memory_.size_bytes(),
                         std::min(most, kAttention.depth));
    for (const int64_t tokens : options_.tokens) {
      if (tokens > kAttention.depth) continue;
      const double before = memory_.measure(pool_, 1);
      const double seconds = median_seconds([&](int call) { bench.run(tokens, call); });
      const double bandwidth = (before + memory_.measure(pool_, 1)) / 2;
      report(level, name, dtype_label(cache.kv), cache.activation, tokens, seconds, bench.bytes(), bandwidth,
             bench.operations(tokens));
    }
  }

  json::object results() {
    return {{"machine", describe_machine({ceilings_}, memory_)}, {"results", std::move(results_)}};
  }

 private:
  void report(const std::string& level, const std::string& name, std::string_view format, DType activation,
              int64_t tokens, double seconds, double bytes, double bandwidth, double operations) {
    const peak::Operand operand = operand_of(activation);
    const double of_memory = bytes / seconds / bandwidth;
    const double of_peak = operations / seconds / ceilings_.rate(level, operand).value();
    fmt::print("{:<9}{:<34}{:>7}{:>10.3f}{:>9.1f}{:>10.0f}%{:>10.0f}{:>8.0f}%\n", level, name, tokens,
               seconds * 1e3, bytes / seconds * 1e-9, 100 * of_memory, operations / seconds * 1e-9,
               100 * of_peak);
    std::fflush(stdout);
    results_.push_back({{"level", level},
                        {"product", name},
                        {"format", format},
                        {"activation", dtype_label(activation)},
                        {"tokens", tokens},
                        {"seconds", seconds},
                        {"bytes", bytes},
                        {"operations", operations},
                        {"memory_read_bytes_per_s", bandwidth},
                        {"share_of_memory", of_memory},
                        {"share_of_dot_product", of_peak}});
  }

  const Options& options_;
  int num_threads_;
  ThreadPool pool_;
  peak::MemoryReader memory_;
  Ceilings ceilings_;
  json::array results_;
};

void run(const Options& options) {
  check_output_path(options.json);
  const std::vector<std::string> available = instruction_sets();
  for (const std::string& level : options.instruction_sets) {
    if (std::find(available.begin(), available.end(), level) == available.end()) {
      throw Error("--instruction-sets: expected some of {}, which this processor has, found {}",
                  fmt::join(available, ", "), level);
    }
  }
  Laboratory laboratory(options);
  for (const std::string& level : options.instruction_sets.empty() ? available : options.instruction_sets) {
    for (const Product& product : kProducts) {
      for (const Combination& combination : kCombinations) laboratory.run(level, product, combination);
    }
    for (const CacheFormat& cache : kCacheFormats) laboratory.run(level, cache);
  }
  if (!options.json.empty()) write_text_file(options.json, json::serialize(laboratory.results()) + "\n");
}

}  // namespace

void add_bench_kernels(CLI::App& bench) {
  CLI::App* command = bench.add_subcommand(
      "kernels",
      "Products and attention of real shapes, in every format and on every instruction set, against the "
      "memory "
      "bandwidth and the dot-product peak measured in the same run. Each kernel is compared with the "
      "reference "
      "backend first and refused when it is wrong. Weights rotate through more memory than the caches hold");
  auto options = std::make_shared<Options>();
  command
      ->add_option("--threads", options->num_threads,
                   "Threads to compute with. Default: the physical cores allowed to this process")
      ->check(CLI::Range(1, 4096));
  command
      ->add_option("--instruction-sets", options->instruction_sets,
                   "Only these: portable,avx2,avx512,amx,neon. Default: all that the processor has")
      ->delimiter(',')
      ->allow_extra_args(false);
  add_list_option(*command, "--tokens", options->tokens, "Numbers of tokens in one product", 1, 1 << 16)
      ->capture_default_str();
  command->add_option("--only", options->only,
                      "Only products whose name, as the table shows it, contains this: mxfp4, qkv, x bf16");
  command->add_option("--json", options->json, "Write the figures to this file, too");
  command->callback([options] { run(*options); });
}

}  // namespace gossamer::apps
