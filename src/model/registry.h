// The architectures built into this program: config.json's model_type decides.
#pragma once

#include <memory>

#include "checkpoint/config_reader.h"
#include "model/model.h"

namespace gossamer {

// Throws Error naming the config file when the type is unknown or a key is missing, mistyped or out of range.
std::unique_ptr<Model> create_model(const ConfigReader& config);

}  // namespace gossamer
