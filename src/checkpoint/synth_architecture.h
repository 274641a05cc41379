// What `gossamer synth` writes for each architecture: official configs, tensor names, dtypes and shapes, and
// how to fill them. Called by synth.cc and apps/synth.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "checkpoint/safetensors_writer.h"

namespace gossamer {

enum class Fill {
  kNormal,       // normal numbers of standard deviation `deviation`
  kGain,         // the same around 1
  kMxfp4Codes,   // normal numbers as 4-bit codes, two a byte
  kMxfp4Scales,  // exponents that make codes numbers of standard deviation 0.02
  kCausalMask,   // [1, 1, n, n]: 1 where column <= row
};

struct SynthTensor {
  TensorSpec spec;
  Fill fill = Fill::kNormal;
  float deviation = 0.02F;  // kNormal and kGain
};

// A checkpoint to be written.
struct SynthArchitecture {
  json::object config;
  json::object generation_config;
  std::vector<SynthTensor> tensors;
  int num_shards = 1;   // 1: model.safetensors without an index
  int first_shard = 1;  // number in the first shard's name; GPT-OSS counts from 0

  uint64_t total_bytes() const;
};

// "gpt-oss-20b", ... , as users type them.
std::vector<std::string> synth_architecture_names();

// The architecture of that name with all of its layers, or with fewer. Throws Error naming the choices when
// the name is unknown, or the range when `num_layers` is not within it.
SynthArchitecture describe_synth_architecture(std::string_view name, std::optional<int64_t> num_layers);

}  // namespace gossamer
