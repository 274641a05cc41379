#include "tests/model/fixture.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "base/mapped_file.h"
#include "checkpoint/safetensors.h"

namespace gossamer {
namespace {

namespace fs = std::filesystem;

const fs::path kFixtures = fs::path(GOSSAMER_SOURCE_DIR) / "tests" / "fixtures";

template <typename T>
std::vector<T> read_values(const MappedFile& file, const std::vector<SafetensorsEntry>& entries,
                           const std::string& name) {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const SafetensorsEntry& entry) { return entry.name == name; });
  if (found == entries.end()) return {};
  std::vector<T> values((found->end - found->begin) / sizeof(T));
  std::memcpy(values.data(), file.bytes().data() + found->begin, values.size() * sizeof(T));
  return values;
}

}  // namespace

std::vector<std::string> fixture_names() {
  std::vector<std::string> names;
  if (!fs::exists(kFixtures)) return names;
  for (const auto& entry : fs::directory_iterator(kFixtures)) {
    if (fs::exists(entry.path() / "expected.safetensors")) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Fixture load_fixture(const std::string& name) {
  Fixture fixture{.name = name, .folder = kFixtures / name, .prompts = {}};
  const MappedFile file(fixture.folder / "expected.safetensors");
  const auto entries = parse_safetensors(file.bytes(), file.path().string());
  for (int i = 0;; ++i) {
    const std::string suffix = "." + std::to_string(i);
    ExpectedPrompt prompt{.ids = read_values<int32_t>(file, entries, "ids" + suffix),
                          .positions = read_values<int32_t>(file, entries, "positions" + suffix),
                          .logits = read_values<float>(file, entries, "logits" + suffix),
                          .hidden = read_values<float>(file, entries, "hidden" + suffix)};
    if (prompt.ids.empty()) break;
    fixture.prompts.push_back(std::move(prompt));
  }
  return fixture;
}

fs::path demo_folder() { return fs::path(GOSSAMER_SOURCE_DIR) / "models" / "demo"; }

FixtureEngine make_engine(const fs::path& folder, const BackendOptions& backend_options,
                          const PrecisionOptions& precision, EngineLimits limits, int64_t chunk_tokens,
                          int max_draft_tokens) {
  FixtureEngine made;
  ModelFolder opened = ModelFolder::open(folder, precision);
  made.backend = create_backend(backend_options);
  if (limits.max_model_len == 0) limits.max_model_len = opened.model->info().max_positions;
  LoadedModel loaded = load_model(std::move(opened), *made.backend);
  made.engine = std::make_unique<Engine>(
      std::move(loaded), *made.backend,
      EngineOptions{.limits = limits, .chunk_tokens = chunk_tokens, .max_draft_tokens = max_draft_tokens});
  return made;
}

Scores score(Engine& engine, const std::vector<int32_t>& ids) {
  Scores scores;
  Request request{
      .prompt = ids, .max_new_tokens = 0, .sampling = {}, .stop_token_ids = {}, .on_prompt_logits = {}};
  request.on_prompt_logits = [&](int64_t, std::span<const float> logits, std::span<const float> hidden) {
    scores.logits.insert(scores.logits.end(), logits.begin(), logits.end());
    scores.hidden.insert(scores.hidden.end(), hidden.begin(), hidden.end());
  };
  const auto submitted = engine.submit(std::move(request));
  if (!submitted.ok()) throw std::runtime_error(submitted.error().message);
  while (!engine.idle()) {
    for (const Output& output : engine.step()) {
      if (!output.error.empty()) throw std::runtime_error(output.error);
    }
  }
  return scores;
}

std::vector<std::string> available_instruction_sets() {
  std::vector<std::string> available;
  for (const char* level : {"portable", "avx2", "avx512", "amx", "neon"}) {
    try {
      create_backend({.name = "cpu", .num_threads = 1, .instruction_set = level});
      available.emplace_back(level);
    } catch (const Error&) {  // this machine lacks it
    }
  }
  return available;
}

}  // namespace gossamer
