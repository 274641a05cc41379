// Writes a checkpoint folder of an architecture's real shapes with seeded random weights, so that anybody can
// size and time hardware without a download. Called by apps/synth.cc.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "checkpoint/synth_architecture.h"

namespace gossamer {

struct SynthOptions {
  uint64_t seed = 0;
  std::filesystem::path tokenizer;  // copied as tokenizer.json; empty: none
  int num_threads = 1;
  // Bytes of tensors written and in all; from one thread at a time. May be empty; an Error that it throws
  // ends the writing.
  std::function<void(uint64_t done, uint64_t total)> progress;
};

// Makes the folder `out`. The same architecture and seed give the same bytes everywhere, for any number of
// threads. Until everything is written the folder is OUT.partial, which goes again when writing fails. Throws
// Error when `out` exists and is not an empty folder, when OUT.partial exists, or when the disk is too small
// (with both numbers) or fails.
void write_synth_checkpoint(const SynthArchitecture& architecture, const std::filesystem::path& out,
                            const SynthOptions& options);

}  // namespace gossamer
