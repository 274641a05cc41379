// How operations appear in a profile: a name made of what they do and of the shapes and format of their
// weight, and the bytes and operations that they cannot avoid (operation_cost.h). Called by Backend's public
// methods.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "backend/backend.h"
#include "base/profiler.h"

namespace gossamer {

enum class OperationKind : uint8_t {
  kEmbed = 1,
  kEmbedPositions,
  kLayerNorm,
  kRmsNorm,
  kLinear,
  kLinearAdd,
  kLinearWithMaxima,
  kGelu,
  kRopeKvWrite,
  kAttention,
  kRouteTopK,
  kMoeAdd,
  kGatherRows,
  kHostWork,
};

struct OperationProfile {
  OperationKind kind;
  std::optional<Format> format = {};  // of the weight
  int64_t rows = 0;                   // of the weight, or of attention its window
  int64_t cols = 0;                   // of the weight, or the width of what is worked on
  int64_t num_tokens = 0;
  Profiler::Cost cost = {};
};

// "linear [2304, 768] bf16", "attention window 128". The same for operations of one kind, shape and format.
std::string operation_name(const OperationProfile& operation);
Profiler::Label operation_label(Profiler& profiler, const OperationProfile& operation);

// What the arguments of Backend's methods mean. `copies`: Backend::weight_copies().
OperationProfile profile_embed(OperationKind kind, const Weight& table, const Tensor& out, int copies);
// norms, gelu; `num_vectors` of the width of x belong to the weights.
OperationProfile profile_rows(OperationKind kind, const Tensor& x, const Tensor& out, int num_vectors);
OperationProfile profile_linear(OperationKind kind, const Tensor& x, const Weight& weight, const Tensor& bias,
                                const Tensor& out, int copies);
OperationProfile profile_rope_kv_write(const Tensor& qkv, const KvPool& pool);
OperationProfile profile_attention(const ForwardBatch& batch, const AttentionParams& params,
                                   const KvPool& pool, const Tensor& out);
OperationProfile profile_route_top_k(const Tensor& logits, const Tensor& experts);
// `chosen` [num_tokens, num_experts_per_token]: where the host can read the experts, else null: those of an
// even choice are counted then.
OperationProfile profile_moe_add(const Tensor& x, const MoeParams& params, const int32_t* chosen, int copies);
OperationProfile profile_gather_rows(const Tensor& out);

// Runs an operation; with a profiler as a span of it. Without one it costs the branch.
template <typename Run, typename Describe>
void run_operation(Profiler* profiler, Run run, Describe describe) {
  if (profiler == nullptr) [[likely]] {
    run();
    return;
  }
  const OperationProfile operation = describe();
  const Profiler::Open open =
      profiler->open(Profiler::Kind::kOperation, operation_label(*profiler, operation), operation.num_tokens);
  run();
  profiler->close(open, operation.cost);
}

}  // namespace gossamer
