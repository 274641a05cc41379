#include "checkpoint/gpt_oss_original.h"

#include <array>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/safetensors.h"

namespace gossamer {
namespace {

using NamePair = std::pair<std::string_view, std::string_view>;  // original, Hugging Face

constexpr std::array<NamePair, 3> kOutside = {{
    {"embedding.weight", "model.embed_tokens.weight"},
    {"norm.scale", "model.norm.weight"},
    {"unembedding.weight", "lm_head.weight"},
}};

// After "block.N." and "model.layers.N.".
constexpr std::array<NamePair, 13> kInside = {{
    {"attn.norm.scale", "input_layernorm.weight"},
    {"attn.sinks", "self_attn.sinks"},
    {"attn.out.weight", "self_attn.o_proj.weight"},
    {"attn.out.bias", "self_attn.o_proj.bias"},
    {"mlp.norm.scale", "post_attention_layernorm.weight"},
    {"mlp.gate.weight", "mlp.router.weight"},
    {"mlp.gate.bias", "mlp.router.bias"},
    {"mlp.mlp1_weight.blocks", "mlp.experts.gate_up_proj_blocks"},
    {"mlp.mlp1_weight.scales", "mlp.experts.gate_up_proj_scales"},
    {"mlp.mlp1_bias", "mlp.experts.gate_up_proj_bias"},
    {"mlp.mlp2_weight.blocks", "mlp.experts.down_proj_blocks"},
    {"mlp.mlp2_weight.scales", "mlp.experts.down_proj_scales"},
    {"mlp.mlp2_bias", "mlp.experts.down_proj_bias"},
}};

constexpr std::string_view kLayerPrefix = "block.";
constexpr std::string_view kQkvPrefix = "attn.qkv.";

template <std::size_t N>
std::string_view translate(const std::array<NamePair, N>& names, std::string_view original) {
  for (const NamePair& pair : names) {
    if (pair.first == original) return pair.second;
  }
  return {};
}

struct HeadRows {
  int64_t q = 0;
  int64_t kv = 0;
};

void add_tensor(std::map<std::string, StoredTensor>& tensors, const std::string& name, StoredTensor stored) {
  const auto [at, inserted] = tensors.emplace(name, std::move(stored));
  if (inserted) return;
  throw Error("{}: {}: expected one tensor that stands for {}, found another",
              at->second.file->path().string(), printable_name(at->second.stored_name), printable_name(name));
}

// The three row ranges of a fused qkv weight or bias, under their HF names.
void split_qkv(const StoredTensor& fused, const std::string& layer, std::string_view ending, HeadRows rows,
               std::map<std::string, StoredTensor>& out) {
  const ConstTensor& tensor = fused.tensor;
  const int64_t all_rows = rows.q + 2 * rows.kv;
  if (tensor.empty() || tensor.shape().rank() < 1 || tensor.shape()[0] != all_rows) {
    throw Error("{}: {}: expected {} rows (q, k and v heads), found {} {}", fused.file->path().string(),
                printable_name(fused.stored_name), all_rows,
                tensor.empty() ? fused.unknown_dtype : std::string(dtype_name(tensor.dtype())),
                tensor.shape().to_string());
  }
  const auto add = [&](std::string_view head, int64_t begin, int64_t end) {
    StoredTensor part = fused;
    part.tensor = tensor.rows(begin, end);
    add_tensor(out, fmt::format("{}self_attn.{}.{}", layer, head, ending), std::move(part));
  };
  add("q_proj", 0, rows.q);
  add("k_proj", rows.q, rows.q + rows.kv);
  add("v_proj", rows.q + rows.kv, all_rows);
}

// "block.3.attn.sinks" -> "model.layers.3." and "attn.sinks"; false when the name is not of a layer.
bool split_layer_name(std::string_view name, std::string& layer, std::string_view& rest) {
  if (!name.starts_with(kLayerPrefix)) return false;
  name.remove_prefix(kLayerPrefix.size());
  const std::size_t digits = name.find_first_not_of("0123456789");
  if (digits == 0 || digits == std::string_view::npos || name[digits] != '.') return false;
  layer = fmt::format("model.layers.{}.", name.substr(0, digits));
  rest = name.substr(digits + 1);
  return true;
}

}  // namespace

bool is_gpt_oss_original(const ConfigReader& config) {
  return !config.has({"model_type"}) && config.has({"num_experts"}) && config.has({"rope_ntk_beta"});
}

json::object convert_gpt_oss_original_config(const ConfigReader& config) {
  const int64_t num_layers = config.get_int({"num_hidden_layers"}, {1, 4096});
  json::array layer_types;
  for (int64_t layer = 0; layer < num_layers; ++layer) {
    layer_types.emplace_back(layer % 2 == 0 ? "sliding_attention" : "full_attention");
  }
  const int64_t initial_positions = config.get_int({"initial_context_length"}, {1, 1 << 24});
  const double factor = config.get_number({"rope_scaling_factor"}, 1.0);
  if (!(factor >= 1.0 && factor <= 1024.0)) config.fail({"rope_scaling_factor"}, "a number from 1 to 1024");

  json::object hf = {
      {"architectures", {"GptOssForCausalLM"}},
      {"model_type", "gpt_oss"},
      {"attention_bias", true},
      {"eos_token_id", 200002},
      {"pad_token_id", 199999},
      {"hidden_act", "silu"},
      {"rms_norm_eps", 1e-5},
      {"tie_word_embeddings", false},
      {"num_hidden_layers", num_layers},
      {"layer_types", std::move(layer_types)},
      {"num_local_experts", config.get_int({"num_experts"})},
      {"num_experts_per_tok", config.get_int({"experts_per_token", "num_experts_per_tok"})},
      {"vocab_size", config.get_int({"vocab_size"})},
      {"hidden_size", config.get_int({"hidden_size"})},
      {"intermediate_size", config.get_int({"intermediate_size"})},
      {"swiglu_limit", config.get_number({"swiglu_limit"}, 7.0)},
      {"head_dim", config.get_int({"head_dim"})},
      {"num_attention_heads", config.get_int({"num_attention_heads"})},
      {"num_key_value_heads", config.get_int({"num_key_value_heads"})},
      {"sliding_window", config.get_int({"sliding_window"})},
      {"initial_context_length", initial_positions},
      {"max_position_embeddings", static_cast<int64_t>(static_cast<double>(initial_positions) * factor)},
      {"rope_theta", config.get_number({"rope_theta"})},
  };
  if (factor > 1.0) {
    hf["rope_scaling"] = {
        {"rope_type", "yarn"},
        {"factor", factor},
        {"beta_slow", config.get_number({"rope_ntk_alpha"}, 1.0)},
        {"beta_fast", config.get_number({"rope_ntk_beta"}, 32.0)},
        {"original_max_position_embeddings", initial_positions},
        {"truncate", false},
    };
  }
  return hf;
}

json::object gpt_oss_generation_config() {
  return {{"bos_token_id", 199998},
          {"do_sample", true},
          {"eos_token_id", {200002, 199999, 200012}},
          {"pad_token_id", 199999}};
}

std::map<std::string, StoredTensor> rename_gpt_oss_original(std::map<std::string, StoredTensor>&& tensors,
                                                            const ConfigReader& config) {
  const IntRange sane = {1, 1 << 20};  // so that the products below cannot overflow
  const int64_t head_dim = config.get_int({"head_dim"}, sane);
  const HeadRows rows = {.q = config.get_int({"num_attention_heads"}, sane) * head_dim,
                         .kv = config.get_int({"num_key_value_heads"}, sane) * head_dim};
  std::map<std::string, StoredTensor> renamed;
  for (auto& [name, stored] : tensors) {
    stored.stored_name = name;
    std::string layer;
    std::string_view rest;
    if (split_layer_name(name, layer, rest)) {
      if (rest.starts_with(kQkvPrefix)) {
        split_qkv(stored, layer, rest.substr(kQkvPrefix.size()), rows, renamed);
        continue;
      }
      const std::string_view inside = translate(kInside, rest);
      add_tensor(renamed, inside.empty() ? name : layer + std::string(inside), std::move(stored));
    } else {
      const std::string_view outside = translate(kOutside, name);
      add_tensor(renamed, outside.empty() ? name : std::string(outside), std::move(stored));
    }
  }
  return renamed;
}

}  // namespace gossamer
