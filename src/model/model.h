// Model: an architecture. Its config, the parameters it declares and its forward pass live in one file each
// (gpt2.cc, gpt_neox.cc, gpt_oss.cc); create_model (registry.h) picks by config.json's model_type.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "checkpoint/params.h"

namespace gossamer {

// What the rest of the program needs to know about a model; filled from config.json.
struct ModelInfo {
  std::string architecture;  // "gpt2", "gpt_neox", "gpt_oss"
  int64_t vocab_size = 0;    // rows of the logits
  int64_t hidden_dim = 0;
  int num_layers = 0;
  int64_t max_positions = 0;    // the architecture's limit on a sequence
  AttentionParams attention;    // head counts and head_dim (the same in every layer)
  std::vector<int> windows;     // of each attention kind; 0: full. KvPoolConfig::kinds in the same order
  std::vector<KvLayer> layers;  // [num_layers] where each layer's keys and values lie
  // Experts; 0 where the feed-forward is dense.
  int64_t num_experts = 0;
  int64_t num_experts_per_token = 0;
  int64_t ffn_dim = 0;             // of one expert, or of the dense feed-forward
  bool parallel_residual = false;  // attention and feed-forward read the same input (NeoX)
};

// The activations of one step: made once, at addresses that do not change.
class Workspace {
 public:
  Workspace(const ModelInfo& info, const Backend& backend, DType activation, int64_t max_tokens,
            int64_t max_logit_rows);

  static std::size_t bytes(const ModelInfo& info, DType activation, int64_t max_tokens,
                           int64_t max_logit_rows);

  DType activation() const { return activation_; }

  // Views of the first `rows` rows. f32 unless said otherwise.
  Tensor residual(int64_t rows) const;       // [rows, hidden_dim]
  Tensor normed(int64_t rows) const;         // [rows, hidden_dim] activation
  Tensor normed_b(int64_t rows) const;       // a second one, for NeoX's parallel residual
  Tensor qkv(int64_t rows) const;            // [rows, (num_heads + 2 num_kv_heads) head_dim]
  Tensor attended(int64_t rows) const;       // [rows, num_heads * head_dim] activation
  Tensor ffn(int64_t rows) const;            // [rows, ffn_dim]
  Tensor ffn_activated(int64_t rows) const;  // [rows, ffn_dim] activation
  Tensor router_logits(int64_t rows) const;  // [rows, num_experts]
  Tensor experts(int64_t rows) const;        // [rows, num_experts_per_token] i32
  Tensor gates(int64_t rows) const;          // [rows, num_experts_per_token]
  Tensor last_residual(int64_t rows) const;  // [rows, hidden_dim] the rows that need logits
  Tensor last_normed(int64_t rows) const;    // [rows, hidden_dim] activation
  Tensor last_hidden(int64_t rows) const;    // [rows, hidden_dim]
  Tensor logits(int64_t rows) const;         // [rows, vocab_size]
  Tensor logit_maxima(int64_t rows) const;   // [rows, num_maxima(vocab_size)]

 private:
  struct Slot;
  static std::vector<Slot> slots(const ModelInfo& info, DType activation, int64_t max_tokens,
                                 int64_t max_logit_rows);
  Tensor view(int slot, int64_t rows) const;

  DType activation_;
  std::vector<Tensor> tensors_;
  std::vector<Buffer> buffers_;
};

// Layers [begin, end) of a forward pass; a pipeline stage runs part of them.
struct LayerRange {
  int begin = 0;
  int end = 0;
};

class Model {
 public:
  virtual ~Model() = default;
  Model() = default;
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const ModelInfo& info() const { return info_; }

  // The parameters, with pointers into this model for where they go.
  virtual ParamList declare_params() = 0;

  // Runs the batch through `layers`. The first layer's stage embeds; the last layer's stage leaves, for the
  // batch.logit_rows in order, logits in workspace.logits and the final norm's output in
  // workspace.last_hidden.
  void forward(const ForwardBatch& batch, Backend& backend, KvPool& pool, Workspace& workspace,
               LayerRange layers) const;

 protected:
  ModelInfo info_;

 private:
  virtual void embed(const ForwardBatch& batch, Backend& backend, Workspace& workspace) const = 0;
  virtual void forward_layer(int layer, const ForwardBatch& batch, Backend& backend, KvPool& pool,
                             Workspace& workspace) const = 0;
  // Final norm of workspace.last_residual into last_hidden (f32) and the head into logits.
  virtual void forward_head(int64_t rows, Backend& backend, Workspace& workspace) const = 0;
};

}  // namespace gossamer
