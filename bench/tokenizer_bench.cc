// Tokenizer speed: English text in MB/s, long runs of one character, loading. Vocabularies are taken from
// ../shared/data/tokenizers beside the checkout; those that are absent are skipped.
// usage: tokenizer_bench [--text=FILE] [options of Google Benchmark]; without FILE the repository's own
// prose.
#include <benchmark/benchmark.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace gossamer {
namespace {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string repository_prose() {
  const fs::path root = GOSSAMER_SOURCE_DIR;
  std::string text = read_file(root / "LICENSE");
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(root / "docs", none)) {
    if (entry.path().extension() == ".md") text += read_file(entry.path());
  }
  return text;
}

void load(benchmark::State& state, const fs::path& path) {
  for (auto _ : state) benchmark::DoNotOptimize(Tokenizer::load(path));
}

void encode(benchmark::State& state, const Tokenizer& tokenizer, const std::string& text) {
  std::vector<int32_t> ids;
  for (auto _ : state) {
    ids.clear();
    tokenizer.encode(text, {}, ids);
    benchmark::DoNotOptimize(ids.data());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
  state.counters["bytes_per_token"] = static_cast<double>(text.size()) / static_cast<double>(ids.size());
}

void decode(benchmark::State& state, const Tokenizer& tokenizer, const std::string& text) {
  const std::vector<int32_t> ids = tokenizer.encode(text);
  for (auto _ : state) benchmark::DoNotOptimize(tokenizer.decode(ids));
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(text.size()));
}

std::string repeated(std::string_view unit, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) text.append(unit);
  return text;
}

}  // namespace
}  // namespace gossamer

int main(int argc, char** argv) {
  using namespace gossamer;
  std::string text;
  if (argc > 1 && std::string_view(argv[1]).starts_with("--text=")) {
    text = read_file(std::string_view(argv[1]).substr(7));
    argv[1] = argv[0];
    ++argv;
    --argc;
  }
  if (text.empty()) text = repository_prose();
  const std::vector<std::pair<std::string, std::string>> runs = {
      {"200000_letters", repeated("a", 200'000)},
      {"200000_spaces", repeated(" ", 200'000)},
      {"200000_emoji", repeated("\U0001F600", 200'000)},
  };
  std::vector<std::unique_ptr<Tokenizer>> tokenizers;
  for (const std::string name : {"gpt2", "gpt_neox", "gpt_oss"}) {
    const fs::path path = fs::path(GOSSAMER_SOURCE_DIR) / "../shared/data/tokenizers" / name;
    if (!fs::exists(path)) continue;
    tokenizers.push_back(Tokenizer::load(path));
    const Tokenizer& tokenizer = *tokenizers.back();
    const auto add = [&](const std::string& what, auto function) {
      benchmark::RegisterBenchmark((what + "/" + name).c_str(), function)->Unit(benchmark::kMillisecond);
    };
    add("load", [path](benchmark::State& state) { load(state, path); });
    add("encode_prose", [&tokenizer, &text](benchmark::State& state) { encode(state, tokenizer, text); });
    add("decode_prose", [&tokenizer, &text](benchmark::State& state) { decode(state, tokenizer, text); });
    for (const auto& run : runs) {
      add("encode_" + run.first,
          [&tokenizer, &run](benchmark::State& state) { encode(state, tokenizer, run.second); });
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
