// Rotary embedding parameters from config.json, in both key forms (rope_scaling and rope_parameters), for the
// models that rotate. YaRN: Peng et al. 2023, arXiv:2309.00071; computed in f32 step by step as transformers'
// modeling_rope_utils.py does, because positions beyond a few thousand amplify the last bit of a frequency.
#pragma once

#include "backend/backend.h"
#include "checkpoint/config_reader.h"

namespace gossamer {

// `rotary_dim`: how many of a head's dimensions rotate (even). Throws Error for a rope type that is not
// built.
Rope read_rope(const ConfigReader& config, int64_t rotary_dim, int64_t max_positions, double default_theta);

}  // namespace gossamer
