#include "backend/reference/reference_backend.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "base/half.h"
#include "tensor/quantize.h"

namespace gossamer {
namespace {

// All numbers decoded to double, which holds every format exactly. [num_experts, rows, cols]
class ReferenceWeight : public Weight {
 public:
  ReferenceWeight(Format format, int64_t num_experts, int64_t rows, int64_t cols, bool int8_activations)
      : Weight(format, num_experts, rows, cols),
        values_(static_cast<std::size_t>(num_experts * rows * cols)),
        int8_activations_(int8_activations) {}

  std::size_t size_bytes() const override { return values_.size() * sizeof(double); }
  double* row(int64_t expert, int64_t row) { return values_.data() + (expert * rows() + row) * cols(); }
  const double* row(int64_t expert, int64_t row) const {
    return values_.data() + (expert * rows() + row) * cols();
  }
  bool int8_activations() const { return int8_activations_; }

 private:
  std::vector<double> values_;
  bool int8_activations_;
};

const ReferenceWeight& as_reference(const Weight& weight) {
  return static_cast<const ReferenceWeight&>(weight);
}

double load(const ConstTensor& tensor, int64_t index) {
  if (tensor.dtype() == DType::kBf16) return bf16_to_float(tensor.as<uint16_t>()[index]);
  if (tensor.dtype() == DType::kF16) return f16_to_float(tensor.as<uint16_t>()[index]);
  return tensor.as<float>()[index];
}

void store(const Tensor& tensor, int64_t index, double value) {
  const auto rounded = static_cast<float>(value);
  if (tensor.dtype() == DType::kBf16) {
    tensor.as<uint16_t>()[index] = float_to_bf16(rounded);
  } else if (tensor.dtype() == DType::kF16) {
    tensor.as<uint16_t>()[index] = float_to_f16(rounded);
  } else {
    tensor.as<float>()[index] = rounded;
  }
}

float round_to(Format format, float value) {
  if (format == Format::kBf16) return bf16_to_float(float_to_bf16(value));
  if (format == Format::kF16) return f16_to_float(float_to_f16(value));
  return value;
}

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

double gelu_value(double x, GeluKind kind) {
  if (kind == GeluKind::kErf) return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0)));
  const double inner = std::sqrt(2.0 / M_PI) * (x + 0.044715 * x * x * x);
  return 0.5 * x * (1.0 + std::tanh(inner));
}

// One row of x W^T, in the order of the inner dimension.
double dot_row(const std::vector<double>& x, const double* weights) {
  double sum = 0.0;
  for (std::size_t col = 0; col < x.size(); ++col) sum += x[col] * weights[col];
  return sum;
}

// Row `row` of x [rows, cols] as products with `weight` take it.
std::vector<double> activations(const Tensor& x, int64_t row, const ReferenceWeight& weight) {
  const int64_t cols = weight.cols();
  std::vector<double> numbers(static_cast<std::size_t>(cols));
  for (int64_t col = 0; col < cols; ++col) numbers[static_cast<std::size_t>(col)] = load(x, row * cols + col);
  if (!weight.int8_activations()) return numbers;
  std::vector<int8_t> codes(numbers.size());
  const std::vector<float> floats(numbers.begin(), numbers.end());
  const double scale = quantize_activations(floats.data(), cols, codes.data());
  for (std::size_t col = 0; col < numbers.size(); ++col) numbers[col] = codes[col] * scale;
  return numbers;
}

class ReferenceBackend : public Backend {
 public:
  std::string name() const override { return "reference"; }
  std::string describe() const override { return "reference: plain loops in double precision, one thread"; }

  Buffer allocate(std::size_t size) const override { return Buffer::allocate_host(size); }
  void upload(const ConstTensor& host, const Tensor& device) override { copy(host, device); }
  void download(const ConstTensor& device, const Tensor& host) override { copy(device, host); }
  const std::byte* host_view(const ConstTensor& device) const override { return device.bytes(); }

  std::size_t prepared_bytes(Format, int64_t num_experts, int64_t rows, int64_t cols) const override {
    return static_cast<std::size_t>(num_experts * rows * cols) * sizeof(double);
  }
  void reserve(const StepLimits&) override {}
  std::size_t scratch_bytes(const StepLimits&) const override { return 0; }
  void begin_step(const ForwardBatch&) override {}
  void synchronize() override {}

 private:
  static void copy(const ConstTensor& from, const Tensor& to) {
    GOSSAMER_CHECK_EQ(from.size_bytes(), to.size_bytes());
    std::memcpy(to.bytes(), from.bytes(), from.size_bytes());
  }

  std::unique_ptr<Weight> do_prepare(const WeightSource& source, Format format,
                                     DType for_activation) override {
    const int64_t cols = source.cols;
    auto weight = std::make_unique<ReferenceWeight>(format, source.num_experts, source.rows, cols,
                                                    for_activation == DType::kI8 && !is_dense(format));
    std::vector<float> stored(static_cast<std::size_t>(cols));
    std::vector<int8_t> codes(stored.size());
    std::vector<float> scales(static_cast<std::size_t>(format_scales_per_row(format, cols)));
    const int group = format_info(format).group_size;
    for (int64_t expert = 0; expert < source.num_experts; ++expert) {
      for (int64_t row = 0; row < source.rows; ++row) {
        double* values = weight->row(expert, row);
        source.decode_row(expert, row, stored.data());
        const bool quantized = format != source.format && !is_dense(format);
        if (quantized) quantize_row(format, stored.data(), cols, codes.data(), scales.data());
        for (int64_t col = 0; col < cols; ++col) {
          const auto i = static_cast<std::size_t>(col);
          const auto scale_index = static_cast<std::size_t>(group == 0 ? 0 : col / group);
          values[col] = quantized ? double{scales[scale_index]} * codes[i]
                                  : (format == source.format ? stored[i] : round_to(format, stored[i]));
        }
      }
      source.release_expert(expert);
    }
    return weight;
  }

  void do_embed(const std::vector<int32_t>& rows, const Weight& table, bool add, const Tensor& out) override {
    const int64_t dim = table.cols();
    for (std::size_t token = 0; token < rows.size(); ++token) {
      const double* row = as_reference(table).row(0, rows[token]);
      float* target = out.as<float>() + static_cast<int64_t>(token) * dim;
      for (int64_t i = 0; i < dim; ++i) target[i] = static_cast<float>(add ? target[i] + row[i] : row[i]);
    }
  }

  void do_layer_norm(const Tensor& x, const Tensor& gain, const Tensor& bias, float eps,
                     const Tensor& out) override {
    const int64_t dim = x.shape()[1];
    for (int64_t row = 0; row < x.shape()[0]; ++row) {
      const float* values = x.as<float>() + row * dim;
      const double mean = std::accumulate(values, values + dim, 0.0) / static_cast<double>(dim);
      double variance = 0.0;
      for (int64_t i = 0; i < dim; ++i) variance += (values[i] - mean) * (values[i] - mean);
      const double scale = 1.0 / std::sqrt(variance / static_cast<double>(dim) + eps);
      for (int64_t i = 0; i < dim; ++i) {
        store(out, row * dim + i, (values[i] - mean) * scale * load(gain, i) + load(bias, i));
      }
    }
  }

  void do_rms_norm(const Tensor& x, const Tensor& gain, float eps, const Tensor& out) override {
    const int64_t dim = x.shape()[1];
    for (int64_t row = 0; row < x.shape()[0]; ++row) {
      const float* values = x.as<float>() + row * dim;
      double sum_squares = 0.0;
      for (int64_t i = 0; i < dim; ++i) sum_squares += static_cast<double>(values[i]) * values[i];
      const double scale = 1.0 / std::sqrt(sum_squares / static_cast<double>(dim) + eps);
      for (int64_t i = 0; i < dim; ++i) store(out, row * dim + i, values[i] * scale * load(gain, i));
    }
  }

  void do_linear(const Tensor& x, const Weight& weight, const Tensor& bias, bool add,
                 const Tensor& out) override {
    for (int64_t token = 0; token < x.shape()[0]; ++token) {
      const std::vector<double> numbers = activations(x, token, as_reference(weight));
      for (int64_t row = 0; row < weight.rows(); ++row) {
        double sum = dot_row(numbers, as_reference(weight).row(0, row));
        if (!bias.empty()) sum += load(bias, row);
        const int64_t index = token * weight.rows() + row;
        store(out, index, add ? load(out, index) + sum : sum);
      }
    }
  }

  void do_gelu(const Tensor& x, GeluKind kind, const Tensor& out) override {
    for (int64_t i = 0; i < x.shape().num_elements(); ++i) store(out, i, gelu_value(load(x, i), kind));
  }

  // One head's key (part 0) or value (part 1) at `position`. Page: [2, num_kv_heads, kPageTokens, head_dim],
  // then for int8 the scales [2, num_kv_heads, kPageTokens].
  struct KvVector {
    Tensor numbers;  // of the whole page
    Tensor scales;
    int64_t index;  // of this token's head
  };
  static KvVector kv_vector(const KvPool& pool, KvLayer layer, std::span<const int32_t> pages,
                            int64_t position, int part, int head) {
    const KvPoolConfig& config = pool.config();
    std::byte* page = pool.page(layer, pages[static_cast<std::size_t>(position / kPageTokens)]);
    const int64_t vectors = int64_t{2} * config.num_kv_heads * kPageTokens;
    const Tensor numbers(page, config.dtype, Shape{vectors, config.head_dim});
    return {.numbers = numbers,
            .scales = Tensor(page + numbers.size_bytes(), DType::kBf16, Shape{vectors}),
            .index = (int64_t{part} * config.num_kv_heads + head) * kPageTokens + position % kPageTokens};
  }
  static void write_kv(const KvVector& to, const float* x, int64_t head_dim) {
    if (to.numbers.dtype() == DType::kI8) {
      auto* codes = reinterpret_cast<int8_t*>(to.numbers.bytes()) + to.index * head_dim;
      to.scales.as<uint16_t>()[to.index] = quantize_kv(x, head_dim, codes);
      return;
    }
    for (int64_t dim = 0; dim < head_dim; ++dim) store(to.numbers, to.index * head_dim + dim, x[dim]);
  }
  static std::vector<double> read_kv(const KvVector& from, int64_t head_dim) {
    std::vector<double> x(static_cast<std::size_t>(head_dim));
    for (int64_t dim = 0; dim < head_dim; ++dim) {
      const int64_t i = from.index * head_dim + dim;
      x[static_cast<std::size_t>(dim)] =
          from.numbers.dtype() == DType::kI8
              ? reinterpret_cast<const int8_t*>(from.numbers.bytes())[i] * load(from.scales, from.index)
              : load(from.numbers, i);
    }
    return x;
  }

  void do_rope_kv_write(const ForwardBatch& batch, const Tensor& qkv, const AttentionParams& params,
                        const Rope& rope, KvPool& pool, KvLayer layer) override {
    const int num_rotated_heads = params.num_heads + params.num_kv_heads;
    const int64_t row_size = qkv.shape()[1];
    const auto half = static_cast<int64_t>(rope.inv_freq.size());
    for (int64_t sequence = 0; sequence < batch.num_sequences(); ++sequence) {
      const auto pages = batch.page_tables[static_cast<std::size_t>(layer.kind)].of(sequence);
      const int32_t end = batch.sequence_offsets[static_cast<std::size_t>(sequence) + 1];
      for (int32_t token = batch.sequence_offsets[static_cast<std::size_t>(sequence)]; token < end; ++token) {
        float* row = qkv.as<float>() + token * row_size;
        const int32_t position = batch.positions[static_cast<std::size_t>(token)];
        for (int head = 0; head < num_rotated_heads; ++head) {
          float* values = row + int64_t{head} * params.head_dim;
          for (int64_t i = 0; i < half; ++i) {
            const float angle = static_cast<float>(position) * rope.inv_freq[static_cast<std::size_t>(i)];
            const double cosine = std::cos(static_cast<double>(angle)) * rope.scale;
            const double sine = std::sin(static_cast<double>(angle)) * rope.scale;
            const double a = values[i];
            const double b = values[i + half];
            values[i] = static_cast<float>(a * cosine - b * sine);
            values[i + half] = static_cast<float>(b * cosine + a * sine);
          }
        }
        const float* kv = row + int64_t{params.num_heads} * params.head_dim;
        for (int part = 0; part < 2; ++part) {
          for (int head = 0; head < params.num_kv_heads; ++head, kv += params.head_dim) {
            write_kv(kv_vector(pool, layer, pages, position, part, head), kv, params.head_dim);
          }
        }
      }
    }
  }

  void do_attention(const ForwardBatch& batch, const Tensor& qkv, const AttentionParams& params,
                    const KvPool& pool, KvLayer layer, const Tensor& out) override {
    const int group = params.num_heads / params.num_kv_heads;
    const int64_t row_size = qkv.shape()[1];
    for (int64_t sequence = 0; sequence < batch.num_sequences(); ++sequence) {
      const auto pages = batch.page_tables[static_cast<std::size_t>(layer.kind)].of(sequence);
      const int32_t end = batch.sequence_offsets[static_cast<std::size_t>(sequence) + 1];
      for (int32_t token = batch.sequence_offsets[static_cast<std::size_t>(sequence)]; token < end; ++token) {
        const int64_t position = batch.positions[static_cast<std::size_t>(token)];
        const int64_t first = params.window == 0 ? 0 : std::max<int64_t>(0, position - params.window + 1);
        for (int head = 0; head < params.num_heads; ++head) {
          const float* query = qkv.as<float>() + token * row_size + int64_t{head} * params.head_dim;
          std::vector<double> scores;
          for (int64_t key = first; key <= position; ++key) {
            const auto k = read_kv(kv_vector(pool, layer, pages, key, 0, head / group), params.head_dim);
            scores.push_back(std::inner_product(k.begin(), k.end(), query, 0.0) * params.scale);
          }
          double largest = *std::max_element(scores.begin(), scores.end());
          if (!params.sinks.empty()) largest = std::max(largest, load(params.sinks, head));
          double denominator = params.sinks.empty() ? 0.0 : std::exp(load(params.sinks, head) - largest);
          for (double& score : scores) {
            score = std::exp(score - largest);
            denominator += score;
          }
          std::vector<double> sums(static_cast<std::size_t>(params.head_dim));
          for (int64_t key = first; key <= position; ++key) {
            const auto v = read_kv(kv_vector(pool, layer, pages, key, 1, head / group), params.head_dim);
            const double probability = scores[static_cast<std::size_t>(key - first)];
            for (std::size_t dim = 0; dim < v.size(); ++dim) sums[dim] += probability * v[dim];
          }
          for (int dim = 0; dim < params.head_dim; ++dim) {
            store(out, (int64_t{token} * params.num_heads + head) * params.head_dim + dim,
                  sums[static_cast<std::size_t>(dim)] / denominator);
          }
        }
      }
    }
  }

  void do_route_top_k(const Tensor& logits, const Tensor& experts, const Tensor& gates) override {
    const int64_t num_experts = logits.shape()[1];
    const int64_t k = experts.shape()[1];
    for (int64_t token = 0; token < logits.shape()[0]; ++token) {
      const float* row = logits.as<float>() + token * num_experts;
      std::vector<int32_t> order(static_cast<std::size_t>(num_experts));
      std::iota(order.begin(), order.end(), 0);
      // NaN sorts last, so that a broken row still routes somewhere; its logits end non-finite and are
      // reported.
      const auto key = [row](int32_t expert) {
        return std::isnan(row[expert]) ? -std::numeric_limits<float>::infinity() : row[expert];
      };
      std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return key(a) > key(b); });
      double denominator = 0.0;
      for (int64_t j = 0; j < k; ++j)
        denominator += std::exp(double{row[order[static_cast<std::size_t>(j)]]} - row[order[0]]);
      for (int64_t j = 0; j < k; ++j) {
        const int32_t expert = order[static_cast<std::size_t>(j)];
        experts.as<int32_t>()[token * k + j] = expert;
        gates.as<float>()[token * k + j] =
            static_cast<float>(std::exp(double{row[expert]} - row[order[0]]) / denominator);
      }
    }
  }

  void do_moe_add(const Tensor& x, const Tensor& experts, const Tensor& gates, const MoeParams& params,
                  const Tensor& inout) override {
    const int64_t hidden_dim = x.shape()[1];
    const int64_t ffn_dim = params.down->cols();
    const int64_t k = params.num_experts_per_token;
    Buffer hidden_buffer = Buffer::allocate_host(static_cast<std::size_t>(ffn_dim) * sizeof(float));
    const Tensor hidden =
        hidden_buffer.view(x.dtype(), Shape{1, ffn_dim});  // what enters a product has the activation's dtype
    for (int64_t token = 0; token < x.shape()[0]; ++token) {
      for (int64_t j = 0; j < k; ++j) {
        const int64_t expert = experts.as<int32_t>()[token * k + j];
        const std::vector<double> numbers = activations(x, token, as_reference(*params.gate_up));
        const auto gate_up = [&](int64_t row) {
          return dot_row(numbers, as_reference(*params.gate_up).row(expert, row)) +
                 load(params.gate_up_bias, expert * 2 * ffn_dim + row);
        };
        for (int64_t i = 0; i < ffn_dim; ++i) {
          const double limit = params.swiglu_limit;
          const double gate = std::min(gate_up(2 * i), limit);
          const double up = std::clamp(gate_up(2 * i + 1), -limit, limit);
          store(hidden, i, gate * sigmoid(params.swiglu_alpha * gate) * (up + 1.0));
        }
        const std::vector<double> activated = activations(hidden, 0, as_reference(*params.down));
        for (int64_t row = 0; row < hidden_dim; ++row) {
          const double sum = dot_row(activated, as_reference(*params.down).row(expert, row)) +
                             load(params.down_bias, expert * hidden_dim + row);
          const int64_t index = token * hidden_dim + row;
          store(inout, index, load(inout, index) + gates.as<float>()[token * k + j] * sum);
        }
      }
    }
  }

  void do_gather_rows(const Tensor& x, const std::vector<int32_t>& rows, const Tensor& out) override {
    const int64_t dim = x.shape()[1];
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::copy_n(x.as<float>() + rows[i] * dim, dim, out.as<float>() + static_cast<int64_t>(i) * dim);
    }
  }
};

}  // namespace

std::unique_ptr<Backend> create_reference_backend() { return std::make_unique<ReferenceBackend>(); }

}  // namespace gossamer
