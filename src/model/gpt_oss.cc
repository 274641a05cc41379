// GPT-OSS (OpenAI 2025, arXiv:2508.10925): grouped-query attention with learned sinks, alternating between a
// window and the full context, YaRN, and a mixture of experts with a clamped SwiGLU. Reference:
// openai/gpt-oss gpt_oss/torch/model.py and transformers, models/gpt_oss/modeling_gpt_oss.py.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "model/architectures.h"
#include "model/rope.h"

namespace gossamer {
namespace {

class GptOss : public Model {
 public:
  explicit GptOss(const ConfigReader& config) {
    info_.architecture = "gpt_oss";
    info_.vocab_size = config.get_int({"vocab_size"});
    info_.hidden_dim = config.get_int({"hidden_size"});
    info_.num_layers = static_cast<int>(config.get_int({"num_hidden_layers"}, {.min = 1, .max = 1000}));
    info_.max_positions = config.get_int({"max_position_embeddings"}, 131072, {});
    info_.ffn_dim = config.get_int({"intermediate_size"});
    info_.num_experts = config.get_int({"num_local_experts", "num_experts"}, {.min = 1, .max = 65536});
    info_.num_experts_per_token =
        config.get_int({"num_experts_per_tok", "experts_per_token"}, 4, {.min = 1, .max = info_.num_experts});

    AttentionParams& attention = info_.attention;
    attention.num_heads = static_cast<int>(config.get_int({"num_attention_heads"}, {.min = 1, .max = 65536}));
    attention.num_kv_heads = static_cast<int>(
        config.get_int({"num_key_value_heads"}, attention.num_heads, {.min = 1, .max = attention.num_heads}));
    if (attention.num_heads % attention.num_kv_heads != 0) {
      config.fail({"num_key_value_heads"}, "a divisor of num_attention_heads");
    }
    attention.head_dim = static_cast<int>(
        config.get_int({"head_dim"}, std::max<int64_t>(1, info_.hidden_dim / attention.num_heads),
                       {.min = 2, .max = 65536}));
    if (attention.head_dim % 2 != 0) config.fail({"head_dim"}, "an even number");
    attention.scale = 1.0F / std::sqrt(static_cast<float>(attention.head_dim));
    rope_ = read_rope(config, attention.head_dim, info_.max_positions, 150000.0);
    read_layer_types(config);

    const std::string activation = config.get_string({"hidden_act"}, "silu");
    if (activation != "silu") config.fail({"hidden_act"}, "silu");
    if (config.get_bool({"tie_word_embeddings"}, false)) config.fail({"tie_word_embeddings"}, "false");
    swiglu_limit_ = static_cast<float>(config.get_number({"swiglu_limit"}, 7.0));
    eps_ = static_cast<float>(config.get_number({"rms_norm_eps"}, 1e-5));
    attention_bias_ = config.get_bool({"attention_bias"}, true);
  }

  ParamList declare_params() override {
    const int64_t hidden = info_.hidden_dim;
    const AttentionParams& attention = info_.attention;
    const int64_t q_rows = int64_t{attention.num_heads} * attention.head_dim;
    const int64_t kv_rows = int64_t{attention.num_kv_heads} * attention.head_dim;
    ParamList params;
    params.matrices.push_back({.parts = {{"model.embed_tokens.weight", info_.vocab_size}},
                               .cols = hidden,
                               .shard = ShardAxis::kRows,
                               .role = WeightRole::kEmbedding,
                               .weight = &token_embedding_});
    for (int i = 0; i < info_.num_layers; ++i) {
      Layer& layer = layers_[static_cast<std::size_t>(i)];
      const std::string prefix = "model.layers." + std::to_string(i) + ".";
      const std::string attention_norm = prefix + "input_layernorm";
      const std::string ffn_norm = prefix + "post_attention_layernorm";
      const auto vector = [&](std::vector<ParamPart> parts, ShardAxis shard, Tensor& tensor) {
        for (ParamPart& part : parts) part.name = prefix + part.name;
        params.vectors.push_back({.parts = std::move(parts), .shard = shard, .tensor = &tensor});
      };
      const auto matrix = [&](std::vector<ParamPart> parts, int64_t cols, const std::string& input_norm,
                              ShardAxis shard, std::unique_ptr<Weight>& weight,
                              WeightRole role = WeightRole::kDense) {
        for (ParamPart& part : parts) part.name = prefix + part.name;
        MatrixParam param{.parts = std::move(parts),
                          .cols = cols,
                          .input_norm = input_norm,
                          .shard = shard,
                          .role = role,
                          .weight = &weight};
        param.rows_per_token = param.rows();
        params.matrices.push_back(std::move(param));
      };
      const auto experts = [&](const std::string& name, int64_t rows, int64_t cols,
                               const std::string& input_norm, std::unique_ptr<Weight>& weight, Tensor& bias) {
        const std::string full_name = prefix + "mlp.experts." + name;
        params.matrices.push_back({.parts = {{full_name, rows}},
                                   .num_experts = info_.num_experts,
                                   .cols = cols,
                                   .input_norm = input_norm,
                                   .shard = ShardAxis::kExperts,
                                   .role = WeightRole::kExperts,
                                   .rows_per_token = rows * info_.num_experts_per_token,
                                   .weight = &weight});
        params.vectors.push_back({.parts = {{full_name + "_bias", rows}},
                                  .num_experts = info_.num_experts,
                                  .shard = ShardAxis::kExperts,
                                  .tensor = &bias});
      };
      params.add_norm(attention_norm, hidden, layer.attention_norm, nullptr);
      matrix({{"self_attn.q_proj.weight", q_rows},
              {"self_attn.k_proj.weight", kv_rows},
              {"self_attn.v_proj.weight", kv_rows}},
             hidden, attention_norm, ShardAxis::kRows, layer.qkv);
      matrix({{"self_attn.o_proj.weight", hidden}}, q_rows, "", ShardAxis::kCols, layer.attention_out);
      if (attention_bias_) {
        vector({{"self_attn.q_proj.bias", q_rows},
                {"self_attn.k_proj.bias", kv_rows},
                {"self_attn.v_proj.bias", kv_rows}},
               ShardAxis::kRows, layer.qkv_bias);
        vector({{"self_attn.o_proj.bias", hidden}}, ShardAxis::kReplicated, layer.attention_out_bias);
      }
      vector({{"self_attn.sinks", attention.num_heads}}, ShardAxis::kRows, layer.attention.sinks);
      params.add_norm(ffn_norm, hidden, layer.ffn_norm, nullptr);
      matrix({{"mlp.router.weight", info_.num_experts}}, hidden, ffn_norm, ShardAxis::kReplicated,
             layer.router, WeightRole::kRouter);
      vector({{"mlp.router.bias", info_.num_experts}}, ShardAxis::kReplicated, layer.router_bias);
      experts("gate_up_proj", 2 * info_.ffn_dim, hidden, ffn_norm, layer.gate_up, layer.gate_up_bias);
      experts("down_proj", hidden, info_.ffn_dim, "", layer.down, layer.down_bias);
    }
    params.vectors.push_back({.parts = {{"model.norm.weight", hidden}}, .tensor = &final_norm_});
    params.matrices.push_back({.parts = {{"lm_head.weight", info_.vocab_size}},
                               .cols = hidden,
                               .shard = ShardAxis::kRows,
                               .role = WeightRole::kHead,
                               .rows_per_token = info_.vocab_size,
                               .weight = &head_});
    return params;
  }

 private:
  struct Layer {
    AttentionParams attention;
    Tensor attention_norm;  // [hidden_dim]
    std::unique_ptr<Weight> qkv;
    Tensor qkv_bias;  // [(num_heads + 2 num_kv_heads) head_dim]
    std::unique_ptr<Weight> attention_out;
    Tensor attention_out_bias;  // [hidden_dim]
    Tensor ffn_norm;            // [hidden_dim]
    std::unique_ptr<Weight> router;
    Tensor router_bias;               // [num_experts]
    std::unique_ptr<Weight> gate_up;  // experts x [2 ffn_dim, hidden_dim]
    Tensor gate_up_bias;              // [num_experts, 2 ffn_dim]
    std::unique_ptr<Weight> down;     // experts x [hidden_dim, ffn_dim]
    Tensor down_bias;                 // [num_experts, hidden_dim]
  };

  // layer_types says which layers see a window; without it the even ones do.
  void read_layer_types(const ConfigReader& config) {
    const int window = static_cast<int>(config.get_int({"sliding_window"}, 128, {.min = 1, .max = 1 << 30}));
    std::vector<std::string> types = config.get_strings({"layer_types"});
    if (types.empty()) {
      for (int i = 0; i < info_.num_layers; ++i)
        types.push_back(i % 2 == 0 ? "sliding_attention" : "full_attention");
    }
    if (types.size() != static_cast<std::size_t>(info_.num_layers)) {
      config.fail({"layer_types"},
                  "one entry for each of the " + std::to_string(info_.num_layers) + " layers");
    }
    for (const std::string& type : types) {
      if (type != "sliding_attention" && type != "full_attention") {
        config.fail({"layer_types"}, "entries that are sliding_attention or full_attention");
      }
      const int wanted = type == "sliding_attention" ? window : 0;
      auto kind = std::find(info_.windows.begin(), info_.windows.end(), wanted);
      if (kind == info_.windows.end()) kind = info_.windows.insert(info_.windows.end(), wanted);
      const int kind_index = static_cast<int>(kind - info_.windows.begin());
      const auto same_kind = [&](const KvLayer& layer) { return layer.kind == kind_index; };
      const auto index = std::count_if(info_.layers.begin(), info_.layers.end(), same_kind);
      info_.layers.push_back({.kind = kind_index, .index = static_cast<int>(index)});
      Layer& layer = layers_.emplace_back();
      layer.attention = info_.attention;
      layer.attention.window = wanted;
    }
  }

  void embed(const ForwardBatch& batch, Backend& backend, Workspace& workspace) const override {
    backend.embed(batch, *token_embedding_, workspace.residual(batch.num_tokens()));
  }

  void forward_layer(int index, const ForwardBatch& batch, Backend& backend, KvPool& pool,
                     Workspace& workspace) const override {
    const Layer& layer = layers_[static_cast<std::size_t>(index)];
    const KvLayer kv = info_.layers[static_cast<std::size_t>(index)];
    const int64_t n = batch.num_tokens();
    const Tensor x = workspace.residual(n);

    backend.rms_norm(x, layer.attention_norm, eps_, workspace.normed(n));
    backend.linear(workspace.normed(n), *layer.qkv, layer.qkv_bias, workspace.qkv(n));
    backend.rope_kv_write(batch, workspace.qkv(n), layer.attention, rope_, pool, kv);
    backend.attention(batch, workspace.qkv(n), layer.attention, pool, kv, workspace.attended(n));
    backend.linear_add(workspace.attended(n), *layer.attention_out, layer.attention_out_bias, x);

    backend.rms_norm(x, layer.ffn_norm, eps_, workspace.normed(n));
    backend.linear(workspace.normed(n), *layer.router, layer.router_bias, workspace.router_logits(n));
    backend.route_top_k(workspace.router_logits(n), workspace.experts(n), workspace.gates(n));
    const MoeParams moe{.num_experts_per_token = static_cast<int>(info_.num_experts_per_token),
                        .swiglu_limit = swiglu_limit_,
                        .gate_up = layer.gate_up.get(),
                        .gate_up_bias = layer.gate_up_bias,
                        .down = layer.down.get(),
                        .down_bias = layer.down_bias};
    backend.moe_add(workspace.normed(n), workspace.experts(n), workspace.gates(n), moe, x);
  }

  void forward_head(int64_t rows, Backend& backend, Workspace& workspace) const override {
    const Tensor x = workspace.last_residual(rows);
    backend.rms_norm(x, final_norm_, eps_, workspace.last_hidden(rows));
    backend.rms_norm(x, final_norm_, eps_, workspace.last_normed(rows));
    backend.linear_with_maxima(workspace.last_normed(rows), *head_, workspace.logits(rows),
                               workspace.logit_maxima(rows));
  }

  float eps_ = 0.0F;
  float swiglu_limit_ = 0.0F;
  bool attention_bias_ = true;
  Rope rope_;
  std::unique_ptr<Weight> token_embedding_;
  std::vector<Layer> layers_;
  Tensor final_norm_;  // [hidden_dim]
  std::unique_ptr<Weight> head_;
};

}  // namespace

std::unique_ptr<Model> create_gpt_oss(const ConfigReader& config) { return std::make_unique<GptOss>(config); }

}  // namespace gossamer
