// The recorded fixtures of tests/fixtures (made by tools/fixtures from transformers in float32): a checkpoint
// folder, prompts, and what the reference computed at chosen positions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "backend/registry.h"
#include "engine/engine.h"

namespace gossamer {

struct ExpectedPrompt {
  std::vector<int32_t> ids;
  std::vector<int32_t> positions;  // where values were recorded, ascending
  std::vector<float> logits;       // [positions, vocab]
  std::vector<float> hidden;       // [positions, hidden]
};

struct Fixture {
  std::string name;
  std::filesystem::path folder;  // the checkpoint
  std::vector<ExpectedPrompt> prompts;
};

// Names of all fixtures in the repository.
std::vector<std::string> fixture_names();
Fixture load_fixture(const std::string& name);
// The checkpoint of the demo model.
std::filesystem::path demo_folder();

// A fixture's model in an engine, on the given backend.
struct FixtureEngine {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Engine> engine;
};
FixtureEngine make_engine(const std::filesystem::path& folder, const BackendOptions& backend,
                          const PrecisionOptions& precision, EngineLimits limits, int64_t chunk_tokens = 0,
                          int max_draft_tokens = 0);

// Logits and hidden states of every position of a prompt, alone in the engine.
struct Scores {
  std::vector<float> logits;  // [tokens, vocab]
  std::vector<float> hidden;  // [tokens, hidden]
};
Scores score(Engine& engine, const std::vector<int32_t>& ids);

// Instruction sets of the CPU backend that this machine can run.
std::vector<std::string> available_instruction_sets();

}  // namespace gossamer
