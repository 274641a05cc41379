// An engine over a tiny checkpoint, and requests for it.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "backend/registry.h"
#include "engine/engine.h"
#include "tests/checkpoint/test_folder.h"
#include "tests/engine/tiny_checkpoint.h"

namespace gossamer::test {

// What became of one sequence.
struct Finished {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
  std::vector<float> prompt_logprobs;
  FinishReason reason = FinishReason::kError;
  std::string error;
  RequestTimes times;
  bool operator==(const Finished& other) const {
    return tokens == other.tokens && logprobs == other.logprobs && reason == other.reason &&
           error == other.error;
  }
};

// An engine over a tiny checkpoint, on one backend.
class Rig {
 public:
  explicit Rig(const std::string& config, EngineOptions options = {},
               const std::string& backend = "reference", int num_threads = 1)
      : backend_(create_backend({.name = backend, .num_threads = num_threads, .instruction_set = {}})) {
    test::write_tiny_checkpoint(folder_.path(), config);
    ModelFolder folder = ModelFolder::open(folder_.path(), {});
    EngineLimits& limits = options.limits;
    if (limits.max_model_len == 0) limits.max_model_len = folder.model->info().max_positions;
    engine_ = std::make_unique<Engine>(load_model(std::move(folder), *backend_), *backend_, options);
  }

  Engine& engine() { return *engine_; }

  RequestId submit(Request request) {
    const auto id = engine_->submit(std::move(request));
    EXPECT_TRUE(id.ok()) << (id.ok() ? "" : id.error().message);
    return id.ok() ? id.value() : -1;
  }

  // One step, whose outputs are filed by request.
  void step() {
    for (Output& output : engine_->step()) {
      Finished& finished = output.index == 0 ? results_[output.id] : others_[{output.id, output.index}];
      if (output.token) finished.tokens.push_back(*output.token);
      if (output.logprobs) finished.logprobs.push_back(output.logprobs->token.logprob);
      for (const TokenLogprobs& scored : output.prompt_logprobs) {
        finished.prompt_logprobs.push_back(scored.token.logprob);
      }
      if (output.finish_reason) {
        finished.reason = *output.finish_reason;
        finished.times = output.times;
      }
      if (!output.error.empty()) finished.error = output.error;
    }
    engine_->check_integrity();
  }

  const std::map<RequestId, Finished>& run() {
    while (!engine_->idle()) step();
    return results_;
  }

  // Of a request with several sequences.
  const Finished& result(RequestId id, int index) { return index == 0 ? results_[id] : others_[{id, index}]; }

  Finished generate(Request request) {
    const RequestId id = submit(std::move(request));
    run();
    return results_[id];
  }

 private:
  test::TestFolder folder_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Engine> engine_;
  std::map<RequestId, Finished> results_;
  std::map<std::pair<RequestId, int>, Finished> others_;
};

inline std::vector<int32_t> make_prompt(std::size_t length, uint32_t seed) {
  std::mt19937 generator(seed);
  std::vector<int32_t> ids(length);
  for (int32_t& id : ids) id = static_cast<int32_t>(generator() % 47);
  return ids;
}

inline Request make_request(std::size_t prompt_length, uint32_t seed, int64_t max_new_tokens) {
  Request request;
  request.prompt = make_prompt(prompt_length, seed);
  request.max_new_tokens = max_new_tokens;
  request.sampling.seed = seed;
  return request;
}

}  // namespace gossamer::test
