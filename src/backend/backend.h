// Backend: the contract between models and devices. About fifteen operations at the granularity at which
// devices fuse. Public methods check shapes and dtypes once, then call the private virtual that a backend
// implements, so that a missing operation is a compile error.
//
// Operations are enqueued in order and may finish later; only synchronize() waits. Tensors live on the
// device, are dense and row-major, and keep their addresses from step to step.
//
// Two dtypes meet in a forward pass: the residual stream and the outputs of products are f32; what enters a
// product
// (`activation` below) is bf16 or f32, chosen once per model (BackendOptions of the model's workspace).
//
// The numerics contract (docs/architecture.md): a row of any output depends on its own row of the inputs and
// its own sequence alone, bit for bit.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/forward_batch.h"
#include "backend/kv_pool.h"
#include "tensor/tensor.h"
#include "tensor/weight.h"

namespace gossamer {

class Profiler;

enum class GeluKind {
  kErf,   // x * (1 + erf(x / sqrt 2)) / 2
  kTanh,  // 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))): gelu_new, gelu_fast, gelu_pytorch_tanh
};

// Rotary embedding of the first 2 * inv_freq.size() dimensions of each head, in rotate-half order: dimension
// i is paired with dimension i + inv_freq.size(). angle = float(position) * inv_freq[i] in f32, as the
// reference computes it.
struct Rope {
  std::vector<float> inv_freq;  // empty: no rotary embedding
  float scale = 1.0F;           // multiplies cos and sin (YaRN's attention factor)
};

struct AttentionParams {
  int num_heads = 0;
  int num_kv_heads = 0;
  int head_dim = 0;
  float scale = 1.0F;  // multiplies q.k
  int window = 0;      // a token sees keys j with position - window < j <= position; 0: all j <= position
  Tensor sinks;        // f32 [num_heads]: a logit that joins the softmax's denominator only; may be empty
};

// GPT-OSS's expert feed-forward. Rows 2i and 2i + 1 of gate_up are gate i and up i.
struct MoeParams {
  int num_experts_per_token = 0;
  float swiglu_alpha = 1.702F;
  float swiglu_limit = 7.0F;
  const Weight* gate_up = nullptr;  // num_experts x [2 * ffn_dim, hidden_dim]
  Tensor gate_up_bias;              // f32 [num_experts, 2 * ffn_dim]
  const Weight* down = nullptr;     // num_experts x [hidden_dim, ffn_dim]
  Tensor down_bias;                 // f32 [num_experts, hidden_dim]
};

// The most that a step will ever ask for; a backend makes its own scratch from this before the first step.
struct StepLimits {
  int64_t max_tokens = 0;     // per step
  int64_t max_sequences = 0;  // per step
  int64_t max_positions = 0;  // of one sequence
  int64_t max_cols = 0;       // widest input of any product
  // Of the expert feed-forward; 0 where a model has none.
  int64_t num_experts = 0;
  int64_t num_experts_per_token = 0;
  int64_t hidden_dim = 0;
  int64_t ffn_dim = 0;
  // Of attention.
  int64_t num_heads = 0;
  int64_t head_dim = 0;
};

// Logits of one maximum (Backend::linear_with_maxima).
inline constexpr int64_t kMaximaGroup = 256;
constexpr int64_t num_maxima(int64_t num_logits) { return (num_logits + kMaximaGroup - 1) / kMaximaGroup; }
// Of `count` numbers; NaN where one of them is.
float largest_or_nan(const float* numbers, int64_t count);

// Of the bytes of a WeightImage.
inline constexpr std::size_t kImageAlignment = 64;

class Backend {
 public:
  virtual ~Backend() = default;

  // "cpu", "reference"; and what it runs on, with the kernels it chose, for people.
  virtual std::string name() const = 0;
  virtual std::string describe() const = 0;

  // --- Memory
  // -------------------------------------------------------------------------------------------------------
  // Zeroed device memory. Throws Error with the size when there is not enough.
  virtual Buffer allocate(std::size_t size) const = 0;
  // Throws Error when an int8 cache is asked for wider heads than it takes.
  std::unique_ptr<KvPool> create_kv_pool(const KvPoolConfig& config) const;

  // Host bytes to device and back; sizes must match. download() waits for what is enqueued.
  virtual void upload(const ConstTensor& host, const Tensor& device) = 0;
  virtual void download(const ConstTensor& device, const Tensor& host) = 0;
  // The tensor's bytes where the host can read them in place, after synchronize(); null where it must be
  // downloaded.
  virtual const std::byte* host_view(const ConstTensor&) const { return nullptr; }

  // Work of the engine itself (sampling), on the threads that this backend computes with: body(task, thread)
  // for every task in [0, count), thread in [0, num_host_threads()), in any order; returns when all are done.
  // The body must not throw.
  virtual int num_host_threads() const { return 1; }
  void run_on_host(int64_t count, const std::function<void(int64_t task, int thread)>& body);

  // From here on operations are recorded there, and the parts that threads have in them; null: nowhere. The
  // profiler has num_host_threads() threads and outlives that. Between steps. What is computed is the same.
  virtual void set_profiler(Profiler* profiler) { profiler_ = profiler; }
  virtual Profiler* profiler() const { return profiler_; }

  // Packs a weight for this device. `format` is what it becomes: the source's own, or any other but MXFP4.
  // `for_activation`: the dtype of what will be multiplied with it; kI8: activations come as for any other
  // weight, and products with this one round them to int8, a scale for each token (tensor/quantize.h), where
  // its codes are integers too (not dense). Reads the source once and releases it as it goes.
  std::unique_ptr<Weight> prepare(const WeightSource& source, Format format, DType for_activation);

  // Of each weight that prepared_bytes() counts; a step reads one of them.
  virtual int weight_copies() const { return 1; }
  // Bytes that `prepare` will hold for such a weight, padding included: the memory plan's figure.
  virtual std::size_t prepared_bytes(Format format, int64_t num_experts, int64_t rows,
                                     int64_t cols) const = 0;

  // The prepared form as bytes, which packed model folders hold. Version of its layout, to be raised with
  // every change of it; 0: this backend's weights cannot be written down, and neither of the others is
  // called.
  virtual int image_version() const { return 0; }
  // `weight` was prepared here and outlives the image.
  virtual WeightImage image(const Weight& weight) const;
  // The weight of such an image, whose bytes `memory` holds, at an address that is a multiple of
  // kImageAlignment: used where they are, never copied. Throws Error when the image contradicts itself.
  std::unique_ptr<Weight> adopt(const WeightImage& image, Buffer memory);

  // Makes the scratch for steps within `limits`. Called once, before the first step.
  virtual void reserve(const StepLimits& limits) = 0;
  // Bytes that reserve(limits) takes: the memory plan's figure.
  virtual std::size_t scratch_bytes(const StepLimits& limits) const = 0;

  // --- A step
  // -------------------------------------------------------------------------------------------------------
  // Takes the step's plain data to the device. The batch outlives the step.
  virtual void begin_step(const ForwardBatch& batch) = 0;
  virtual void synchronize() = 0;

  // out[t] = table[ids[t]]. table [vocab, dim]; out f32 [num_tokens, dim]. Ids are in range.
  void embed(const ForwardBatch& batch, const Weight& table, const Tensor& out);
  // inout[t] += table[positions[t]] (GPT-2's learned positions). inout f32 [num_tokens, dim].
  void embed_positions_add(const ForwardBatch& batch, const Weight& table, const Tensor& inout);

  // out = (x - mean) / sqrt(variance + eps) * gain + bias. x f32 [n, dim]; gain, bias f32 [dim]; out
  // activation [n, dim].
  void layer_norm(const Tensor& x, const Tensor& gain, const Tensor& bias, float eps, const Tensor& out);
  // out = x / sqrt(mean(x^2) + eps) * gain. x f32 [n, dim]; gain f32 [dim]; out activation [n, dim].
  void rms_norm(const Tensor& x, const Tensor& gain, float eps, const Tensor& out);

  // out = x W^T + bias. x activation [n, cols]; bias f32 [rows] or empty; out f32 [n, rows].
  void linear(const Tensor& x, const Weight& weight, const Tensor& bias, const Tensor& out);
  // out = x W^T, and maxima[i, j] = the largest of the kMaximaGroup numbers out[i, j * kMaximaGroup ...], NaN
  // where one of them is. For the head: sampling then need not read every logit. out f32 [n, rows]; maxima
  // f32 [n, ceil(rows / kMaximaGroup)].
  void linear_with_maxima(const Tensor& x, const Weight& weight, const Tensor& out, const Tensor& maxima);
  // inout += x W^T + bias. inout f32 [n, rows].
  void linear_add(const Tensor& x, const Weight& weight, const Tensor& bias, const Tensor& inout);

  // out = gelu(x). x f32 [n, dim]; out activation [n, dim].
  void gelu(const Tensor& x, GeluKind kind, const Tensor& out);

  // Rotates q and k, writes k and v into the layer's pages. qkv f32 [num_tokens, (num_heads + 2 num_kv_heads)
  // head_dim]: all q heads, then all k heads, then all v heads. Afterwards the q part holds the rotated q.
  void rope_kv_write(const ForwardBatch& batch, const Tensor& qkv, const AttentionParams& params,
                     const Rope& rope, KvPool& pool, KvLayer layer);
  // out = softmax(scale q k^T, sinks) v over the cached keys, this step's included. qkv as rope_kv_write left
  // it; out activation [num_tokens, num_heads * head_dim].
  void attention(const ForwardBatch& batch, const Tensor& qkv, const AttentionParams& params,
                 const KvPool& pool, KvLayer layer, const Tensor& out);

  // The num_experts_per_token largest logits of each token, in descending order (ties: the lower index
  // first), and the softmax over those. logits f32 [n, num_experts]; experts i32 [n, k]; gates f32 [n, k].
  void route_top_k(const Tensor& logits, const Tensor& experts, const Tensor& gates);
  // inout[t] += sum_j gates[t, j] * expert_{experts[t, j]}(x[t]), added in the order of j.
  // x activation [n, hidden_dim]; inout f32 [n, hidden_dim].
  void moe_add(const Tensor& x, const Tensor& experts, const Tensor& gates, const MoeParams& params,
               const Tensor& inout);

  // out[i] = x[rows[i]]. x f32 [n, dim]; out f32 [rows.size(), dim].
  void gather_rows(const Tensor& x, const std::vector<int32_t>& rows, const Tensor& out);

 private:
  virtual std::unique_ptr<Weight> do_prepare(const WeightSource& source, Format format,
                                             DType for_activation) = 0;
  virtual std::unique_ptr<Weight> do_adopt(const WeightImage& image, Buffer memory);
  virtual void do_embed(const std::vector<int32_t>& rows, const Weight& table, bool add,
                        const Tensor& out) = 0;
  virtual void do_layer_norm(const Tensor& x, const Tensor& gain, const Tensor& bias, float eps,
                             const Tensor& out) = 0;
  virtual void do_rms_norm(const Tensor& x, const Tensor& gain, float eps, const Tensor& out) = 0;
  virtual void do_linear(const Tensor& x, const Weight& weight, const Tensor& bias, bool add,
                         const Tensor& out) = 0;
  // Unless a backend fuses them: the product, then another look at its numbers.
  virtual void do_linear_with_maxima(const Tensor& x, const Weight& weight, const Tensor& out,
                                     const Tensor& maxima);
  virtual void do_gelu(const Tensor& x, GeluKind kind, const Tensor& out) = 0;
  virtual void do_rope_kv_write(const ForwardBatch& batch, const Tensor& qkv, const AttentionParams& params,
                                const Rope& rope, KvPool& pool, KvLayer layer) = 0;
  virtual void do_attention(const ForwardBatch& batch, const Tensor& qkv, const AttentionParams& params,
                            const KvPool& pool, KvLayer layer, const Tensor& out) = 0;
  virtual void do_route_top_k(const Tensor& logits, const Tensor& experts, const Tensor& gates) = 0;
  virtual void do_moe_add(const Tensor& x, const Tensor& experts, const Tensor& gates,
                          const MoeParams& params, const Tensor& inout) = 0;
  virtual void do_gather_rows(const Tensor& x, const std::vector<int32_t>& rows, const Tensor& out) = 0;
  virtual void do_run_on_host(int64_t count, const std::function<void(int64_t task, int thread)>& body) {
    for (int64_t task = 0; task < count; ++task) body(task, 0);
  }

  Profiler* profiler_ = nullptr;
};

}  // namespace gossamer
