#include "backend/backend.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "backend/operation_profile.h"
#include "base/error.h"

namespace gossamer {
namespace {

bool is_activation(DType dtype) { return dtype == DType::kF32 || dtype == DType::kBf16; }

void check_matrix(const Tensor& tensor, int64_t rows, int64_t cols) {
  GOSSAMER_CHECK_EQ(tensor.shape(), (Shape{rows, cols}));
}

void check_f32(const Tensor& tensor) { GOSSAMER_CHECK(tensor.dtype() == DType::kF32); }

void check_linear(const Tensor& x, const Weight& weight, const Tensor& bias, const Tensor& out) {
  GOSSAMER_CHECK(is_activation(x.dtype()));
  GOSSAMER_CHECK_EQ(weight.num_experts(), 1);
  check_matrix(x, x.shape()[0], weight.cols());
  check_matrix(out, x.shape()[0], weight.rows());
  check_f32(out);
  if (!bias.empty()) {
    check_f32(bias);
    GOSSAMER_CHECK_EQ(bias.shape(), Shape{weight.rows()});
  }
}

void check_attention(const ForwardBatch& batch, const Tensor& qkv, const AttentionParams& params,
                     const KvPool& pool, KvLayer layer) {
  check_f32(qkv);
  GOSSAMER_CHECK_EQ(params.num_heads % params.num_kv_heads, 0);
  check_matrix(qkv, batch.num_tokens(),
               int64_t{params.num_heads + 2 * params.num_kv_heads} * params.head_dim);
  GOSSAMER_CHECK_EQ(pool.config().num_kv_heads, params.num_kv_heads);
  GOSSAMER_CHECK_EQ(pool.config().head_dim, params.head_dim);
  GOSSAMER_CHECK_LT(static_cast<std::size_t>(layer.kind), pool.config().kinds.size());
  GOSSAMER_CHECK_LT(layer.index, pool.config().kinds[static_cast<std::size_t>(layer.kind)].num_layers);
  GOSSAMER_CHECK_EQ(batch.page_tables.size(), pool.config().kinds.size());
}

}  // namespace

std::unique_ptr<KvPool> Backend::create_kv_pool(const KvPoolConfig& config) const {
  GOSSAMER_CHECK(config.dtype == DType::kBf16 || config.dtype == DType::kF16 || config.dtype == DType::kF32 ||
                 config.dtype == DType::kI8);
  if (config.dtype == DType::kI8 && config.head_dim > kMaxInt8HeadDim) {
    throw Error("an int8 KV cache takes heads of at most {} dimensions, found {}; use bf16", kMaxInt8HeadDim,
                config.head_dim);
  }
  std::vector<std::vector<Buffer>> layers;
  for (const KvKind& kind : config.kinds) {
    auto& of_kind = layers.emplace_back();
    for (int layer = 0; layer < kind.num_layers; ++layer) {
      of_kind.push_back(allocate(static_cast<std::size_t>(kind.num_pages) * KvPool::page_bytes(config)));
    }
  }
  return std::make_unique<KvPool>(config, std::move(layers));
}

std::unique_ptr<Weight> Backend::prepare(const WeightSource& source, Format format, DType for_activation) {
  source.check();
  GOSSAMER_CHECK(is_activation(for_activation) || for_activation == DType::kI8);
  GOSSAMER_CHECK(format != Format::kMxfp4 || (source.format == format && source.col_scales.empty()));
  auto weight = do_prepare(source, format, for_activation);
  GOSSAMER_CHECK_EQ(weight->size_bytes(),
                    prepared_bytes(format, source.num_experts, source.rows, source.cols));
  return weight;
}

WeightImage Backend::image(const Weight&) const { GOSSAMER_CHECK(false); }

std::unique_ptr<Weight> Backend::do_adopt(const WeightImage&, Buffer) { GOSSAMER_CHECK(false); }

std::unique_ptr<Weight> Backend::adopt(const WeightImage& image, Buffer memory) {
  const std::size_t expected = prepared_bytes(image.format, image.num_experts, image.rows, image.cols) /
                               static_cast<std::size_t>(weight_copies());
  if (memory.size() != expected) {
    throw Error("expected {} bytes for {} x [{}, {}] as {}, found {}", expected, image.num_experts,
                image.rows, image.cols, format_info(image.format).name, memory.size());
  }
  if (reinterpret_cast<std::uintptr_t>(memory.data()) % kImageAlignment != 0) {
    throw Error("expected data at a multiple of {} bytes, found them elsewhere", kImageAlignment);
  }
  return do_adopt(image, std::move(memory));
}

void Backend::run_on_host(int64_t count, const std::function<void(int64_t task, int thread)>& body) {
  run_operation(
      profiler_, [&] { do_run_on_host(count, body); },
      [&] { return OperationProfile{.kind = OperationKind::kHostWork, .num_tokens = count}; });
}

void Backend::embed(const ForwardBatch& batch, const Weight& table, const Tensor& out) {
  check_f32(out);
  check_matrix(out, batch.num_tokens(), table.cols());
  run_operation(
      profiler_, [&] { do_embed(batch.ids, table, false, out); },
      [&] { return profile_embed(OperationKind::kEmbed, table, out, weight_copies()); });
}

void Backend::embed_positions_add(const ForwardBatch& batch, const Weight& table, const Tensor& inout) {
  check_f32(inout);
  check_matrix(inout, batch.num_tokens(), table.cols());
  run_operation(
      profiler_, [&] { do_embed(batch.positions, table, true, inout); },
      [&] { return profile_embed(OperationKind::kEmbedPositions, table, inout, weight_copies()); });
}

void Backend::layer_norm(const Tensor& x, const Tensor& gain, const Tensor& bias, float eps,
                         const Tensor& out) {
  check_f32(x);
  GOSSAMER_CHECK_EQ(x.shape(), out.shape());
  GOSSAMER_CHECK_EQ(gain.shape(), Shape{x.shape()[1]});
  GOSSAMER_CHECK_EQ(bias.shape(), Shape{x.shape()[1]});
  GOSSAMER_CHECK(is_activation(out.dtype()));
  run_operation(
      profiler_, [&] { do_layer_norm(x, gain, bias, eps, out); },
      [&] { return profile_rows(OperationKind::kLayerNorm, x, out, 2); });
}

void Backend::rms_norm(const Tensor& x, const Tensor& gain, float eps, const Tensor& out) {
  check_f32(x);
  GOSSAMER_CHECK_EQ(x.shape(), out.shape());
  GOSSAMER_CHECK_EQ(gain.shape(), Shape{x.shape()[1]});
  GOSSAMER_CHECK(is_activation(out.dtype()));
  run_operation(
      profiler_, [&] { do_rms_norm(x, gain, eps, out); },
      [&] { return profile_rows(OperationKind::kRmsNorm, x, out, 1); });
}

void Backend::linear(const Tensor& x, const Weight& weight, const Tensor& bias, const Tensor& out) {
  check_linear(x, weight, bias, out);
  run_operation(
      profiler_, [&] { do_linear(x, weight, bias, false, out); },
      [&] { return profile_linear(OperationKind::kLinear, x, weight, bias, out, weight_copies()); });
}

void Backend::linear_with_maxima(const Tensor& x, const Weight& weight, const Tensor& out,
                                 const Tensor& maxima) {
  check_linear(x, weight, Tensor(), out);
  check_f32(maxima);
  GOSSAMER_CHECK_EQ(maxima.shape(), (Shape{x.shape()[0], num_maxima(weight.rows())}));
  run_operation(
      profiler_, [&] { do_linear_with_maxima(x, weight, out, maxima); },
      [&] {
        return profile_linear(OperationKind::kLinearWithMaxima, x, weight, Tensor(), out, weight_copies());
      });
}

void Backend::do_linear_with_maxima(const Tensor& x, const Weight& weight, const Tensor& out,
                                    const Tensor& maxima) {
  do_linear(x, weight, Tensor(), false, out);
  std::vector<float> numbers(static_cast<std::size_t>(out.shape().num_elements()));
  std::vector<float> largest(static_cast<std::size_t>(maxima.shape().num_elements()));
  download(out, Tensor(numbers.data(), DType::kF32, out.shape()));
  const int64_t rows = out.shape()[1];
  float* next = largest.data();
  for (int64_t i = 0; i < out.shape()[0]; ++i) {
    for (int64_t j = 0; j < rows; j += kMaximaGroup) {
      *next++ = largest_or_nan(numbers.data() + i * rows + j, std::min(kMaximaGroup, rows - j));
    }
  }
  upload(ConstTensor(largest.data(), DType::kF32, maxima.shape()), maxima);
}

float largest_or_nan(const float* numbers, int64_t count) {
  // Lanes side by side, which compilers turn into vectors without being allowed to reorder.
  constexpr int64_t kLanes = 16;
  std::array<float, kLanes> lanes;
  lanes.fill(-std::numeric_limits<float>::infinity());
  std::array<int32_t, kLanes> has_nan{};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      const auto at = static_cast<std::size_t>(lane);
      const float number = numbers[i + lane];
      lanes[at] = number > lanes[at] ? number : lanes[at];
      has_nan[at] |= number != number ? 1 : 0;
    }
  }
  bool nan = std::any_of(has_nan.begin(), has_nan.end(), [](int32_t has) { return has != 0; });
  float largest = *std::max_element(lanes.begin(), lanes.end());
  for (; i < count; ++i) {
    largest = std::max(largest, numbers[i]);
    nan = nan || std::isnan(numbers[i]);
  }
  return nan ? std::numeric_limits<float>::quiet_NaN() : largest;
}

void Backend::linear_add(const Tensor& x, const Weight& weight, const Tensor& bias, const Tensor& inout) {
  check_linear(x, weight, bias, inout);
  run_operation(
      profiler_, [&] { do_linear(x, weight, bias, true, inout); },
      [&] { return profile_linear(OperationKind::kLinearAdd, x, weight, bias, inout, weight_copies()); });
}

void Backend::gelu(const Tensor& x, GeluKind kind, const Tensor& out) {
  check_f32(x);
  GOSSAMER_CHECK_EQ(x.shape(), out.shape());
  GOSSAMER_CHECK(is_activation(out.dtype()));
  run_operation(
      profiler_, [&] { do_gelu(x, kind, out); },
      [&] { return profile_rows(OperationKind::kGelu, x, out, 0); });
}

void Backend::rope_kv_write(const ForwardBatch& batch, const Tensor& qkv, const AttentionParams& params,
                            const Rope& rope, KvPool& pool, KvLayer layer) {
  check_attention(batch, qkv, params, pool, layer);
  GOSSAMER_CHECK_LE(2 * rope.inv_freq.size(), static_cast<std::size_t>(params.head_dim));
  run_operation(
      profiler_, [&] { do_rope_kv_write(batch, qkv, params, rope, pool, layer); },
      [&] { return profile_rope_kv_write(qkv, pool); });
}

void Backend::attention(const ForwardBatch& batch, const Tensor& qkv, const AttentionParams& params,
                        const KvPool& pool, KvLayer layer, const Tensor& out) {
  check_attention(batch, qkv, params, pool, layer);
  GOSSAMER_CHECK(is_activation(out.dtype()));
  check_matrix(out, batch.num_tokens(), int64_t{params.num_heads} * params.head_dim);
  GOSSAMER_CHECK_EQ(params.window, pool.config().kinds[static_cast<std::size_t>(layer.kind)].window);
  if (!params.sinks.empty()) GOSSAMER_CHECK_EQ(params.sinks.shape(), Shape{params.num_heads});
  run_operation(
      profiler_, [&] { do_attention(batch, qkv, params, pool, layer, out); },
      [&] { return profile_attention(batch, params, pool, out); });
}

void Backend::route_top_k(const Tensor& logits, const Tensor& experts, const Tensor& gates) {
  check_f32(logits);
  check_f32(gates);
  GOSSAMER_CHECK(experts.dtype() == DType::kI32);
  GOSSAMER_CHECK_EQ(experts.shape(), gates.shape());
  GOSSAMER_CHECK_EQ(experts.shape()[0], logits.shape()[0]);
  GOSSAMER_CHECK_LE(experts.shape()[1], logits.shape()[1]);
  run_operation(
      profiler_, [&] { do_route_top_k(logits, experts, gates); },
      [&] { return profile_route_top_k(logits, experts); });
}

void Backend::moe_add(const Tensor& x, const Tensor& experts, const Tensor& gates, const MoeParams& params,
                      const Tensor& inout) {
  GOSSAMER_CHECK(is_activation(x.dtype()));
  check_f32(inout);
  GOSSAMER_CHECK_EQ(x.shape(), inout.shape());
  GOSSAMER_CHECK_EQ(experts.shape(), (Shape{x.shape()[0], params.num_experts_per_token}));
  GOSSAMER_CHECK_EQ(gates.shape(), experts.shape());
  GOSSAMER_CHECK_EQ(params.gate_up->cols(), x.shape()[1]);
  GOSSAMER_CHECK_EQ(params.gate_up->rows(), 2 * params.down->cols());
  GOSSAMER_CHECK_EQ(params.down->rows(), x.shape()[1]);
  GOSSAMER_CHECK_EQ(params.gate_up_bias.shape(),
                    (Shape{params.gate_up->num_experts(), params.gate_up->rows()}));
  GOSSAMER_CHECK_EQ(params.down_bias.shape(), (Shape{params.down->num_experts(), params.down->rows()}));
  run_operation(
      profiler_, [&] { do_moe_add(x, experts, gates, params, inout); },
      [&] {
        return profile_moe_add(x, params, reinterpret_cast<const int32_t*>(host_view(experts)),
                               weight_copies());
      });
}

void Backend::gather_rows(const Tensor& x, const std::vector<int32_t>& rows, const Tensor& out) {
  check_f32(x);
  check_f32(out);
  check_matrix(out, static_cast<int64_t>(rows.size()), x.shape()[1]);
  run_operation(
      profiler_, [&] { do_gather_rows(x, rows, out); }, [&] { return profile_gather_rows(out); });
}

}  // namespace gossamer
