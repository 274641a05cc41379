// What the MODEL argument of the sub-commands means.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "checkpoint/checkpoint.h"

namespace gossamer::apps {

// What comes with Gossamer: `installed` below ../share/gossamer beside the program where it is installed,
// else `in_source` below the nearest parent folder of the program that has it (a build inside the source
// tree). Throws Error saying where it looked.
std::filesystem::path find_beside_program(const std::filesystem::path& installed,
                                          const std::filesystem::path& in_source);

// `demo` is the small model that comes with Gossamer (demo, models/demo in the source). Anything else is a
// path that must exist. Throws Error saying where it looked.
std::filesystem::path resolve_model_path(const std::string& model);

// `synth:ARCH` is a model of ARCH's real shapes with random weights, made in memory.
bool is_synthetic(const std::string& model);

// The checkpoint that MODEL means, of a folder or synthetic. Throws Error.
std::unique_ptr<Checkpoint> open_checkpoint(const std::string& model);

}  // namespace gossamer::apps
