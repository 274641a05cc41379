// GPT-2 (Radford et al. 2019): learned positions, layer norm before attention and feed-forward, tied head.
// Reference: transformers, models/gpt2/modeling_gpt2.py. Tensor names are those without the `transformer.`
// prefix.
#include <cmath>

#include "base/error.h"
#include "model/architectures.h"

namespace gossamer {
namespace {

class Gpt2 : public Model {
 public:
  explicit Gpt2(const ConfigReader& config) {
    info_.architecture = "gpt2";
    info_.vocab_size = config.get_int({"vocab_size"});
    info_.hidden_dim = config.get_int({"n_embd", "hidden_size"});
    info_.num_layers =
        static_cast<int>(config.get_int({"n_layer", "num_hidden_layers"}, {.min = 1, .max = 1000}));
    info_.max_positions = config.get_int({"n_positions", "n_ctx", "max_position_embeddings"});
    info_.ffn_dim = config.get_int({"n_inner"}, 4 * info_.hidden_dim, {});
    const int64_t num_heads =
        config.get_int({"n_head", "num_attention_heads"}, {.min = 1, .max = info_.hidden_dim});
    if (info_.hidden_dim % num_heads != 0) config.fail({"n_head"}, "a divisor of n_embd");
    info_.attention.num_heads = static_cast<int>(num_heads);
    info_.attention.num_kv_heads = info_.attention.num_heads;
    info_.attention.head_dim = static_cast<int>(info_.hidden_dim / num_heads);
    info_.windows = {0};
    for (int layer = 0; layer < info_.num_layers; ++layer)
      info_.layers.push_back({.kind = 0, .index = layer});

    eps_ = static_cast<float>(config.get_number({"layer_norm_epsilon"}, 1e-5));
    gelu_ = read_gelu(config, {"activation_function"}, "gelu_new");
    tied_head_ = config.get_bool({"tie_word_embeddings"}, true);
    if (config.get_bool({"add_cross_attention"}, false)) config.fail({"add_cross_attention"}, "false");

    const bool scaled = config.get_bool({"scale_attn_weights"}, true);
    const bool by_layer = config.get_bool({"scale_attn_by_inverse_layer_idx"}, false);
    for (int layer = 0; layer < info_.num_layers; ++layer) {
      AttentionParams attention = info_.attention;
      if (scaled) attention.scale /= std::sqrt(static_cast<float>(attention.head_dim));
      if (by_layer) attention.scale /= static_cast<float>(layer + 1);
      layers_.push_back({.attention = attention});
    }
  }

  ParamList declare_params() override {
    const int64_t hidden = info_.hidden_dim;
    ParamList params;
    params.matrices.push_back({.parts = {{"wte.weight", info_.vocab_size}},
                               .cols = hidden,
                               .shard = ShardAxis::kRows,
                               .role = tied_head_ ? WeightRole::kHead : WeightRole::kEmbedding,
                               .rows_per_token = tied_head_ ? info_.vocab_size : 0,
                               .weight = &token_embedding_});
    params.matrices.push_back({.parts = {{"wpe.weight", info_.max_positions}},
                               .cols = hidden,
                               .role = WeightRole::kEmbedding,
                               .weight = &position_embedding_});
    for (int i = 0; i < info_.num_layers; ++i) {
      Layer& layer = layers_[static_cast<std::size_t>(i)];
      const std::string prefix = "h." + std::to_string(i) + ".";
      // Conv1D keeps its matrices as [in, out].
      const auto conv1d = [&](const std::string& name, int64_t rows, int64_t cols,
                              const std::string& input_norm, Linear& linear) {
        const bool by_rows = !input_norm.empty();  // what reads a norm is cut by rows, what adds by columns
        params.matrices.push_back({.parts = {{prefix + name + ".weight", rows}},
                                   .cols = cols,
                                   .transposed = true,
                                   .input_norm = by_rows ? prefix + input_norm : "",
                                   .shard = by_rows ? ShardAxis::kRows : ShardAxis::kCols,
                                   .rows_per_token = rows,
                                   .weight = &linear.weight});
        params.vectors.push_back({.parts = {{prefix + name + ".bias", rows}},
                                  .shard = by_rows ? ShardAxis::kRows : ShardAxis::kReplicated,
                                  .tensor = &linear.bias});
      };
      params.add_norm(prefix + "ln_1", hidden, layer.attention_norm.gain, &layer.attention_norm.bias);
      conv1d("attn.c_attn", 3 * hidden, hidden, "ln_1", layer.qkv);
      conv1d("attn.c_proj", hidden, hidden, "", layer.attention_out);
      params.add_norm(prefix + "ln_2", hidden, layer.ffn_norm.gain, &layer.ffn_norm.bias);
      conv1d("mlp.c_fc", info_.ffn_dim, hidden, "ln_2", layer.ffn_in);
      conv1d("mlp.c_proj", hidden, info_.ffn_dim, "", layer.ffn_out);
      params.ignored.push_back(prefix + "attn.bias");  // the causal mask, kept as a buffer
      params.ignored.push_back(prefix + "attn.masked_bias");
    }
    params.vectors.push_back({.parts = {{"ln_f.weight", hidden}}, .tensor = &final_norm_.gain});
    params.vectors.push_back({.parts = {{"ln_f.bias", hidden}}, .tensor = &final_norm_.bias});
    if (tied_head_) {
      params.ignored.push_back("lm_head.weight");  // some files repeat the embedding under this name
    } else {
      params.matrices.push_back({.parts = {{"lm_head.weight", info_.vocab_size}},
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
    Tensor bias;  // [rows]
  };
  struct Layer {
    AttentionParams attention;
    Norm attention_norm = {};
    Linear qkv = {};
    Linear attention_out = {};
    Norm ffn_norm = {};
    Linear ffn_in = {};
    Linear ffn_out = {};
  };

  void embed(const ForwardBatch& batch, Backend& backend, Workspace& workspace) const override {
    const Tensor x = workspace.residual(batch.num_tokens());
    backend.embed(batch, *token_embedding_, x);
    backend.embed_positions_add(batch, *position_embedding_, x);
  }

  void forward_layer(int index, const ForwardBatch& batch, Backend& backend, KvPool& pool,
                     Workspace& workspace) const override {
    const Layer& layer = layers_[static_cast<std::size_t>(index)];
    const KvLayer kv = info_.layers[static_cast<std::size_t>(index)];
    const int64_t n = batch.num_tokens();
    const Tensor x = workspace.residual(n);

    backend.layer_norm(x, layer.attention_norm.gain, layer.attention_norm.bias, eps_, workspace.normed(n));
    backend.linear(workspace.normed(n), *layer.qkv.weight, layer.qkv.bias, workspace.qkv(n));
    backend.rope_kv_write(batch, workspace.qkv(n), layer.attention, Rope{}, pool, kv);
    backend.attention(batch, workspace.qkv(n), layer.attention, pool, kv, workspace.attended(n));
    backend.linear_add(workspace.attended(n), *layer.attention_out.weight, layer.attention_out.bias, x);

    backend.layer_norm(x, layer.ffn_norm.gain, layer.ffn_norm.bias, eps_, workspace.normed(n));
    backend.linear(workspace.normed(n), *layer.ffn_in.weight, layer.ffn_in.bias, workspace.ffn(n));
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
  GeluKind gelu_ = GeluKind::kTanh;
  bool tied_head_ = true;
  std::unique_ptr<Weight> token_embedding_;
  std::unique_ptr<Weight> position_embedding_;
  std::vector<Layer> layers_;
  Norm final_norm_;
  std::unique_ptr<Weight> head_;
};

}  // namespace

std::unique_ptr<Model> create_gpt2(const ConfigReader& config) { return std::make_unique<Gpt2>(config); }

}  // namespace gossamer
