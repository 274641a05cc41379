#include "engine/step_cost.h"

#include <algorithm>
#include <cmath>

#include "tensor/dtype.h"

namespace gossamer {
namespace {

// The sum of min(position + 1, window) over the positions [0, end): what tokens up to there see.
double sum_seen(int64_t end, int window) {
  const auto triangle = [](double n) { return n * (n + 1) / 2; };
  const auto n = static_cast<double>(end);
  const auto w = static_cast<double>(window);
  if (window == 0 || end <= window) return triangle(n);
  return triangle(w) + (n - w) * w;
}

}  // namespace

CostModel::CostModel(const ModelFolder& folder, const Backend& backend) : info_(folder.model->info()) {
  for (const ResolvedMatrix& matrix : folder.matrices) {
    const MatrixParam& param = *matrix.param;
    const WeightSource& source = matrix.source;
    const double bytes =
        static_cast<double>(backend.prepared_bytes(folder.precision.format_of(matrix), source.num_experts,
                                                   source.rows, source.cols)) /
        backend.weight_copies();
    const double operations = 2.0 * static_cast<double>(param.rows_per_token * source.cols);
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
  kv_position_bytes_ = static_cast<double>(KvPool::page_bytes(pool)) / kPageTokens;
}

double CostModel::weight_bytes() const {
  return body_bytes_ + head_bytes_ + table_bytes_ +
         expert_bytes_ * static_cast<double>(info_.num_experts * info_.num_layers);
}

double CostModel::expected_experts(int64_t num_tokens) const {
  if (info_.num_experts == 0) return 0.0;
  const auto experts = static_cast<double>(info_.num_experts);
  const double missed = 1.0 - static_cast<double>(info_.num_experts_per_token) / experts;
  return info_.num_layers * experts * (1.0 - std::pow(missed, static_cast<double>(num_tokens)));
}

double CostModel::seen_keys(const TokenSpan& span) const {
  double keys = 0.0;
  for (const KvLayer& layer : info_.layers) {
    const int window = info_.windows[static_cast<std::size_t>(layer.kind)];
    keys += sum_seen(span.end, window) - sum_seen(span.begin, window);
  }
  return keys;
}

double CostModel::read_positions(const TokenSpan& span) const {
  double positions = 0.0;
  for (const KvLayer& layer : info_.layers) {
    const int window = info_.windows[static_cast<std::size_t>(layer.kind)];
    const int64_t first = window == 0 ? 0 : std::max<int64_t>(0, span.begin - window + 1);
    positions += static_cast<double>(span.end - first);
  }
  return positions;
}

StepCost CostModel::cost(const StepWork& work) const {
  StepCost cost;
  double tokens = 0.0;
  double keys = 0.0;
  for (const TokenSpan& span : work.sequences) {
    tokens += static_cast<double>(span.end - span.begin);
    keys += seen_keys(span);
    cost.kv_read_bytes += kv_position_bytes_ * read_positions(span);
  }
  cost.kv_write_bytes = kv_position_bytes_ * tokens * info_.num_layers;
  cost.weight_bytes = body_bytes_ + lookup_bytes_ * tokens + expert_bytes_ * work.experts_touched +
                      (work.logit_rows > 0 ? head_bytes_ : 0.0);
  // Each key costs a dot product with the query and a sum into the output, per head.
  const double attention = 4.0 * info_.attention.num_heads * info_.attention.head_dim * keys;
  cost.operations =
      body_operations_ * tokens + head_operations_ * static_cast<double>(work.logit_rows) + attention;
  return cost;
}

}  // namespace gossamer
