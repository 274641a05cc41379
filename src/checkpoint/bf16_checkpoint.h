// Writes a GPT-OSS checkpoint with MXFP4 experts as the BF16 checkpoint that Hugging Face's libraries write:
// for programs that cannot read MXFP4, and for fine-tuning. Called by apps/pack.cc.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "checkpoint/checkpoint.h"

namespace gossamer {

struct Bf16Options {
  std::filesystem::path out;
  bool replace = false;  // what is there
  int num_threads = 1;
  uint64_t shard_bytes = 5'000'000'000;  // of a file, at most, but for one tensor alone
  // Bytes written and in all. May be empty; an Error that it throws ends the writing.
  std::function<void(std::size_t done, std::size_t total)> progress;
};

// Experts become NAME [experts, cols, rows] instead of NAME_blocks and NAME_scales; every number stays what
// it was, since bf16 holds all of MXFP4's. Other tensors are copied, config.json loses quantization_config.
// From either layout (Hugging Face, `original/`). Returns the tensors' bytes. Throws Error, and leaves
// nothing behind, when there are no MXFP4 experts, when a scale makes a number that bf16 cannot hold, or when
// the disk fails.
uint64_t write_bf16_checkpoint(const Checkpoint& checkpoint, const Bf16Options& options);

}  // namespace gossamer
