#include "backend/operation_profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "backend/operation_cost.h"

namespace gossamer {
namespace {

// Experts whose choices are counted one by one; beyond, an even choice is assumed.
constexpr int64_t kMaxCountedExperts = 1024;

// A key holds the kind, the format (0: none, else its number and 1) and two dimensions.
constexpr int kKindShift = 56;
constexpr int kFormatShift = 48;
constexpr int kRowsShift = 24;
constexpr uint64_t kDimMask = (uint64_t{1} << kRowsShift) - 1;

uint64_t key_of(const OperationProfile& operation) {
  const uint64_t format = operation.format ? static_cast<uint64_t>(*operation.format) + 1 : 0;
  return static_cast<uint64_t>(operation.kind) << kKindShift | format << kFormatShift |
         (static_cast<uint64_t>(operation.rows) & kDimMask) << kRowsShift |
         (static_cast<uint64_t>(operation.cols) & kDimMask);
}

std::string name_of_key(uint64_t key) {
  OperationProfile operation{.kind = static_cast<OperationKind>(key >> kKindShift),
                             .rows = static_cast<int64_t>(key >> kRowsShift & kDimMask),
                             .cols = static_cast<int64_t>(key & kDimMask)};
  const uint64_t format = key >> kFormatShift & 0xff;
  if (format > 0) operation.format = static_cast<Format>(format - 1);
  return operation_name(operation);
}

const char* kind_name(OperationKind kind) {
  switch (kind) {
    case OperationKind::kEmbed:
      return "embed";
    case OperationKind::kEmbedPositions:
      return "embed_positions_add";
    case OperationKind::kLayerNorm:
      return "layer_norm";
    case OperationKind::kRmsNorm:
      return "rms_norm";
    case OperationKind::kLinear:
      return "linear";
    case OperationKind::kLinearAdd:
      return "linear_add";
    case OperationKind::kLinearWithMaxima:
      return "linear_with_maxima";
    case OperationKind::kGelu:
      return "gelu";
    case OperationKind::kRopeKvWrite:
      return "rope_kv_write";
    case OperationKind::kAttention:
      return "attention";
    case OperationKind::kRouteTopK:
      return "route_top_k";
    case OperationKind::kMoeAdd:
      return "moe_add";
    case OperationKind::kGatherRows:
      return "gather_rows";
    case OperationKind::kHostWork:
      return "sample";
  }
  return "";
}

double bytes_of(const Tensor& tensor) {
  return tensor.empty() ? 0.0 : static_cast<double>(tensor.size_bytes());
}

// Different ones among `count` experts.
int64_t count_different(const int32_t* chosen, int64_t count) {
  std::array<uint64_t, kMaxCountedExperts / 64> seen{};
  for (int64_t i = 0; i < count; ++i) {
    if (chosen[i] < 0 || chosen[i] >= kMaxCountedExperts) continue;  // moe_add itself will say so
    const auto expert = static_cast<std::size_t>(chosen[i]);
    seen[expert / 64] |= uint64_t{1} << expert % 64;
  }
  int64_t different = 0;
  for (const uint64_t bits : seen) different += std::popcount(bits);
  return different;
}

}  // namespace

std::string operation_name(const OperationProfile& operation) {
  std::string name = kind_name(operation.kind);
  if (operation.format) {
    return name +
           fmt::format(" [{}, {}] {}", operation.rows, operation.cols, format_info(*operation.format).name);
  }
  if (operation.kind == OperationKind::kAttention) {
    return operation.rows > 0 ? name + fmt::format(" window {}", operation.rows) : name;
  }
  return operation.cols > 0 ? name + fmt::format(" [{}]", operation.cols) : name;
}

Profiler::Label operation_label(Profiler& profiler, const OperationProfile& operation) {
  return profiler.label(key_of(operation), name_of_key);
}

OperationProfile profile_embed(OperationKind kind, const Weight& table, const Tensor& out, int copies) {
  const auto num_tokens = static_cast<double>(out.shape()[0]);
  const bool adds = kind == OperationKind::kEmbedPositions;
  return {.kind = kind,
          .format = table.format(),
          .rows = table.rows(),
          .cols = table.cols(),
          .num_tokens = out.shape()[0],
          .cost = {.bytes = copy_bytes(table.size_bytes(), copies) / static_cast<double>(table.rows()) *
                            num_tokens,
                   .activation_bytes = bytes_of(out) * (adds ? 2 : 1)}};
}

OperationProfile profile_rows(OperationKind kind, const Tensor& x, const Tensor& out, int num_vectors) {
  const int64_t dim = x.shape()[1];
  return {.kind = kind,
          .cols = dim,
          .num_tokens = x.shape()[0],
          .cost = {.bytes = static_cast<double>(num_vectors * dim) * sizeof(float),
                   .activation_bytes = bytes_of(x) + bytes_of(out)}};
}

OperationProfile profile_linear(OperationKind kind, const Tensor& x, const Weight& weight, const Tensor& bias,
                                const Tensor& out, int copies) {
  const int64_t num_tokens = x.shape()[0];
  const bool adds = kind == OperationKind::kLinearAdd;
  return {.kind = kind,
          .format = weight.format(),
          .rows = weight.rows(),
          .cols = weight.cols(),
          .num_tokens = num_tokens,
          .cost = {.bytes = copy_bytes(weight.size_bytes(), copies) + bytes_of(bias),
                   .activation_bytes = bytes_of(x) + bytes_of(out) * (adds ? 2 : 1),
                   .flops = static_cast<double>(num_tokens) * product_flops(weight.rows(), weight.cols())}};
}

OperationProfile profile_rope_kv_write(const Tensor& qkv, const KvPool& pool) {
  const int64_t num_tokens = qkv.shape()[0];
  return {.kind = OperationKind::kRopeKvWrite,
          .num_tokens = num_tokens,
          .cost = {.bytes = static_cast<double>(num_tokens) * kv_position_bytes(pool.config()),
                   .activation_bytes = bytes_of(qkv)}};
}

OperationProfile profile_attention(const ForwardBatch& batch, const AttentionParams& params,
                                   const KvPool& pool, const Tensor& out) {
  double keys = 0.0;
  double positions = 0.0;
  for (int64_t s = 0; s < batch.num_sequences(); ++s) {
    const auto i = static_cast<std::size_t>(s);
    const int64_t num_tokens = batch.sequence_offsets[i + 1] - batch.sequence_offsets[i];
    if (num_tokens == 0) continue;
    const int64_t first = batch.positions[static_cast<std::size_t>(batch.sequence_offsets[i])];
    const TokenSpan span{.begin = first, .end = first + num_tokens};
    keys += seen_keys(span, params.window);
    positions += read_positions(span, params.window);
  }
  return {.kind = OperationKind::kAttention,
          .rows = params.window,
          .num_tokens = batch.num_tokens(),
          .cost = {.bytes = positions * kv_position_bytes(pool.config()) + bytes_of(params.sinks),
                   .activation_bytes = static_cast<double>(batch.num_tokens()) * params.num_heads *
                                           params.head_dim * sizeof(float) +
                                       bytes_of(out),
                   .flops = attention_flops(params, keys)}};
}

OperationProfile profile_route_top_k(const Tensor& logits, const Tensor& experts) {
  return {.kind = OperationKind::kRouteTopK,
          .cols = logits.shape()[1],
          .num_tokens = logits.shape()[0],
          .cost = {.activation_bytes = bytes_of(logits) + 2 * bytes_of(experts)}};
}

OperationProfile profile_moe_add(const Tensor& x, const MoeParams& params, const int32_t* chosen,
                                 int copies) {
  const Weight& gate_up = *params.gate_up;
  const Weight& down = *params.down;
  const int64_t num_tokens = x.shape()[0];
  const int64_t num_slots = num_tokens * params.num_experts_per_token;
  const auto num_experts = static_cast<double>(gate_up.num_experts());
  const double touched =
      chosen != nullptr && gate_up.num_experts() <= kMaxCountedExperts
          ? static_cast<double>(count_different(chosen, num_slots))
          : expected_experts(gate_up.num_experts(), params.num_experts_per_token, num_tokens);
  const double all_bytes = copy_bytes(gate_up.size_bytes(), copies) + copy_bytes(down.size_bytes(), copies) +
                           bytes_of(params.gate_up_bias) + bytes_of(params.down_bias);
  const double flops =
      product_flops(gate_up.rows(), gate_up.cols()) + product_flops(down.rows(), down.cols());
  return {.kind = OperationKind::kMoeAdd,
          .format = gate_up.format(),
          .rows = gate_up.rows(),
          .cols = gate_up.cols(),
          .num_tokens = num_tokens,
          .cost = {.bytes = all_bytes / num_experts * touched,
                   .activation_bytes =
                       bytes_of(x) + 2.0 * static_cast<double>(x.shape().num_elements()) * sizeof(float),
                   .flops = static_cast<double>(num_slots) * flops}};
}

OperationProfile profile_gather_rows(const Tensor& out) {
  return {.kind = OperationKind::kGatherRows,
          .cols = out.shape()[1],
          .num_tokens = out.shape()[0],
          .cost = {.activation_bytes = 2 * bytes_of(out)}};
}

}  // namespace gossamer
