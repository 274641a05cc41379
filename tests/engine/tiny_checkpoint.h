// Tiny checkpoints of every architecture, written to a folder: whatever parameters a model declares are
// filled with random numbers, so that the tests need no files and know no tensor names.
#pragma once

#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "checkpoint/config_reader.h"
#include "checkpoint/safetensors_writer.h"
#include "model/registry.h"

namespace gossamer::test {

inline constexpr const char* kTinyGpt2 = R"({"model_type": "gpt2", "vocab_size": 53, "n_embd": 32,
  "n_layer": 2, "n_head": 2, "n_positions": 256})";

// A window of 40 is no multiple of the page size, and 256 positions are eight pages.
inline constexpr const char* kTinyGptOss = R"({"model_type": "gpt_oss", "vocab_size": 61, "hidden_size": 32,
  "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
  "intermediate_size": 32, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 40,
  "max_position_embeddings": 256, "rope_theta": 10000.0})";

inline constexpr const char* kTinyGptNeox = R"({"model_type": "gpt_neox", "vocab_size": 47,
  "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
  "max_position_embeddings": 256, "rotary_pct": 0.25, "rotary_emb_base": 10000,
  "use_parallel_residual": true})";

// Writes config.json and model.safetensors (f32) into `folder`. Wide enough numbers that the logits of
// different tokens and positions differ clearly.
inline void write_tiny_checkpoint(const std::filesystem::path& folder, const std::string& config,
                                  uint32_t seed = 1) {
  std::ofstream(folder / "config.json") << config;
  const auto model = create_model(ConfigReader(parse_json(config, "test").as_object(), "test"));
  const ParamList params = model->declare_params();
  std::vector<TensorSpec> specs;
  for (const MatrixParam& matrix : params.matrices) {
    for (const ParamPart& part : matrix.parts) {
      const Shape shape = matrix.num_experts > 0 ? Shape{matrix.num_experts, matrix.cols, part.rows}
                          : matrix.transposed    ? Shape{matrix.cols, part.rows}
                                                 : Shape{part.rows, matrix.cols};
      specs.push_back({.name = part.name, .shape = shape});
    }
  }
  for (const VectorParam& vector : params.vectors) {
    for (const ParamPart& part : vector.parts) {
      specs.push_back(
          {.name = part.name,
           .shape = vector.num_experts > 0 ? Shape{vector.num_experts, part.rows} : Shape{part.rows}});
    }
  }
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0F, 0.3F);
  SafetensorsWriter writer(folder / "model.safetensors", specs);
  for (const TensorSpec& spec : specs) {
    std::vector<float> numbers(static_cast<std::size_t>(spec.shape.num_elements()));
    for (float& number : numbers) number = normal(generator);
    writer.append(std::as_bytes(std::span(numbers)));
  }
  writer.finish();
}

}  // namespace gossamer::test
