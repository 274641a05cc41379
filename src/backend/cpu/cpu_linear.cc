// Products with packed weights: linear, linear_add and the expert feed-forward. Threads split output rows
// and tokens, never the inner dimension.
#include <algorithm>
#include <cstring>
#include <utility>

#include "backend/cpu/cpu_backend.h"
#include "base/check.h"
#include "base/half.h"

namespace gossamer::cpu {
namespace {

// Tasks per thread. More would let threads finish closer together, but each starts a new stream of memory,
// and with many tokens reads all activations: 32 cost a tenth of the bandwidth (Granite Rapids, 2026-11).
constexpr int64_t kTasksPerThread = 8;
// Tokens per task where a product has too few panels for all threads (a router's 32 rows); whole tiles.
constexpr int64_t kTokensPerTask = 64;
static_assert(kTokensPerTask % kActivationTile == 0);

const float* floats_or_null(const Tensor& tensor) { return tensor.empty() ? nullptr : tensor.as<float>(); }

void widen_row(const std::byte* bf16, int64_t count, float* out) {
  const auto* numbers = reinterpret_cast<const uint16_t*>(bf16);
  for (int64_t i = 0; i < count; ++i) out[i] = bf16_to_float(numbers[i]);
}

}  // namespace

CpuBackend::ChosenLinear CpuBackend::choose_linear(const PackedWeight& weight, DType activation) const {
  const auto format = static_cast<std::size_t>(weight.format());
  if (weight.int8_activations()) return {kernels_.linear_integer[format], Arrangement::kInt8};
  if (activation == DType::kF32) return {kernels_.linear_f32[format], Arrangement::kAsIs};
  if (weight.tiles() && kernels_.linear_bf16_tiles[format] != nullptr) {
    return {kernels_.linear_bf16_tiles[format], Arrangement::kTiles};
  }
  if (kernels_.linear_bf16[format] != nullptr) return {kernels_.linear_bf16[format], Arrangement::kAsIs};
  if (kernels_.int16_codes && kernels_.linear_integer[format] != nullptr) {
    return {kernels_.linear_integer[format], Arrangement::kInt16};
  }
  return {kernels_.linear_f32[format], Arrangement::kWide};
}

CpuBackend::LinearInput CpuBackend::quantize(const ConstTensor& x, bool to_int8, int32_t offset) {
  const int64_t rows = x.shape()[0];
  const int64_t cols = x.shape()[1];
  const int64_t groups = groups_of(cols);
  const int64_t code_bytes = kernels_.int16_codes ? 2 : 1;
  const int64_t row_bytes = groups * kGroupCols * code_bytes;
  GOSSAMER_CHECK_LE(static_cast<std::size_t>(rows * row_bytes), layout_.arranged.size);
  GOSSAMER_CHECK_LE(static_cast<std::size_t>(rows * groups) * sizeof(float), layout_.group_scales.size);
  auto* codes = layout_.arranged.in<std::byte>(scratch_);
  auto* scales = layout_.group_scales.in<float>(scratch_);
  auto* sums = layout_.group_sums.in<int32_t>(scratch_);
  const auto x_row_bytes = cols * static_cast<int64_t>(dtype_size(x.dtype()));
  for_each_row(rows, cols, [&](int64_t row) {
    kernels_.quantize({.x = x.bytes() + row * x_row_bytes,
                       .x_bf16 = x.dtype() == DType::kBf16,
                       .to_int8 = to_int8,
                       .cols = cols,
                       .offset = offset,
                       .codes = codes + row * row_bytes,
                       .scales = scales + row * groups,
                       .sums = sums + row * groups});
  });
  return {.x = codes,
          .row_bytes = row_bytes,
          .stride = groups * kGroupCols,
          .groups = groups,
          .scales = scales,
          .sums = sums};
}

template <typename SegmentOf>
CpuBackend::LinearInput CpuBackend::arrange(const ConstTensor& x, const PackedWeight& weight,
                                            Arrangement arrangement, SegmentOf segment_of) {
  const int64_t rows = x.shape()[0];
  const int64_t cols = x.shape()[1];
  const LinearInput as_is{
      .x = x.bytes(), .row_bytes = cols * static_cast<int64_t>(dtype_size(x.dtype())), .stride = cols};
  if (arrangement == Arrangement::kAsIs) return as_is;
  if (arrangement == Arrangement::kInt8 || arrangement == Arrangement::kInt16) {
    return quantize(x, arrangement == Arrangement::kInt8,
                    kernels_.offsets[static_cast<int>(weight.format())]);
  }
  if (arrangement == Arrangement::kTiles && rows == 1) return as_is;  // already one tile
  GOSSAMER_CHECK_LE(static_cast<std::size_t>(rows * cols) * sizeof(float), layout_.arranged.size);
  if (arrangement == Arrangement::kWide) {
    auto* wide = layout_.arranged.in<float>(scratch_);
    for_each_row(rows, cols,
                 [&](int64_t row) { widen_row(x.bytes() + row * cols * 2, cols, wide + row * cols); });
    return {.x = reinterpret_cast<const std::byte*>(wide), .row_bytes = cols * 4, .stride = cols};
  }
  auto* tiles = layout_.arranged.in<std::byte>(scratch_);
  for_each_row(rows, cols, [&](int64_t row) {
    const auto [begin, end] = segment_of(row);
    const int64_t tile = begin + (row - begin) / kActivationTile * kActivationTile;
    const int64_t tile_rows = std::min<int64_t>(kActivationTile, end - tile);
    constexpr int64_t kRun = kGroupCols * 2;  // bytes
    std::byte* to = tiles + tile * cols * 2 + (row - tile) * kRun;
    const std::byte* from = x.bytes() + row * cols * 2;
    for (int64_t i = 0; i < cols / kGroupCols; ++i)
      std::memcpy(to + i * tile_rows * kRun, from + i * kRun, kRun);
  });
  return {.x = tiles, .row_bytes = cols * 2, .stride = cols};
}

LinearArgs CpuBackend::linear_args(const LinearInput& input, const PackedWeight& weight, int64_t expert,
                                   int64_t first_row, int64_t num_rows, int thread) const {
  const auto of_thread = [&](const ScratchLayout::Region& region, std::size_t stride) {
    return region.in<std::byte>(scratch_) + static_cast<std::size_t>(thread) * stride;
  };
  const int copy =
      placement_.thread_copies.empty() ? 0 : placement_.thread_copies[static_cast<std::size_t>(thread)];
  LinearArgs args{.x = input.x + first_row * input.row_bytes,
                  .x_stride = input.stride,
                  .weight = weight.expert(expert, copy),
                  .panel_bytes = weight.panel_bytes(),
                  .num_tokens = num_rows,
                  .rows = weight.rows(),
                  .cols = weight.cols(),
                  .scratch = of_thread(layout_.thread_sums, layout_.sums_stride),
                  .slab = of_thread(layout_.thread_slab, kSlabBytes)};
  if (input.scales != nullptr) {
    args.x_scales = input.scales + first_row * input.groups;
    args.x_sums = input.sums + first_row * input.groups;
  }
  return args;
}

int64_t CpuBackend::panels_per_task(int64_t num_panels) const {
  return std::max<int64_t>(1, num_panels / (pool_.num_threads() * kTasksPerThread));
}

template <typename After>
void CpuBackend::linear_tasks(const Tensor& x, const Weight& weight, const Tensor& bias, bool add,
                              const Tensor& out, int64_t panel_multiple, After after) {
  const auto& packed = static_cast<const PackedWeight&>(weight);
  const int64_t num_tokens = x.shape()[0];
  if (num_tokens == 0) return;
  GOSSAMER_CHECK_LE(num_tokens, limits_.max_tokens);
  const ChosenLinear chosen = choose_linear(packed, x.dtype());
  const LinearInput input = arrange(x, packed, chosen.arrangement, [num_tokens](int64_t) {
    return std::pair<int64_t, int64_t>(0, num_tokens);
  });

  int64_t panels = panels_per_task(packed.num_panels());
  panels = (panels + panel_multiple - 1) / panel_multiple * panel_multiple;
  const int64_t row_tasks = (packed.num_panels() + panels - 1) / panels;
  const bool split_tokens = row_tasks < pool_.num_threads() * 4 && num_tokens > kTokensPerTask;
  const int64_t tokens = split_tokens ? kTokensPerTask : num_tokens;
  const int64_t token_tasks = (num_tokens + tokens - 1) / tokens;
  pool_.parallel_for(row_tasks * token_tasks, [&](int64_t task, int thread) {
    const int64_t first_token = task / row_tasks * tokens;
    const int64_t first_panel = task % row_tasks * panels;
    LinearArgs args =
        linear_args(input, packed, 0, first_token, std::min(tokens, num_tokens - first_token), thread);
    args.bias = floats_or_null(bias);
    args.out = out.as<float>() + first_token * packed.rows();
    args.out_stride = packed.rows();
    args.panel_begin = first_panel;
    args.panel_end = std::min(first_panel + panels, packed.num_panels());
    args.add = add;
    chosen.kernel(args);
    after(args, first_token);
  });
}

void CpuBackend::do_linear(const Tensor& x, const Weight& weight, const Tensor& bias, bool add,
                           const Tensor& out) {
  linear_tasks(x, weight, bias, add, out, 1, [](const LinearArgs&, int64_t) {});
}

void CpuBackend::do_linear_with_maxima(const Tensor& x, const Weight& weight, const Tensor& out,
                                       const Tensor& maxima) {
  static_assert(kMaximaGroup % kPanelRows == 0);
  // Each task looks at its own numbers while they are in its cache.
  linear_tasks(x, weight, Tensor(), false, out, kMaximaGroup / kPanelRows,
               [&](const LinearArgs& args, int64_t first_token) {
                 const int64_t end = std::min(args.panel_end * kPanelRows, args.rows);
                 for (int64_t token = 0; token < args.num_tokens; ++token) {
                   float* to = maxima.as<float>() + (first_token + token) * maxima.shape()[1];
                   for (int64_t row = args.panel_begin * kPanelRows; row < end; row += kMaximaGroup) {
                     to[row / kMaximaGroup] = largest_or_nan(args.out + token * args.out_stride + row,
                                                             std::min(kMaximaGroup, end - row));
                   }
                 }
               });
}

void CpuBackend::group_slots(const int32_t* experts, int64_t num_slots, int64_t num_experts) {
  auto* begin = layout_.expert_begin.in<int32_t>(scratch_);
  auto* order = layout_.slot_order.in<int32_t>(scratch_);
  auto* row = layout_.slot_row.in<int32_t>(scratch_);
  std::fill(begin, begin + num_experts + 1, 0);
  for (int64_t slot = 0; slot < num_slots; ++slot) {
    GOSSAMER_CHECK(experts[slot] >= 0 && experts[slot] < num_experts);
    ++begin[experts[slot] + 1];
  }
  for (int64_t expert = 0; expert < num_experts; ++expert) begin[expert + 1] += begin[expert];
  // Filling moves each begin to its end, which is the next one's begin: shift back afterwards.
  for (int64_t slot = 0; slot < num_slots; ++slot) {
    row[slot] = begin[experts[slot]]++;
    order[row[slot]] = static_cast<int32_t>(slot);
  }
  for (int64_t expert = num_experts; expert > 0; --expert) begin[expert] = begin[expert - 1];
  begin[0] = 0;
}

template <typename After>
void CpuBackend::linear_experts(const PackedWeight& weight, const int32_t* experts, const ConstTensor& x,
                                const Tensor& bias, float* out, After after) {
  const auto* begin = layout_.expert_begin.in<int32_t>(scratch_);
  const auto* order = layout_.slot_order.in<int32_t>(scratch_);
  const ChosenLinear chosen = choose_linear(weight, x.dtype());
  const LinearInput input = arrange(x, weight, chosen.arrangement, [=](int64_t row) {
    const int32_t expert = experts[order[row]];
    return std::pair<int64_t, int64_t>(begin[expert], begin[expert + 1]);
  });
  auto* active = layout_.active_experts.in<int32_t>(scratch_);
  int64_t num_active = 0;
  for (int32_t expert = 0; expert < weight.num_experts(); ++expert) {
    if (begin[expert] < begin[expert + 1]) active[num_active++] = expert;
  }
  const int64_t panels = panels_per_task(num_active * weight.num_panels());
  const int64_t tasks_per_expert = (weight.num_panels() + panels - 1) / panels;
  pool_.parallel_for(num_active * tasks_per_expert, [&](int64_t task, int thread) {
    const int32_t expert = active[task / tasks_per_expert];
    const int64_t first_panel = task % tasks_per_expert * panels;
    const int64_t first_slot = begin[expert];
    LinearArgs args = linear_args(input, weight, expert, first_slot, begin[expert + 1] - first_slot, thread);
    args.bias = bias.as<float>() + expert * weight.rows();
    args.out = out + first_slot * weight.rows();
    args.out_stride = weight.rows();
    args.panel_begin = first_panel;
    args.panel_end = std::min(first_panel + panels, weight.num_panels());
    chosen.kernel(args);
    after(args, first_slot);
  });
}

void CpuBackend::do_moe_add(const Tensor& x, const Tensor& experts, const Tensor& gates,
                            const MoeParams& params, const Tensor& inout) {
  const auto& gate_up = static_cast<const PackedWeight&>(*params.gate_up);
  const auto& down = static_cast<const PackedWeight&>(*params.down);
  const int64_t num_tokens = x.shape()[0];
  const int64_t k = params.num_experts_per_token;
  const int64_t num_slots = num_tokens * k;
  const int64_t hidden = gate_up.cols();
  const int64_t ffn = down.cols();
  if (num_slots == 0) return;
  GOSSAMER_CHECK_LE(num_slots, limits_.max_tokens * limits_.num_experts_per_token);
  GOSSAMER_CHECK_LE(gate_up.num_experts(), limits_.num_experts);
  GOSSAMER_CHECK_LE(hidden, limits_.hidden_dim);
  GOSSAMER_CHECK_LE(ffn, limits_.ffn_dim);
  group_slots(experts.as<int32_t>(), num_slots, gate_up.num_experts());

  const auto* order = layout_.slot_order.in<int32_t>(scratch_);
  const auto* slot_row = layout_.slot_row.in<int32_t>(scratch_);
  auto* expert_x = layout_.expert_x.in<std::byte>(scratch_);
  auto* expert_h = layout_.expert_h.in<std::byte>(scratch_);
  auto* expert_gate_up = layout_.expert_gate_up.in<float>(scratch_);
  auto* expert_down = layout_.expert_down.in<float>(scratch_);

  const std::size_t row_bytes = static_cast<std::size_t>(hidden) * dtype_size(x.dtype());
  for_each_row(num_slots, hidden, [&](int64_t row) {
    std::memcpy(expert_x + static_cast<std::size_t>(row) * row_bytes,
                x.bytes() + static_cast<std::size_t>(order[row] / k) * row_bytes, row_bytes);
  });
  const bool bf16 = x.dtype() == DType::kBf16;
  linear_experts(gate_up, experts.as<int32_t>(), {expert_x, x.dtype(), Shape{num_slots, hidden}},
                 params.gate_up_bias, expert_gate_up, [&](const LinearArgs& args, int64_t first_slot) {
                   kernels_.swiglu({.gate_up = args.out,
                                    .out = expert_h + first_slot * ffn * (bf16 ? 2 : 4),
                                    .out_bf16 = bf16,
                                    .num_tokens = args.num_tokens,
                                    .ffn_dim = ffn,
                                    .begin = args.panel_begin * kPanelRows / 2,
                                    .end = std::min(args.panel_end * kPanelRows / 2, ffn),
                                    .alpha = params.swiglu_alpha,
                                    .limit = params.swiglu_limit});
                 });
  linear_experts(down, experts.as<int32_t>(), {expert_h, x.dtype(), Shape{num_slots, ffn}}, params.down_bias,
                 expert_down, [](const LinearArgs&, int64_t) {});
  for_each_row(num_tokens, k * hidden, [&](int64_t token) {
    float* out = inout.as<float>() + token * hidden;
    for (int64_t j = 0; j < k; ++j) {
      const float gate = gates.as<float>()[token * k + j];
      const float* y = expert_down + slot_row[token * k + j] * hidden;
      for (int64_t i = 0; i < hidden; ++i) out[i] += gate * y[i];
    }
  });
}

}  // namespace gossamer::cpu
