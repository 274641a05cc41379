// What the MODEL argument of the sub-commands means.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "checkpoint/checkpoint.h"

namespace gossamer::apps {

// `demo` is the small model that comes with Gossamer: ../share/gossamer/demo beside the program where it is
// installed, else models/demo in the nearest parent folder of the program that has one (a build inside the
// source tree). Anything else is a path that must exist. Throws Error saying where it looked.
std::filesystem::path resolve_model_path(const std::string& model);

// `synth:ARCH` is a model of ARCH's real shapes with random weights, made in memory.
bool is_synthetic(const std::string& model);

// The checkpoint that MODEL means, of a folder or synthetic. Throws Error.
std::unique_ptr<Checkpoint> open_checkpoint(const std::string& model);

}  // namespace gossamer::apps
