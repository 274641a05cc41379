#include "checkpoint/synth_architecture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <utility>

#include "base/error.h"

namespace gossamer {
namespace {

// The official config.json files, without the versions of the libraries that wrote them. The counts that
// differ between sizes are set below.
constexpr const char* kGpt2Config = R"({
  "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1,
  "bos_token_id": 50256, "embd_pdrop": 0.1, "eos_token_id": 50256, "initializer_range": 0.02,
  "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 1024, "n_embd": 0, "n_head": 0, "n_layer": 0,
  "n_positions": 1024, "resid_pdrop": 0.1, "summary_activation": null, "summary_first_dropout": 0.1,
  "summary_proj_to_labels": true, "summary_type": "cls_index", "summary_use_proj": true,
  "task_specific_params": {"text-generation": {"do_sample": true, "max_length": 50}}, "vocab_size": 50257})";

constexpr const char* kGptNeox20bConfig = R"({
  "architectures": ["GPTNeoXForCausalLM"], "attention_probs_dropout_prob": 0, "bos_token_id": 0,
  "eos_token_id": 0, "hidden_act": "gelu_fast", "hidden_dropout_prob": 0, "hidden_size": 6144,
  "initializer_range": 0.02, "intermediate_size": 24576, "layer_norm_eps": 1e-05,
  "max_position_embeddings": 2048, "model_type": "gpt_neox", "num_attention_heads": 64,
  "num_hidden_layers": 44, "rotary_emb_base": 10000, "rotary_pct": 0.25, "tie_word_embeddings": false,
  "torch_dtype": "float16", "use_cache": true, "use_parallel_residual": true, "vocab_size": 50432})";

constexpr const char* kGptOssConfig = R"({
  "architectures": ["GptOssForCausalLM"], "attention_bias": true, "attention_dropout": 0.0,
  "eos_token_id": 200002, "experts_per_token": 4, "head_dim": 64, "hidden_act": "silu", "hidden_size": 2880,
  "initial_context_length": 4096, "initializer_range": 0.02, "intermediate_size": 2880, "layer_types": [],
  "max_position_embeddings": 131072, "model_type": "gpt_oss", "num_attention_heads": 64,
  "num_experts_per_tok": 4, "num_hidden_layers": 0, "num_key_value_heads": 8, "num_local_experts": 0,
  "output_router_logits": false, "pad_token_id": 199999,
  "quantization_config": {
    "modules_to_not_convert":
      ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"],
    "quant_method": "mxfp4"},
  "rms_norm_eps": 1e-05,
  "rope_scaling": {"beta_fast": 32.0, "beta_slow": 1.0, "factor": 32.0,
    "original_max_position_embeddings": 4096, "rope_type": "yarn", "truncate": false},
  "rope_theta": 150000, "router_aux_loss_coef": 0.9, "sliding_window": 128, "swiglu_limit": 7.0,
  "tie_word_embeddings": false, "use_cache": true, "vocab_size": 201088})";

constexpr const char* kGptOssGenerationConfig = R"({
  "bos_token_id": 199998, "do_sample": true, "eos_token_id": [200002, 199999, 200012], "pad_token_id": 199999})";

// Wide enough apart that the choice of experts does not hang on rounding.
constexpr float kRouterDeviation = 0.05F;
constexpr float kSinkDeviation = 1.0F;
constexpr float kGainDeviation = 0.1F;

json::object parse_object(const char* text) { return parse_json(text, "synth").get_object(); }

// Collects the tensors of one architecture.
class TensorList {
 public:
  TensorList(DType dtype, std::vector<SynthTensor>& tensors) : dtype_(dtype), tensors_(tensors) {}

  void normal(const std::string& name, Shape shape, float deviation = 0.02F) {
    tensors_.push_back({{name, dtype_, shape}, Fill::kNormal, deviation});
  }
  void gain(const std::string& name, int64_t size) {
    tensors_.push_back({{name, dtype_, {size}}, Fill::kGain, kGainDeviation});
  }
  void layer_norm(const std::string& name, int64_t size) {
    gain(name + ".weight", size);
    normal(name + ".bias", {size});
  }
  // A product's weight and its bias.
  void linear(const std::string& name, Shape weight, int64_t bias, float deviation = 0.02F) {
    normal(name + ".weight", weight, deviation);
    normal(name + ".bias", {bias});
  }
  void mask(const std::string& name, DType dtype, int64_t positions) {
    tensors_.push_back({{name, dtype, {1, 1, positions, positions}}, Fill::kCausalMask, 0.0F});
  }
  void experts(const std::string& name, int64_t num_experts, int64_t rows, int64_t cols) {
    tensors_.push_back(
        {{name + "_blocks", DType::kU8, {num_experts, rows, cols / 32, 16}}, Fill::kMxfp4Codes, 0.0F});
    tensors_.push_back(
        {{name + "_scales", DType::kU8, {num_experts, rows, cols / 32}}, Fill::kMxfp4Scales, 0.0F});
    normal(name + "_bias", {num_experts, rows});
  }

 private:
  DType dtype_;
  std::vector<SynthTensor>& tensors_;
};

struct Size {
  std::string_view name;
  SynthArchitecture (*describe)(const Size& size, int64_t num_layers);
  int64_t num_layers = 0;
  int64_t hidden_dim = 0;
  int64_t num_heads = 0;
  int64_t num_experts = 0;
  int num_shards = 1;  // of the official release
};

SynthArchitecture describe_gpt2(const Size& size, int64_t num_layers) {
  SynthArchitecture result;
  result.config = parse_object(kGpt2Config);
  result.config["n_embd"] = size.hidden_dim;
  result.config["n_head"] = size.num_heads;
  result.config["n_layer"] = num_layers;
  result.generation_config = {{"_from_model_config", true}, {"bos_token_id", 50256}, {"eos_token_id", 50256}};
  constexpr int64_t kPositions = 1024;
  const int64_t hidden = size.hidden_dim;
  TensorList list(DType::kF32, result.tensors);
  list.normal("wte.weight", {50257, hidden});
  list.normal("wpe.weight", {kPositions, hidden}, 0.01F);
  for (int64_t layer = 0; layer < num_layers; ++layer) {
    const std::string prefix = fmt::format("h.{}.", layer);
    list.layer_norm(prefix + "ln_1", hidden);
    list.mask(prefix + "attn.bias", DType::kF32, kPositions);               // the official file has it
    list.linear(prefix + "attn.c_attn", {hidden, 3 * hidden}, 3 * hidden);  // [in, out]
    list.linear(prefix + "attn.c_proj", {hidden, hidden}, hidden);
    list.layer_norm(prefix + "ln_2", hidden);
    list.linear(prefix + "mlp.c_fc", {hidden, 4 * hidden}, 4 * hidden);
    list.linear(prefix + "mlp.c_proj", {4 * hidden, hidden}, hidden);
  }
  list.layer_norm("ln_f", hidden);
  return result;
}

SynthArchitecture describe_gpt_neox(const Size& size, int64_t num_layers) {
  SynthArchitecture result;
  result.config = parse_object(kGptNeox20bConfig);
  result.config["num_hidden_layers"] = num_layers;
  result.generation_config = {{"_from_model_config", true}, {"bos_token_id", 0}, {"eos_token_id", 0}};
  constexpr int64_t kVocabSize = 50432;
  constexpr int64_t kPositions = 2048;
  const int64_t hidden = size.hidden_dim;
  const int64_t rotary_dim = hidden / size.num_heads / 4;
  TensorList list(DType::kF16, result.tensors);
  list.normal("gpt_neox.embed_in.weight", {kVocabSize, hidden});
  for (int64_t layer = 0; layer < num_layers; ++layer) {
    const std::string prefix = fmt::format("gpt_neox.layers.{}.", layer);
    list.layer_norm(prefix + "input_layernorm", hidden);
    list.layer_norm(prefix + "post_attention_layernorm", hidden);
    // Buffers of the official files that no reader needs; their numbers do not matter.
    list.mask(prefix + "attention.bias", DType::kU8, kPositions);
    list.normal(prefix + "attention.masked_bias", {});
    list.normal(prefix + "attention.rotary_emb.inv_freq", {rotary_dim / 2});
    list.linear(prefix + "attention.query_key_value", {3 * hidden, hidden}, 3 * hidden);
    list.linear(prefix + "attention.dense", {hidden, hidden}, hidden);
    list.linear(prefix + "mlp.dense_h_to_4h", {4 * hidden, hidden}, 4 * hidden);
    list.linear(prefix + "mlp.dense_4h_to_h", {hidden, 4 * hidden}, hidden);
  }
  list.layer_norm("gpt_neox.final_layer_norm", hidden);
  list.normal("embed_out.weight", {kVocabSize, hidden});
  return result;
}

SynthArchitecture describe_gpt_oss(const Size& size, int64_t num_layers) {
  SynthArchitecture result;
  result.config = parse_object(kGptOssConfig);
  result.config["num_hidden_layers"] = num_layers;
  result.config["num_local_experts"] = size.num_experts;
  json::array& layer_types = result.config["layer_types"].get_array();
  for (int64_t layer = 0; layer < num_layers; ++layer) {
    layer_types.emplace_back(layer % 2 == 0 ? "sliding_attention" : "full_attention");
  }
  result.generation_config = parse_object(kGptOssGenerationConfig);
  result.first_shard = 0;
  constexpr int64_t kVocabSize = 201088;
  constexpr int64_t kQueryRows = 64 * 64;
  constexpr int64_t kKeyRows = 8 * 64;
  const int64_t hidden = size.hidden_dim;
  const int64_t ffn_dim = hidden;
  TensorList list(DType::kBf16, result.tensors);
  list.normal("model.embed_tokens.weight", {kVocabSize, hidden});
  for (int64_t layer = 0; layer < num_layers; ++layer) {
    const std::string prefix = fmt::format("model.layers.{}.", layer);
    list.gain(prefix + "input_layernorm.weight", hidden);
    list.linear(prefix + "self_attn.q_proj", {kQueryRows, hidden}, kQueryRows);
    list.linear(prefix + "self_attn.k_proj", {kKeyRows, hidden}, kKeyRows);
    list.linear(prefix + "self_attn.v_proj", {kKeyRows, hidden}, kKeyRows);
    list.linear(prefix + "self_attn.o_proj", {hidden, kQueryRows}, hidden);
    list.normal(prefix + "self_attn.sinks", {64}, kSinkDeviation);
    list.gain(prefix + "post_attention_layernorm.weight", hidden);
    list.linear(prefix + "mlp.router", {size.num_experts, hidden}, size.num_experts, kRouterDeviation);
    list.experts(prefix + "mlp.experts.gate_up_proj", size.num_experts, 2 * ffn_dim, hidden);
    list.experts(prefix + "mlp.experts.down_proj", size.num_experts, hidden, ffn_dim);
  }
  list.gain("model.norm.weight", hidden);
  list.normal("lm_head.weight", {kVocabSize, hidden});
  return result;
}

constexpr std::array<Size, 7> kSizes = {{
    {"gpt-oss-20b", describe_gpt_oss, 24, 2880, 64, 32, 3},
    {"gpt-oss-120b", describe_gpt_oss, 36, 2880, 64, 128, 15},
    {"gpt-neox-20b", describe_gpt_neox, 44, 6144, 64, 0, 46},
    {"gpt2", describe_gpt2, 12, 768, 12},
    {"gpt2-medium", describe_gpt2, 24, 1024, 16},
    {"gpt2-large", describe_gpt2, 36, 1280, 20},
    {"gpt2-xl", describe_gpt2, 48, 1600, 25},
}};

}  // namespace

uint64_t SynthArchitecture::total_bytes() const {
  uint64_t total = 0;
  for (const SynthTensor& tensor : tensors) total += tensor.spec.size_bytes();
  return total;
}

std::vector<std::string> synth_architecture_names() {
  std::vector<std::string> names;
  names.reserve(std::size(kSizes));
  for (const Size& size : kSizes) names.emplace_back(size.name);
  return names;
}

SynthArchitecture describe_synth_architecture(std::string_view name, std::optional<int64_t> num_layers) {
  const auto size = std::find_if(kSizes.begin(), kSizes.end(),
                                 [&](const Size& candidate) { return candidate.name == name; });
  if (size == kSizes.end()) {
    throw Error("synth: expected one of {}, found {}", fmt::join(synth_architecture_names(), ", "), name);
  }
  if (num_layers && (*num_layers < 1 || *num_layers > size->num_layers)) {
    throw Error("synth: {}: expected 1 to {} layers, found {}", name, size->num_layers, *num_layers);
  }
  const int64_t layers = num_layers.value_or(size->num_layers);
  SynthArchitecture result = size->describe(*size, layers);
  // As many shards as the share of the official size, so that they are about as large as the official ones;
  // at least two where the official release has several, since that is a layout of its own.
  if (size->num_shards > 1) {
    const uint64_t full_bytes = size->describe(*size, size->num_layers).total_bytes();
    const double share = static_cast<double>(result.total_bytes()) / static_cast<double>(full_bytes);
    result.num_shards = std::max(2, static_cast<int>(std::lround(share * size->num_shards)));
  }
  return result;
}

}  // namespace gossamer
