// What choosing a token costs beside the step that gives its logits: one row of 201,088, one thread.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/logprobs.h"
#include "engine/sampler.h"

namespace gossamer {
namespace {

constexpr int64_t kVocab = 201088;

// `num_peaks` tokens stand out from a bulk whose largest is about 4.5 spreads above 0. A language model's row
// has a spread of 2 to 3, its largest 15 to 20 above the bulk's middle, and nothing 50 below the largest.
std::vector<float> row(float spread, float peak, int num_peaks) {
  std::mt19937 generator(1);
  std::normal_distribution<float> normal(0.0F, spread);
  std::vector<float> logits(kVocab);
  for (float& logit : logits) logit = normal(generator);
  for (int i = 0; i < num_peaks; ++i) logits[generator() % kVocab] = peak - 0.3F * static_cast<float>(i);
  return logits;
}

void sample(benchmark::State& state, const std::vector<float>& logits, const SamplingParams& params,
            const std::vector<uint64_t>& mask = {}) {
  Sampler sampler(kVocab, kVocab);
  std::vector<int32_t> prompt(2000);
  for (std::size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<int32_t>(i * i % 3001 * 67);
  uint64_t index = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(sampler
                                 .sample({.logits = logits,
                                          .params = params,
                                          .seed = 1,
                                          .index = index++,
                                          .prompt = prompt,
                                          .output = std::span(prompt).first(500),
                                          .mask = mask})
                                 .ok());
  }
}

void logprobs(benchmark::State& state, const std::vector<float>& logits, int num_top) {
  for (auto _ : state) benchmark::DoNotOptimize(compute_logprobs(logits, 17, num_top));
}

}  // namespace
}  // namespace gossamer

int main(int argc, char** argv) {
  using namespace gossamer;
  const std::vector<float> peaked = row(2.5F, 20.0F, 30);
  const std::vector<float> flat = row(1.0F, 0.0F, 0);
  const std::vector<std::pair<std::string, std::vector<float>>> rows = {{"peaked", peaked}, {"flat", flat}};
  std::vector<uint64_t> few(kVocab / 64, 0);
  for (std::size_t i = 0; i < few.size(); i += 40) few[i] = 5;
  std::vector<uint64_t> most(kVocab / 64, ~uint64_t{0} << 1);

  const auto add = [](const std::string& name, auto function) {
    benchmark::RegisterBenchmark(name.c_str(), function)->Unit(benchmark::kMicrosecond);
  };
  for (const auto& entry : rows) {
    const std::vector<float>& logits = entry.second;
    const auto add_sample = [&](const std::string& name, const SamplingParams& params,
                                const std::vector<uint64_t>& mask = {}) {
      add(name + "/" + entry.first,
          [&logits, params, mask](benchmark::State& state) { sample(state, logits, params, mask); });
    };
    add_sample("greedy", {.temperature = 0.0F});
    add_sample("greedy_few_allowed", {.temperature = 0.0F}, few);
    add_sample("greedy_most_allowed", {.temperature = 0.0F}, most);
    add_sample("greedy_penalties", {.temperature = 0.0F, .repetition_penalty = 1.1F});
    add_sample("temperature_1", {});
    add_sample("temperature_1_few_allowed", {}, few);
    add_sample("temperature_0.6", {.temperature = 0.6F});
    add_sample("top_p_0.9", {.top_p = 0.9F});
    add_sample("top_k_50", {.top_k = 50});
    add_sample("top_k_5000", {.top_k = 5000});
    for (const int num_top : {0, 20}) {
      add("logprobs_" + std::to_string(num_top) + "/" + entry.first,
          [&logits, num_top](benchmark::State& state) { logprobs(state, logits, num_top); });
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
