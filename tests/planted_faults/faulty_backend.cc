#include "tests/planted_faults/faulty_backend.h"

#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

namespace gossamer::test {
namespace {

class FaultyBackend final : public Backend {
 public:
  FaultyBackend(std::unique_ptr<Backend> backend, BackendFaults faults)
      : backend_(std::move(backend)), faults_(faults) {}

  std::string name() const override { return backend_->name(); }
  std::string describe() const override { return backend_->describe(); }
  Buffer allocate(std::size_t size) const override { return backend_->allocate(size); }
  void upload(const ConstTensor& host, const Tensor& device) override { backend_->upload(host, device); }
  void download(const ConstTensor& device, const Tensor& host) override { backend_->download(device, host); }
  const std::byte* host_view(const ConstTensor& device) const override { return backend_->host_view(device); }
  int num_host_threads() const override { return backend_->num_host_threads(); }
  void set_profiler(Profiler* profiler) override { backend_->set_profiler(profiler); }
  Profiler* profiler() const override { return backend_->profiler(); }
  int weight_copies() const override { return backend_->weight_copies(); }
  std::size_t prepared_bytes(Format format, int64_t num_experts, int64_t rows, int64_t cols) const override {
    return backend_->prepared_bytes(format, num_experts, rows, cols);
  }
  void reserve(const StepLimits& limits) override {
    hidden_dim_ = limits.hidden_dim;
    backend_->reserve(limits);
  }
  std::size_t scratch_bytes(const StepLimits& limits) const override {
    return backend_->scratch_bytes(limits);
  }
  void begin_step(const ForwardBatch& batch) override { backend_->begin_step(batch); }
  void synchronize() override { backend_->synchronize(); }

 private:
  void do_run_on_host(int64_t count, const std::function<void(int64_t task, int thread)>& body) override {
    backend_->run_on_host(count, body);
  }
  std::unique_ptr<Weight> do_prepare(const WeightSource& source, Format format,
                                     DType for_activation) override {
    if (!faults_.swap_nibbles || source.format != Format::kMxfp4)
      return backend_->prepare(source, format, for_activation);
    WeightSource swapped = source;
    swapped.release = nullptr;  // its bytes are ours
    std::vector<std::vector<uint8_t>> codes;
    for (WeightPart& part : swapped.parts) {
      std::vector<uint8_t>& bytes = codes.emplace_back(part.codes.size_bytes());
      std::memcpy(bytes.data(), part.codes.bytes(), bytes.size());
      for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(byte << 4 | byte >> 4);
      part.codes = ConstTensor(bytes.data(), part.codes.dtype(), part.codes.shape());
    }
    return backend_->prepare(swapped, format, for_activation);
  }

  void do_attention(const ForwardBatch& batch, const Tensor& qkv, const AttentionParams& params,
                    const KvPool& pool, KvLayer layer, const Tensor& out) override {
    AttentionParams wrong = params;
    if (faults_.no_sinks) wrong.sinks = Tensor();
    if (faults_.wrong_head_scale)
      wrong.scale = 1.0F / std::sqrt(static_cast<float>(hidden_dim_) / static_cast<float>(params.num_heads));
    backend_->attention(batch, qkv, wrong, pool, layer, out);
  }

  void do_moe_add(const Tensor& x, const Tensor& experts, const Tensor& gates, const MoeParams& params,
                  const Tensor& inout) override {
    MoeParams wrong = params;
    if (faults_.no_expert_bias) {
      no_bias_ = backend_->allocate(params.down_bias.size_bytes());
      wrong.down_bias = no_bias_.view(DType::kF32, params.down_bias.shape());
    }
    backend_->moe_add(x, experts, gates, wrong, inout);
  }

  void do_linear(const Tensor& x, const Weight& weight, const Tensor& bias, bool add,
                 const Tensor& out) override {
    if (add) {
      backend_->linear_add(x, weight, bias, out);
    } else {
      backend_->linear(x, weight, bias, out);
    }
  }
  void do_linear_with_maxima(const Tensor& x, const Weight& weight, const Tensor& out,
                             const Tensor& maxima) override {
    backend_->linear_with_maxima(x, weight, out, maxima);
  }
  void do_embed(const std::vector<int32_t>& rows, const Weight& table, bool add, const Tensor& out) override {
    ForwardBatch batch;  // of which an embedding reads these alone
    batch.ids = rows;
    batch.positions = rows;
    if (add) {
      backend_->embed_positions_add(batch, table, out);
    } else {
      backend_->embed(batch, table, out);
    }
  }
  void do_layer_norm(const Tensor& x, const Tensor& gain, const Tensor& bias, float eps,
                     const Tensor& out) override {
    backend_->layer_norm(x, gain, bias, eps, out);
  }
  void do_rms_norm(const Tensor& x, const Tensor& gain, float eps, const Tensor& out) override {
    backend_->rms_norm(x, gain, eps, out);
  }
  void do_gelu(const Tensor& x, GeluKind kind, const Tensor& out) override { backend_->gelu(x, kind, out); }
  void do_rope_kv_write(const ForwardBatch& batch, const Tensor& qkv, const AttentionParams& params,
                        const Rope& rope, KvPool& pool, KvLayer layer) override {
    backend_->rope_kv_write(batch, qkv, params, rope, pool, layer);
  }
  void do_route_top_k(const Tensor& logits, const Tensor& experts, const Tensor& gates) override {
    backend_->route_top_k(logits, experts, gates);
  }
  void do_gather_rows(const Tensor& x, const std::vector<int32_t>& rows, const Tensor& out) override {
    backend_->gather_rows(x, rows, out);
  }

  std::unique_ptr<Backend> backend_;
  BackendFaults faults_;
  int64_t hidden_dim_ = 0;
  Buffer no_bias_;
};

}  // namespace

std::unique_ptr<Backend> create_faulty_backend(std::unique_ptr<Backend> backend, BackendFaults faults) {
  return std::make_unique<FaultyBackend>(std::move(backend), faults);
}

}  // namespace gossamer::test
