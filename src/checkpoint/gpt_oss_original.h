// The `original/` layout of GPT-OSS (OpenAI's own release) in terms of the Hugging Face one. Called by
// Checkpoint::open, so that models see one form.
#pragma once

#include <map>
#include <string>

#include "base/json.h"
#include "checkpoint/config_reader.h"

namespace gossamer {

struct StoredTensor;

// True when this config.json is written in OpenAI's keys: it has no model_type.
bool is_gpt_oss_original(const ConfigReader& config);

// config.json with HF keys and the values that the HF release adds (layer_types, eos_token_id, ...). Throws
// Error naming a key that is missing or out of range.
json::object convert_gpt_oss_original_config(const ConfigReader& config);

// What the HF release's generation_config.json says; the original has none.
json::object gpt_oss_generation_config();

// The tensors under their HF names. The fused qkv becomes three views of its rows: q_proj, k_proj, v_proj.
// `config` has HF keys. Names that are not of this layout stay. Throws Error naming a qkv tensor whose rows
// are not (heads + 2 kv heads) * head_dim.
std::map<std::string, StoredTensor> rename_gpt_oss_original(std::map<std::string, StoredTensor>&& tensors,
                                                            const ConfigReader& config);

}  // namespace gossamer
