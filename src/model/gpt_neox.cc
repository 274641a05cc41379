// GPT-NeoX (Black et al. 2022, arXiv:2204.06745) and Pythia: rotary embedding on part of each head, attention
// and feed-forward in parallel on the same residual (or one after the other), untied head. Reference:
// transformers, models/gpt_neox/modeling_gpt_neox.py.
#include <cmath>
#include <span>

#include "base/error.h"
#include "model/architectures.h"
#include "model/rope.h"

namespace gossamer {
namespace {

// The checkpoint keeps q, k and v side by side per head; attention wants all q heads, then all k, then all v.
std::vector<int32_t> qkv_row_order(int num_heads, int head_dim) {
  std::vector<int32_t> order;
  for (int part = 0; part < 3; ++part) {
    for (int head = 0; head < num_heads; ++head) {
      for (int dim = 0; dim < head_dim; ++dim) order.push_back((head * 3 + part) * head_dim + dim);
    }
  }
  return order;
}

class GptNeox : public Model {
 public:
  explicit GptNeox(const ConfigReader& config) {
    info_.architecture = "gpt_neox";
    info_.vocab_size = config.get_int({"vocab_size"});
    info_.hidden_dim = config.get_int({"hidden_size"});
    info_.num_layers = static_cast<int>(config.get_int({"num_hidden_layers"}, {.min = 1, .max = 1000}));
    info_.max_positions = config.get_int({"max_position_embeddings"});
    info_.ffn_dim = config.get_int({"intermediate_size"});
    info_.parallel_residual = config.get_bool({"use_parallel_residual"}, true);
    const int64_t num_heads = config.get_int({"num_attention_heads"}, {.min = 1, .max = info_.hidden_dim});
    if (info_.hidden_dim % num_heads != 0) config.fail({"num_attention_heads"}, "a divisor of hidden_size");
    info_.attention.num_heads = static_cast<int>(num_heads);
    info_.attention.num_kv_heads = info_.attention.num_heads;
    info_.attention.head_dim = static_cast<int>(info_.hidden_dim / num_heads);
    info_.attention.scale = 1.0F / std::sqrt(static_cast<float>(info_.attention.head_dim));
    info_.windows = {0};
    for (int layer = 0; layer < info_.num_layers; ++layer)
      info_.layers.push_back({.kind = 0, .index = layer});

    const Keys fraction_keys = {"rope_parameters.partial_rotary_factor", "partial_rotary_factor",
                                "rotary_pct"};
    const double fraction = config.get_number(fraction_keys, 0.25);
    const auto rotary_dim = static_cast<int64_t>(info_.attention.head_dim * fraction);
    if (!(fraction >= 0.0 && fraction <= 1.0) || rotary_dim % 2 != 0) {
      config.fail(fraction_keys, "a fraction from 0 to 1 that makes an even number of rotary dimensions");
    }
    if (rotary_dim > 0) rope_ = read_rope(config, rotary_dim, info_.max_positions, 10000.0);

    eps_ = static_cast<float>(config.get_number({"layer_norm_eps"}, 1e-5));
    gelu_ = read_gelu(config, {"hidden_act"}, "gelu");
    attention_bias_ = config.get_bool({"attention_bias"}, true);
    tied_head_ = config.get_bool({"tie_word_embeddings"}, false);
    layers_.resize(static_cast<std::size_t>(info_.num_layers));
  }

  ParamList declare_params() override {
    qkv_row_order_ = qkv_row_order(info_.attention.num_heads, info_.attention.head_dim);
    const int64_t hidden = info_.hidden_dim;
    ParamList params;
    params.matrices.push_back({.parts = {{"gpt_neox.embed_in.weight", info_.vocab_size}},
                               .cols = hidden,
                               .shard = ShardAxis::kRows,
                               .role = tied_head_ ? WeightRole::kHead : WeightRole::kEmbedding,
                               .rows_per_token = tied_head_ ? info_.vocab_size : 0,
                               .weight = &token_embedding_});
    for (int i = 0; i < info_.num_layers; ++i) {
      Layer& layer = layers_[static_cast<std::size_t>(i)];
      const std::string prefix = "gpt_neox.layers." + std::to_string(i) + ".";
      const auto linear = [&](const std::string& name, int64_t rows, int64_t cols,
                              const std::string& input_norm, bool with_bias,
                              std::span<const int32_t> row_order, Linear& target) {
        const bool by_rows = !input_norm.empty();  // what reads a norm is cut by rows, what adds by columns
        params.matrices.push_back({.parts = {{prefix + name + ".weight", rows}},
                                   .cols = cols,
                                   .row_order = row_order,
                                   .input_norm = by_rows ? prefix + input_norm : "",
                                   .shard = by_rows ? ShardAxis::kRows : ShardAxis::kCols,
                                   .rows_per_token = rows,
                                   .weight = &target.weight});
        if (!with_bias) return;
        params.vectors.push_back({.parts = {{prefix + name + ".bias", rows}},
                                  .row_order = row_order,
                                  .shard = by_rows ? ShardAxis::kRows : ShardAxis::kReplicated,
                                  .tensor = &target.bias});
      };
      params.add_norm(prefix + "input_layernorm", hidden, layer.attention_norm.gain,
                      &layer.attention_norm.bias);
      params.add_norm(prefix + "post_attention_layernorm", hidden, layer.ffn_norm.gain, &layer.ffn_norm.bias);
      linear("attention.query_key_value", 3 * hidden, hidden, "input_layernorm", attention_bias_,
             qkv_row_order_, layer.qkv);
      linear("attention.dense", hidden, hidden, "", attention_bias_, {}, layer.attention_out);
      linear("mlp.dense_h_to_4h", info_.ffn_dim, hidden, "post_attention_layernorm", true, {}, layer.ffn_in);
      linear("mlp.dense_4h_to_h", hidden, info_.ffn_dim, "", true, {}, layer.ffn_out);
      for (const char* buffer :
           {"attention.bias", "attention.masked_bias", "attention.rotary_emb.inv_freq"}) {
        params.ignored.push_back(prefix + buffer);
      }
    }
    params.vectors.push_back(
        {.parts = {{"gpt_neox.final_layer_norm.weight", hidden}}, .tensor = &final_norm_.gain});
    params.vectors.push_back(
        {.parts = {{"gpt_neox.final_layer_norm.bias", hidden}}, .tensor = &final_norm_.bias});
    if (tied_head_) {
      params.ignored.push_back("embed_out.weight");
    } else {
      params.matrices.push_back({.parts = {{"embed_out.weight", info_.vocab_size}},
                                 .cols = hidden,
                                 .shard = ShardAxis::kRows,
                                 .role = WeightRole::kHead,
                                 .rows_per_token = info_.vocab_size,
                                 .weight = &head_});
    }
    return params;
  }

 private:
  struct Norm {
    Tensor gain;  // [hidden_dim]
    Tensor bias;  // [hidden_dim]
  };
  struct Linear {
    std::unique_ptr<Weight> weight;
    Tensor bias;  // [rows]; empty where the config says so
  };
  struct Layer {
    Norm attention_norm;
    Norm ffn_norm;
    Linear qkv;
    Linear attention_out;
    Linear ffn_in;
    Linear ffn_out;
  };

  void embed(const ForwardBatch& batch, Backend& backend, Workspace& workspace) const override {
    backend.embed(batch, *token_embedding_, workspace.residual(batch.num_tokens()));
  }

  void forward_layer(int index, const ForwardBatch& batch, Backend& backend, KvPool& pool,
                     Workspace& workspace) const override {
    const Layer& layer = layers_[static_cast<std::size_t>(index)];
    const KvLayer kv = info_.layers[static_cast<std::size_t>(index)];
    const int64_t n = batch.num_tokens();
    const Tensor x = workspace.residual(n);

    backend.layer_norm(x, layer.attention_norm.gain, layer.attention_norm.bias, eps_, workspace.normed(n));
    if (info_.parallel_residual) {  // x + attention(norm_1(x)) + ffn(norm_2(x)): both norms before x changes
      backend.layer_norm(x, layer.ffn_norm.gain, layer.ffn_norm.bias, eps_, workspace.normed_b(n));
    }
    backend.linear(workspace.normed(n), *layer.qkv.weight, layer.qkv.bias, workspace.qkv(n));
    backend.rope_kv_write(batch, workspace.qkv(n), info_.attention, rope_, pool, kv);
    backend.attention(batch, workspace.qkv(n), info_.attention, pool, kv, workspace.attended(n));
    backend.linear_add(workspace.attended(n), *layer.attention_out.weight, layer.attention_out.bias, x);

    Tensor ffn_input = workspace.normed(n);
    if (info_.parallel_residual) {
      ffn_input = workspace.normed_b(n);
    } else {
      backend.layer_norm(x, layer.ffn_norm.gain, layer.ffn_norm.bias, eps_, ffn_input);
    }
    backend.linear(ffn_input, *layer.ffn_in.weight, layer.ffn_in.bias, workspace.ffn(n));
    backend.gelu(workspace.ffn(n), gelu_, workspace.ffn_activated(n));
    backend.linear_add(workspace.ffn_activated(n), *layer.ffn_out.weight, layer.ffn_out.bias, x);
  }

  void forward_head(int64_t rows, Backend& backend, Workspace& workspace) const override {
    const Tensor x = workspace.last_residual(rows);
    backend.layer_norm(x, final_norm_.gain, final_norm_.bias, eps_, workspace.last_hidden(rows));
    backend.layer_norm(x, final_norm_.gain, final_norm_.bias, eps_, workspace.last_normed(rows));
    backend.linear_with_maxima(workspace.last_normed(rows), tied_head_ ? *token_embedding_ : *head_,
                               workspace.logits(rows), workspace.logit_maxima(rows));
  }

  float eps_ = 0.0F;
  GeluKind gelu_ = GeluKind::kErf;
  bool attention_bias_ = true;
  bool tied_head_ = false;
  Rope rope_;
  std::vector<int32_t> qkv_row_order_;  // [3 hidden_dim]
  std::unique_ptr<Weight> token_embedding_;
  std::vector<Layer> layers_;
  Norm final_norm_;
  std::unique_ptr<Weight> head_;
};

}  // namespace

std::unique_ptr<Model> create_gpt_neox(const ConfigReader& config) {
  return std::make_unique<GptNeox>(config);
}

}  // namespace gossamer
