// The production CPU backend: packed weights, one kernel table per instruction set chosen once, a thread
// pool. Every operation is complete when it returns. Implemented by cpu_backend.cc (memory, row-wise
// operations), cpu_linear.cc (products, experts) and cpu_attention.cc; the arithmetic is in the kernel
// tables.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/kernel_table.h"
#include "backend/cpu/packed_weight.h"
#include "backend/cpu/placement.h"
#include "backend/cpu/scratch.h"
#include "base/thread_pool.h"

namespace gossamer {

// `num_threads` 0: the physical cores allowed to this process. `instruction_set` empty: the best one here;
// throws Error when this machine lacks it.
std::unique_ptr<Backend> create_cpu_backend(int num_threads, std::string_view instruction_set,
                                            const cpu::PlacementOptions& placement);

namespace cpu {

// Numbers below which a row-wise operation stays on the calling thread: a parallel region costs a few
// microseconds, as much as this many numbers.
inline constexpr int64_t kSerialNumbers = 16384;

class CpuBackend final : public Backend {
 public:
  CpuBackend(const KernelTable& kernels, int num_threads, Placement placement);

  std::string name() const override { return "cpu"; }
  std::string describe() const override;
  Buffer allocate(std::size_t size) const override { return Buffer::allocate_host(size); }
  void upload(const ConstTensor& host, const Tensor& device) override;
  void download(const ConstTensor& device, const Tensor& host) override;
  const std::byte* host_view(const ConstTensor& device) const override { return device.bytes(); }
  int num_host_threads() const override { return pool_.num_threads(); }
  void set_profiler(Profiler* profiler) override {
    Backend::set_profiler(profiler);
    pool_.set_profiler(profiler);
  }
  int weight_copies() const override;
  std::size_t prepared_bytes(Format format, int64_t num_experts, int64_t rows, int64_t cols) const override;
  int image_version() const override { return kPackedLayoutVersion; }
  WeightImage image(const Weight& weight) const override;
  void reserve(const StepLimits& limits) override;
  std::size_t scratch_bytes(const StepLimits& limits) const override;
  void begin_step(const ForwardBatch& batch) override;
  void synchronize() override {}

 private:
  // Consecutive tokens of one sequence: the queries of one task of attention, times one kv head's heads.
  struct QueryTile {
    int32_t sequence;
    int32_t first_token;  // of the batch
    int32_t num_tokens;
  };
  // How a kernel takes its activations: row after row as they are or as f32, in tiles (LinearArgs::x), or as
  // integers (QuantizeArgs).
  enum class Arrangement { kAsIs, kWide, kTiles, kInt8, kInt16 };
  struct ChosenLinear {
    LinearKernel kernel;
    Arrangement arrangement;
  };
  // Arranged activations.
  struct LinearInput {
    const std::byte* x = nullptr;
    int64_t row_bytes = 0;
    int64_t stride = 0;  // in numbers
    // Of integers.
    int64_t groups = 0;
    const float* scales = nullptr;  // [rows, groups]
    const int32_t* sums = nullptr;  // [rows, groups]
  };
  // cos and sin of the step's positions for one Rope; models have one, so that layers share it.
  struct RopeTable {
    std::vector<float> inv_freq;
    float scale = 0.0F;
    bool valid = false;
  };

  // The nodes beyond the first that have weights of their own.
  std::span<const int> copy_nodes() const;
  std::unique_ptr<Weight> do_prepare(const WeightSource& source, Format format,
                                     DType for_activation) override;
  std::unique_ptr<Weight> do_adopt(const WeightImage& image, Buffer memory) override;
  void do_embed(const std::vector<int32_t>& rows, const Weight& table, bool add, const Tensor& out) override;
  void do_layer_norm(const Tensor& x, const Tensor& gain, const Tensor& bias, float eps,
                     const Tensor& out) override;
  void do_rms_norm(const Tensor& x, const Tensor& gain, float eps, const Tensor& out) override;
  void do_linear(const Tensor& x, const Weight& weight, const Tensor& bias, bool add,
                 const Tensor& out) override;
  void do_linear_with_maxima(const Tensor& x, const Weight& weight, const Tensor& out,
                             const Tensor& maxima) override;
  void do_gelu(const Tensor& x, GeluKind kind, const Tensor& out) override;
  void do_rope_kv_write(const ForwardBatch& batch, const Tensor& qkv, const AttentionParams& params,
                        const Rope& rope, KvPool& pool, KvLayer layer) override;
  void do_attention(const ForwardBatch& batch, const Tensor& qkv, const AttentionParams& params,
                    const KvPool& pool, KvLayer layer, const Tensor& out) override;
  void do_route_top_k(const Tensor& logits, const Tensor& experts, const Tensor& gates) override;
  void do_moe_add(const Tensor& x, const Tensor& experts, const Tensor& gates, const MoeParams& params,
                  const Tensor& inout) override;
  void do_gather_rows(const Tensor& x, const std::vector<int32_t>& rows, const Tensor& out) override;
  void do_run_on_host(int64_t count, const std::function<void(int64_t task, int thread)>& body) override {
    pool_.parallel_for(count, body);
  }

  // Calls row(i) for i in [0, n), on all threads when the rows of `dim` numbers are worth it.
  template <typename Row>
  void for_each_row(int64_t n, int64_t dim, Row row);
  void norm_rows(void (*kernel)(const NormArgs&), const NormArgs& args, const Tensor& x, const Tensor& out);

  ChosenLinear choose_linear(const PackedWeight& weight, DType activation) const;
  // x [n, cols] as a kernel wants it: x itself or a copy in scratch. segment_of(row) gives the rows
  // {begin, end} that go through one product together.
  template <typename SegmentOf>
  LinearInput arrange(const ConstTensor& x, const PackedWeight& weight, Arrangement arrangement,
                      SegmentOf segment_of);
  LinearInput quantize(const ConstTensor& x, bool to_int8, int32_t offset);
  // What depends on neither bias nor output nor the task's panels, for rows [first_row, first_row +
  // num_rows).
  LinearArgs linear_args(const LinearInput& input, const PackedWeight& weight, int64_t expert,
                         int64_t first_row, int64_t num_rows, int thread) const;
  // A product in tasks of a multiple of `panel_multiple` panels, each followed by after(args, first_token) on
  // the same thread.
  template <typename After>
  void linear_tasks(const Tensor& x, const Weight& weight, const Tensor& bias, bool add, const Tensor& out,
                    int64_t panel_multiple, After after);
  // Panels per task so that threads finish together.
  int64_t panels_per_task(int64_t num_panels) const;

  // Groups the tokens' slots by expert; fills slot_order, slot_row and expert_begin of the scratch.
  void group_slots(const int32_t* experts, int64_t num_slots, int64_t num_experts);
  // Products of every expert's slots (rows of x and out in grouped order), followed by after(args,
  // first_slot) on the same thread.
  template <typename After>
  void linear_experts(const PackedWeight& weight, const int32_t* experts, const ConstTensor& x,
                      const Tensor& bias, float* out, After after);

  // cos [num_tokens, half] and sin [num_tokens, half] for this step.
  const float* rope_table(const ForwardBatch& batch, const Rope& rope);

  const KernelTable& kernels_;
  Placement placement_;
  ThreadPool pool_;
  StepLimits limits_;
  ScratchLayout layout_;
  Buffer scratch_;
  RopeTable rope_;
};

template <typename Row>
void CpuBackend::for_each_row(int64_t n, int64_t dim, Row row) {
  if (n * dim <= kSerialNumbers) {
    for (int64_t i = 0; i < n; ++i) row(i);
    return;
  }
  const int64_t rows_per_task = std::max<int64_t>(1, kSerialNumbers / std::max<int64_t>(1, dim));
  pool_.parallel_for((n + rows_per_task - 1) / rows_per_task, [&](int64_t task, int) {
    const int64_t end = std::min(n, (task + 1) * rows_per_task);
    for (int64_t i = task * rows_per_task; i < end; ++i) row(i);
  });
}

}  // namespace cpu
}  // namespace gossamer
