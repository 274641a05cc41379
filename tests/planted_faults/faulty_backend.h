// FaultyBackend: another backend that computes something a little else, in the way of mistakes that others
// have made. For tests/planted_faults alone.
#pragma once

#include <memory>

#include "backend/backend.h"

namespace gossamer::test {

struct BackendFaults {
  bool no_sinks = false;        // the softmax's denominator without the learned logit
  bool no_expert_bias = false;  // of the experts' second product
  bool swap_nibbles = false;    // MXFP4: the high half of each byte taken for the first number
  // Attention scaled by 1 / sqrt(hidden_dim / num_heads), which is not GPT-OSS's head_dim.
  bool wrong_head_scale = false;

  bool any() const { return no_sinks || no_expert_bias || swap_nibbles || wrong_head_scale; }
};

std::unique_ptr<Backend> create_faulty_backend(std::unique_ptr<Backend> backend, BackendFaults faults);

}  // namespace gossamer::test
