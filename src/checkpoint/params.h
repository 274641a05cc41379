// What a model declares, and how a checkpoint fills it. A model never loads: it lists its parameters with
// name, shape and shard axis; this room finds them in whichever layout they are stored, checks dtype and
// shape, and hands each to the backend. Matrices become prepared Weights, vectors become f32 tensors on the
// device.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "tensor/tensor.h"
#include "tensor/weight.h"

namespace gossamer {

// Along which axis several ranks divide a parameter. One rank holds all of everything; the axis is declared
// anyway.
enum class ShardAxis { kReplicated, kRows, kCols, kExperts };

// What a matrix is for; `--weights` chooses formats by it.
enum class WeightRole {
  kEmbedding,  // looked up, never multiplied
  kDense,      // attention and dense feed-forward
  kRouter,
  kExperts,
  kHead,  // the output projection; also an embedding that is tied to it
};

// A tensor of the checkpoint that makes up some rows of a parameter.
struct ParamPart {
  std::string name;
  int64_t rows = 0;
};

// A matrix [rows, cols], or num_experts of them. Expert matrices are found as `NAME_blocks` + `NAME_scales`
// (MXFP4, [E, rows, cols / 32, 16] and [E, rows, cols / 32]) or as `NAME` (dense, transposed: [E, cols,
// rows]).
struct MatrixParam {
  std::vector<ParamPart> parts = {};  // stacked in this order
  int64_t num_experts = 0;            // 0: not an expert matrix
  int64_t cols = 0;
  bool transposed = false;                  // stored [cols, rows] (Conv1D)
  std::span<const int32_t> row_order = {};  // see WeightSource::row_order
  // The norm, by the name that its vectors give too, whose output and nothing else it is multiplied with;
  // empty: its input is another. Only where that output goes into such matrices alone.
  std::string input_norm = {};
  std::span<const float> col_scales = {};  // see WeightSource::col_scales
  ShardAxis shard = ShardAxis::kReplicated;
  WeightRole role = WeightRole::kDense;
  int64_t rows_per_token =
      0;  // rows times experts that one token is multiplied with; 0 for tables that are looked up
  std::unique_ptr<Weight>* weight = nullptr;  // where it goes

  int64_t rows() const;
};

// A vector, or [num_experts, rows] of them (expert biases).
struct VectorParam {
  std::vector<ParamPart> parts = {};
  int64_t num_experts = 0;
  std::span<const int32_t> row_order = {};
  std::string norm = {};                 // the norm whose gain or bias it is (MatrixParam::input_norm)
  std::span<const float> divisors = {};  // when not empty: number i is divided by divisors[i]
  ShardAxis shard = ShardAxis::kReplicated;
  Tensor* tensor = nullptr;

  int64_t rows() const;
  Shape shape() const;  // [rows] or [num_experts, rows]
};

struct ParamList {
  // Declares NAME.weight and, where `bias` is not null, NAME.bias, [dim].
  void add_norm(const std::string& name, int64_t dim, Tensor& gain, Tensor* bias);

  std::vector<MatrixParam> matrices;
  std::vector<VectorParam> vectors;
  std::vector<std::string> ignored;  // tensors that may be there and are not needed (causal masks, inv_freq)
};

// How a declared matrix is stored: what the memory plan and `inspect` report.
struct ResolvedMatrix {
  const MatrixParam* param = nullptr;
  WeightSource source;
};

// Finds every declared parameter, vectors too, and checks all dtypes and shapes. Dense matrices may be F32,
// BF16 or F16 (the parts of one matrix alike); vectors may also be F64. The result is in the order of
// params.matrices and refers to `params` and `checkpoint`. Throws one Error naming the first missing,
// misshapen or unexpected tensor (and how many more there are), before anything is loaded.
std::vector<ResolvedMatrix> resolve_matrices(const Checkpoint& checkpoint, const ParamList& params);

// What loading calls for each parameter, in the order of the files.
struct ParamSink {
  std::function<std::unique_ptr<Weight>(const ResolvedMatrix&)> prepare;
  std::function<Tensor(const VectorParam&, const ConstTensor& host_f32)> upload;
  // After each parameter: stored bytes done and in all. May be empty.
  std::function<void(std::size_t done, std::size_t total)> progress;
};

// Checks everything, then loads. Peak memory beyond the prepared weights stays small: sources are released as
// they go.
void load_params(const Checkpoint& checkpoint, const ParamList& params, const ParamSink& sink);

}  // namespace gossamer
