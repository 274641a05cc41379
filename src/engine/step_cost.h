// What a step cannot avoid: the bytes it must read and the operations it must do, from headers alone. Divided
// by what the machine can do they are the limit that `gossamer bench model` holds a measurement against.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/operation_cost.h"
#include "model/model_folder.h"

namespace gossamer {

struct StepWork {
  std::vector<TokenSpan> sequences;
  int64_t logit_rows = 0;
  // Different experts that some token chose, over all layers (StepRecord::experts_touched, or
  // CostModel::expected_experts).
  double experts_touched = 0.0;
};

struct StepCost {
  double weight_bytes = 0.0;  // every tensor that is needed, once
  double kv_read_bytes = 0.0;
  double kv_write_bytes = 0.0;
  double operations = 0.0;  // a multiplication and an addition are two

  double bytes() const { return weight_bytes + kv_read_bytes + kv_write_bytes; }
};

class CostModel {
 public:
  // Keeps nothing of the folder. The bytes are those of the weights as `backend` prepares them.
  CostModel(const ModelFolder& folder, const Backend& backend);

  StepCost cost(const StepWork& work) const;

  // Over all layers, when each of `num_tokens` tokens chooses its experts evenly and independently.
  double expected_experts(int64_t num_tokens) const;

  // Bytes of all weights, and operations of one token without attention, head included.
  double weight_bytes() const;
  double operations_per_token() const { return body_operations_ + head_operations_; }

 private:
  ModelInfo info_;
  double body_bytes_ = 0.0;    // products and vectors that every token passes
  double head_bytes_ = 0.0;    // the head, where logits are wanted
  double lookup_bytes_ = 0.0;  // one row of every table that is looked up, for each token
  double table_bytes_ = 0.0;   // those tables whole
  double expert_bytes_ = 0.0;  // one expert of one layer
  double body_operations_ = 0.0;
  double head_operations_ = 0.0;
  double kv_position_bytes_ = 0.0;  // keys and values of one position of one layer
};

}  // namespace gossamer
