#include "engine/step_cost.h"

#include "tensor/dtype.h"

namespace gossamer {
CostModel::CostModel(const ModelFolder& folder, const Backend& backend) : info_(folder.model->info()) {
  for (const ResolvedMatrix& matrix : folder.matrices) {
    const MatrixParam& param = *matrix.param;
    const WeightSource& source = matrix.source;
    const double bytes = copy_bytes(backend.prepared_bytes(folder.precision.format_of(matrix),
                                                           source.num_experts, source.rows, source.cols),
                                    backend.weight_copies());
    const double operations = product_flops(param.rows_per_token, source.cols);
    // A tied table is both looked up and multiplied with; the row that is looked up disappears in the rest.
    if (param.num_experts > 0) {
      expert_bytes_ += bytes / static_cast<double>(info_.num_experts * info_.num_layers);
      body_operations_ += operations;
    } else if (param.role == WeightRole::kHead) {
      head_bytes_ += bytes;
      head_operations_ += operations;
    } else if (param.rows_per_token > 0) {
      body_bytes_ += bytes;
      body_operations_ += operations;
    } else {
      table_bytes_ += bytes;
      lookup_bytes_ += bytes / static_cast<double>(source.rows);
    }
  }
  for (const VectorParam& vector : folder.params.vectors) {
    const double bytes = static_cast<double>(vector.rows()) * sizeof(float);
    if (vector.num_experts > 0) {
      expert_bytes_ += bytes / static_cast<double>(info_.num_layers);
    } else {
      body_bytes_ += bytes;
    }
  }
  const KvPoolConfig pool{.kinds = {},
                          .num_kv_heads = info_.attention.num_kv_heads,
                          .head_dim = info_.attention.head_dim,
                          .dtype = folder.precision.kv_cache};
  kv_position_bytes_ = kv_position_bytes(pool);
}

double CostModel::weight_bytes() const {
  return body_bytes_ + head_bytes_ + table_bytes_ +
         expert_bytes_ * static_cast<double>(info_.num_experts * info_.num_layers);
}

double CostModel::expected_experts(int64_t num_tokens) const {
  return info_.num_layers *
         gossamer::expected_experts(info_.num_experts, info_.num_experts_per_token, num_tokens);
}

StepCost CostModel::cost(const StepWork& work) const {
  StepCost cost;
  double tokens = 0.0;
  double keys = 0.0;
  for (const TokenSpan& span : work.sequences) {
    tokens += static_cast<double>(span.end - span.begin);
    for (const KvLayer& layer : info_.layers) {
      const int window = info_.windows[static_cast<std::size_t>(layer.kind)];
      keys += seen_keys(span, window);
      cost.kv_read_bytes += kv_position_bytes_ * read_positions(span, window);
    }
  }
  cost.kv_write_bytes = kv_position_bytes_ * tokens * info_.num_layers;
  cost.weight_bytes = body_bytes_ + lookup_bytes_ * tokens + expert_bytes_ * work.experts_touched +
                      (work.logit_rows > 0 ? head_bytes_ : 0.0);
  cost.operations = body_operations_ * tokens + head_operations_ * static_cast<double>(work.logit_rows) +
                    attention_flops(info_.attention, keys);
  return cost;
}

}  // namespace gossamer
