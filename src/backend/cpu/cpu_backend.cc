#include "backend/cpu/cpu_backend.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "backend/cpu/levels.h"
#include "base/check.h"
#include "base/cpu_info.h"

namespace gossamer {
namespace cpu {
static_assert(kNumFormats == gossamer::kNumFormats);

CpuBackend::CpuBackend(const KernelTable& kernels, int num_threads, Placement placement)
    : kernels_(kernels), placement_(std::move(placement)), pool_(num_threads, placement_.thread_cpus) {}

std::string CpuBackend::describe() const {
  std::string text = fmt::format("cpu: {}, {} threads on {}{}", kernels_.level, pool_.num_threads(),
                                 cpu_model_name(), placement_.description);
  for (const Format format : kAllFormats) {
    const auto index = static_cast<std::size_t>(format);
    const char* bf16 = "widened, f32 fma";
    if (kernels_.linear_bf16_tiles[index] != nullptr) {
      bf16 = kernels_.linear_bf16_tiles_name;
    } else if (kernels_.linear_bf16[index] != nullptr) {
      bf16 = kernels_.linear_bf16_name;
    } else if (kernels_.int16_codes && kernels_.linear_integer[index] != nullptr) {
      bf16 = kernels_.linear_integer_name;
    }
    text += fmt::format("\n  {:<7} weights: f32 activations f32 fma; bf16 activations {}",
                        format_info(format).name, bf16);
    if (kernels_.linear_integer[index] != nullptr) {
      text += fmt::format("; int8 activations {}", kernels_.linear_integer_name);
    }
  }
  return text;
}

void CpuBackend::upload(const ConstTensor& host, const Tensor& device) {
  GOSSAMER_CHECK_EQ(host.size_bytes(), device.size_bytes());
  if (host.size_bytes() > 0) std::memcpy(device.bytes(), host.bytes(), host.size_bytes());
}

void CpuBackend::download(const ConstTensor& device, const Tensor& host) {
  GOSSAMER_CHECK_EQ(host.size_bytes(), device.size_bytes());
  if (host.size_bytes() > 0) std::memcpy(host.bytes(), device.bytes(), host.size_bytes());
}

std::size_t CpuBackend::prepared_bytes(Format format, int64_t num_experts, int64_t rows, int64_t cols) const {
  return packed_bytes(format, num_experts, rows, cols) * static_cast<std::size_t>(weight_copies());
}

std::span<const int> CpuBackend::copy_nodes() const {
  if (placement_.thread_copies.empty()) return {};
  return std::span(placement_.weight_nodes).subspan(1);
}

int CpuBackend::weight_copies() const { return 1 + static_cast<int>(copy_nodes().size()); }

void CpuBackend::reserve(const StepLimits& limits) {
  limits_ = limits;
  layout_ = ScratchLayout(limits, pool_.num_threads());
  scratch_ = Buffer::allocate_host(layout_.total);
  rope_.inv_freq.reserve(static_cast<std::size_t>(limits.head_dim));
  rope_.valid = false;
}

std::size_t CpuBackend::scratch_bytes(const StepLimits& limits) const {
  return ScratchLayout(limits, pool_.num_threads()).total;
}

void CpuBackend::begin_step(const ForwardBatch& batch) {
  GOSSAMER_CHECK_LE(batch.num_tokens(), limits_.max_tokens);
  auto* sequences = layout_.token_sequence.in<int32_t>(scratch_);
  for (int64_t s = 0; s < batch.num_sequences(); ++s) {
    const auto i = static_cast<std::size_t>(s);
    std::fill(sequences + batch.sequence_offsets[i], sequences + batch.sequence_offsets[i + 1],
              static_cast<int32_t>(s));
  }
  rope_.valid = false;
}

std::unique_ptr<Weight> CpuBackend::do_prepare(const WeightSource& source, Format format,
                                               DType for_activation) {
  const std::span<const int> nodes(placement_.weight_nodes);
  auto weight = pack_weight(source, format, for_activation == DType::kI8,
                            copy_nodes().empty() ? nodes : nodes.first(1), pool_);
  weight->replicate(copy_nodes(), pool_);
  return weight;
}

WeightImage CpuBackend::image(const Weight& weight) const {
  return static_cast<const PackedWeight&>(weight).image();
}

std::unique_ptr<Weight> CpuBackend::do_adopt(const WeightImage& image, Buffer memory) {
  auto weight = std::make_unique<PackedWeight>(image, std::move(memory));
  weight->replicate(copy_nodes(), pool_);
  return weight;
}

void CpuBackend::do_embed(const std::vector<int32_t>& rows, const Weight& table, bool add,
                          const Tensor& out) {
  const auto& weight = static_cast<const PackedWeight&>(table);
  const int64_t dim = weight.cols();
  auto* numbers = out.as<float>();
  for_each_row(static_cast<int64_t>(rows.size()), dim, [&](int64_t i) {
    weight.read_row(rows[static_cast<std::size_t>(i)], add, numbers + i * dim);
  });
}

void CpuBackend::norm_rows(void (*kernel)(const NormArgs&), const NormArgs& args, const Tensor& x,
                           const Tensor& out) {
  const int64_t dim = x.shape()[1];
  const auto out_row_bytes = dim * static_cast<int64_t>(dtype_size(out.dtype()));
  for_each_row(x.shape()[0], dim, [&](int64_t i) {
    NormArgs row = args;
    row.x = x.as<float>() + i * dim;
    row.out = out.bytes() + i * out_row_bytes;
    row.out_bf16 = out.dtype() == DType::kBf16;
    row.dim = dim;
    kernel(row);
  });
}

void CpuBackend::do_layer_norm(const Tensor& x, const Tensor& gain, const Tensor& bias, float eps,
                               const Tensor& out) {
  norm_rows(kernels_.layer_norm, {.gain = gain.as<float>(), .bias = bias.as<float>(), .eps = eps}, x, out);
}

void CpuBackend::do_rms_norm(const Tensor& x, const Tensor& gain, float eps, const Tensor& out) {
  norm_rows(kernels_.rms_norm, {.gain = gain.as<float>(), .eps = eps}, x, out);
}

void CpuBackend::do_gelu(const Tensor& x, GeluKind kind, const Tensor& out) {
  const int64_t dim = x.shape()[1];
  const auto out_row_bytes = dim * static_cast<int64_t>(dtype_size(out.dtype()));
  const auto kernel = kind == GeluKind::kErf ? kernels_.gelu_erf : kernels_.gelu_tanh;
  for_each_row(x.shape()[0], dim, [&](int64_t i) {
    kernel(x.as<float>() + i * dim, out.bytes() + i * out_row_bytes, out.dtype() == DType::kBf16, dim);
  });
}

void CpuBackend::do_route_top_k(const Tensor& logits, const Tensor& experts, const Tensor& gates) {
  const int64_t num_experts = logits.shape()[1];
  const int64_t k = experts.shape()[1];
  for_each_row(logits.shape()[0], num_experts * k, [&](int64_t token) {
    const float* row = logits.as<float>() + token * num_experts;
    int32_t* chosen = experts.as<int32_t>() + token * k;
    float* gate = gates.as<float>() + token * k;
    // NaN sorts last, so that a broken row still routes somewhere; its logits end non-finite and are
    // reported.
    const auto key = [row](int32_t expert) {
      return std::isnan(row[expert]) ? -std::numeric_limits<float>::infinity() : row[expert];
    };
    int64_t count = 0;
    for (int32_t expert = 0; expert < num_experts; ++expert) {  // insertion into a sorted list of k
      int64_t place = count;
      while (place > 0 && key(expert) > key(chosen[place - 1])) --place;
      if (place == k) continue;
      count = std::min(count + 1, k);
      for (int64_t j = count - 1; j > place; --j) chosen[j] = chosen[j - 1];
      chosen[place] = expert;
    }
    double sum = 0.0;
    for (int64_t j = 0; j < k; ++j) sum += std::exp(double{row[chosen[j]]} - double{row[chosen[0]]});
    for (int64_t j = 0; j < k; ++j) {
      gate[j] = static_cast<float>(std::exp(double{row[chosen[j]]} - double{row[chosen[0]]}) / sum);
    }
  });
}

void CpuBackend::do_gather_rows(const Tensor& x, const std::vector<int32_t>& rows, const Tensor& out) {
  const int64_t dim = x.shape()[1];
  for (std::size_t i = 0; i < rows.size(); ++i) {
    GOSSAMER_CHECK(rows[i] >= 0 && rows[i] < x.shape()[0]);
    std::memcpy(out.as<float>() + static_cast<int64_t>(i) * dim, x.as<float>() + rows[i] * dim,
                static_cast<std::size_t>(dim) * sizeof(float));
  }
}

}  // namespace cpu

std::unique_ptr<Backend> create_cpu_backend(int num_threads, std::string_view instruction_set,
                                            const cpu::PlacementOptions& placement) {
  const cpu::KernelTable& kernels = cpu::choose_kernels(instruction_set);
  num_threads = threads_or_default(num_threads);
  return std::make_unique<cpu::CpuBackend>(kernels, num_threads,
                                           cpu::choose_placement(num_threads, placement));
}

}  // namespace gossamer
