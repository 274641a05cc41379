#include "backend/observing_backend.h"

#include <map>
#include <utility>

#include "base/half.h"

namespace gossamer {
namespace {

class ObservingBackend final : public Backend {
 public:
  ObservingBackend(std::unique_ptr<Backend> backend, ProductObserver observer)
      : backend_(std::move(backend)), observer_(std::move(observer)) {}

  std::string name() const override { return backend_->name(); }
  std::string describe() const override { return backend_->describe(); }
  Buffer allocate(std::size_t size) const override { return backend_->allocate(size); }
  void upload(const ConstTensor& host, const Tensor& device) override { backend_->upload(host, device); }
  void download(const ConstTensor& device, const Tensor& host) override { backend_->download(device, host); }
  const std::byte* host_view(const ConstTensor& device) const override { return backend_->host_view(device); }
  int num_host_threads() const override { return backend_->num_host_threads(); }
  // The other's operations, without what observing adds.
  void set_profiler(Profiler* profiler) override { backend_->set_profiler(profiler); }
  Profiler* profiler() const override { return backend_->profiler(); }
  int weight_copies() const override { return backend_->weight_copies(); }
  std::size_t prepared_bytes(Format format, int64_t num_experts, int64_t rows, int64_t cols) const override {
    return backend_->prepared_bytes(format, num_experts, rows, cols);
  }
  void reserve(const StepLimits& limits) override { backend_->reserve(limits); }
  std::size_t scratch_bytes(const StepLimits& limits) const override {
    return backend_->scratch_bytes(limits);
  }
  void begin_step(const ForwardBatch& batch) override { backend_->begin_step(batch); }
  void synchronize() override { backend_->synchronize(); }

 private:
  std::unique_ptr<Weight> do_prepare(const WeightSource& source, Format format,
                                     DType for_activation) override {
    if (observer_.on_prepare) observer_.on_prepare(source);
    auto weight = backend_->prepare(source, format, for_activation);
    names_[weight.get()] = source.name;
    return weight;
  }

  void do_linear(const Tensor& x, const Weight& weight, const Tensor& bias, bool add,
                 const Tensor& out) override {
    show_input(weight, x);
    const std::vector<float> before = add ? output_before(out) : std::vector<float>();
    if (add) {
      backend_->linear_add(x, weight, bias, out);
    } else {
      backend_->linear(x, weight, bias, out);
    }
    show_output(weight, before, out);
  }
  void do_moe_add(const Tensor& x, const Tensor& experts, const Tensor& gates, const MoeParams& params,
                  const Tensor& inout) override {
    show_input(*params.gate_up, x);
    const std::vector<float> before = output_before(inout);
    backend_->moe_add(x, experts, gates, params, inout);
    show_output(*params.down, before, inout);
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
  void do_attention(const ForwardBatch& batch, const Tensor& qkv, const AttentionParams& params,
                    const KvPool& pool, KvLayer layer, const Tensor& out) override {
    backend_->attention(batch, qkv, params, pool, layer, out);
  }
  void do_route_top_k(const Tensor& logits, const Tensor& experts, const Tensor& gates) override {
    backend_->route_top_k(logits, experts, gates);
  }
  void do_gather_rows(const Tensor& x, const std::vector<int32_t>& rows, const Tensor& out) override {
    backend_->gather_rows(x, rows, out);
  }
  void do_run_on_host(int64_t count, const std::function<void(int64_t task, int thread)>& body) override {
    backend_->run_on_host(count, body);
  }

  // A device tensor's numbers, when what is enqueued has made them.
  std::vector<float> read(const Tensor& tensor) {
    std::vector<float> numbers(static_cast<std::size_t>(tensor.shape().num_elements()));
    if (tensor.dtype() == DType::kF32) {
      backend_->download(tensor, Tensor(numbers.data(), DType::kF32, tensor.shape()));
      return numbers;
    }
    std::vector<uint16_t> bits(numbers.size());
    backend_->download(tensor, Tensor(bits.data(), DType::kBf16, tensor.shape()));
    for (std::size_t i = 0; i < bits.size(); ++i) numbers[i] = bf16_to_float(bits[i]);
    return numbers;
  }
  std::vector<float> output_before(const Tensor& out) {
    return observer_.on_output ? read(out) : std::vector<float>();
  }
  void show_input(const Weight& weight, const Tensor& x) {
    if (!observer_.on_input) return;
    const std::vector<float> numbers = read(x);
    observer_.on_input(names_.at(&weight), {numbers.data(), x.shape()[0], x.shape()[1]});
  }
  // `before` is empty where the product replaced what was there.
  void show_output(const Weight& weight, const std::vector<float>& before, const Tensor& out) {
    if (!observer_.on_output) return;
    std::vector<float> numbers = read(out);
    for (std::size_t i = 0; i < before.size(); ++i) numbers[i] -= before[i];
    observer_.on_output(names_.at(&weight), {numbers.data(), out.shape()[0], out.shape()[1]});
  }

  std::unique_ptr<Backend> backend_;
  ProductObserver observer_;
  std::map<const Weight*, std::string> names_;
};

}  // namespace

std::unique_ptr<Backend> create_observing_backend(std::unique_ptr<Backend> backend,
                                                  ProductObserver observer) {
  return std::make_unique<ObservingBackend>(std::move(backend), std::move(observer));
}

}  // namespace gossamer
