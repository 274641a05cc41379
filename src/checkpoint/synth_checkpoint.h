// A synthetic checkpoint without a folder: an architecture's real shapes, instantly and in next to no memory,
// because every tensor looks at the same megabyte of random numbers. For `synth:ARCH` wherever a MODEL is
// asked for.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "checkpoint/checkpoint.h"
#include "checkpoint/synth_architecture.h"

namespace gossamer {

// `name` stands for the folder in messages. The numbers are distributed as those of write_synth_checkpoint,
// but are not the same: here each tensor is its pool from a place on that `seed` chooses. Tensors that no
// model reads (causal masks) are left out.
std::unique_ptr<Checkpoint> make_synth_checkpoint(const SynthArchitecture& architecture,
                                                  const std::string& name, uint64_t seed = 0);

}  // namespace gossamer
