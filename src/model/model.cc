#include "model/model.h"

#include "base/profiler.h"

namespace gossamer {
namespace {

enum SlotIndex : int {
  kResidual,
  kNormed,
  kNormedB,
  kQkv,
  kAttended,
  kFfn,
  kFfnActivated,
  kRouterLogits,
  kExperts,
  kGates,
  kLastResidual,
  kLastNormed,
  kLastHidden,
  kLogits,
  kLogitMaxima,
};

}  // namespace

// One activation buffer: [max_rows, cols].
struct Workspace::Slot {
  DType dtype;
  int64_t max_rows;
  int64_t cols;
};

// In the order of SlotIndex. A model's feed-forward is either dense (ffn slots) or of experts (router slots).
std::vector<Workspace::Slot> Workspace::slots(const ModelInfo& info, DType activation, int64_t max_tokens,
                                              int64_t max_logit_rows) {
  const int64_t attended = int64_t{info.attention.num_heads} * info.attention.head_dim;
  const int64_t qkv = attended + int64_t{2} * info.attention.num_kv_heads * info.attention.head_dim;
  const int64_t dense_ffn = info.num_experts == 0 ? info.ffn_dim : 0;
  const int64_t normed_b = info.parallel_residual ? info.hidden_dim : 0;
  return {
      {DType::kF32, max_tokens, info.hidden_dim},
      {activation, max_tokens, info.hidden_dim},
      {activation, max_tokens, normed_b},
      {DType::kF32, max_tokens, qkv},
      {activation, max_tokens, attended},
      {DType::kF32, max_tokens, dense_ffn},
      {activation, max_tokens, dense_ffn},
      {DType::kF32, max_tokens, info.num_experts},
      {DType::kI32, max_tokens, info.num_experts_per_token},
      {DType::kF32, max_tokens, info.num_experts_per_token},
      {DType::kF32, max_logit_rows, info.hidden_dim},
      {activation, max_logit_rows, info.hidden_dim},
      {DType::kF32, max_logit_rows, info.hidden_dim},
      {DType::kF32, max_logit_rows, info.vocab_size},
      {DType::kF32, max_logit_rows, num_maxima(info.vocab_size)},
  };
}

Workspace::Workspace(const ModelInfo& info, const Backend& backend, DType activation, int64_t max_tokens,
                     int64_t max_logit_rows)
    : activation_(activation) {
  for (const Slot& slot : slots(info, activation, max_tokens, max_logit_rows)) {
    const Shape shape{slot.max_rows, slot.cols};
    buffers_.push_back(
        backend.allocate(static_cast<std::size_t>(shape.num_elements()) * dtype_size(slot.dtype)));
    tensors_.push_back(buffers_.back().view(slot.dtype, shape));
  }
}

std::size_t Workspace::bytes(const ModelInfo& info, DType activation, int64_t max_tokens,
                             int64_t max_logit_rows) {
  std::size_t total = 0;
  for (const Slot& slot : slots(info, activation, max_tokens, max_logit_rows)) {
    total += static_cast<std::size_t>(slot.max_rows * slot.cols) * dtype_size(slot.dtype);
  }
  return total;
}

Tensor Workspace::view(int slot, int64_t rows) const {
  return tensors_[static_cast<std::size_t>(slot)].rows(0, rows);
}

Tensor Workspace::residual(int64_t rows) const { return view(kResidual, rows); }
Tensor Workspace::normed(int64_t rows) const { return view(kNormed, rows); }
Tensor Workspace::normed_b(int64_t rows) const { return view(kNormedB, rows); }
Tensor Workspace::qkv(int64_t rows) const { return view(kQkv, rows); }
Tensor Workspace::attended(int64_t rows) const { return view(kAttended, rows); }
Tensor Workspace::ffn(int64_t rows) const { return view(kFfn, rows); }
Tensor Workspace::ffn_activated(int64_t rows) const { return view(kFfnActivated, rows); }
Tensor Workspace::router_logits(int64_t rows) const { return view(kRouterLogits, rows); }
Tensor Workspace::experts(int64_t rows) const { return view(kExperts, rows); }
Tensor Workspace::gates(int64_t rows) const { return view(kGates, rows); }
Tensor Workspace::last_residual(int64_t rows) const { return view(kLastResidual, rows); }
Tensor Workspace::last_normed(int64_t rows) const { return view(kLastNormed, rows); }
Tensor Workspace::last_hidden(int64_t rows) const { return view(kLastHidden, rows); }
Tensor Workspace::logits(int64_t rows) const { return view(kLogits, rows); }
Tensor Workspace::logit_maxima(int64_t rows) const { return view(kLogitMaxima, rows); }

void Model::forward(const ForwardBatch& batch, Backend& backend, KvPool& pool, Workspace& workspace,
                    LayerRange layers) const {
  GOSSAMER_CHECK(0 <= layers.begin && layers.begin <= layers.end && layers.end <= info_.num_layers);
  Profiler* const profiler = backend.profiler();
  backend.begin_step(batch);
  if (layers.begin == 0) {
    const ProfileSpan span(profiler, Profiler::kEmbed);
    embed(batch, backend, workspace);
  }
  for (int layer = layers.begin; layer < layers.end; ++layer) {
    const ProfileSpan span(profiler, Profiler::kLayer, layer);
    forward_layer(layer, batch, backend, pool, workspace);
  }
  if (layers.end == info_.num_layers && !batch.logit_rows.empty()) {
    const ProfileSpan span(profiler, Profiler::kHead);
    const auto rows = static_cast<int64_t>(batch.logit_rows.size());
    backend.gather_rows(workspace.residual(batch.num_tokens()), batch.logit_rows,
                        workspace.last_residual(rows));
    forward_head(rows, backend, workspace);
  }
}

}  // namespace gossamer
