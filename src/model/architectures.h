// What each architecture's file exports, for the registry only.
#pragma once

#include <memory>

#include "model/model.h"

namespace gossamer {

std::unique_ptr<Model> create_gpt2(const ConfigReader& config);
std::unique_ptr<Model> create_gpt_neox(const ConfigReader& config);
std::unique_ptr<Model> create_gpt_oss(const ConfigReader& config);

// GELU by its name in config.json: gelu (erf); gelu_new, gelu_fast, gelu_pytorch_tanh (tanh). Anything else:
// Error.
GeluKind read_gelu(const ConfigReader& config, Keys keys, std::string_view default_name);

}  // namespace gossamer
