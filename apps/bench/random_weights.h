// Weights of any format and shape without a checkpoint, for measuring kernels.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/repeated_memory.h"
#include "checkpoint/synth_pools.h"
#include "tensor/weight.h"

namespace gossamer::apps {

class RandomWeights {
 public:
  // num_experts matrices [rows, cols] as a checkpoint would store them; valid as long as this object.
  // Different `index` give different numbers.
  WeightSource source(Format format, int64_t num_experts, int64_t rows, int64_t cols, uint64_t index);

 private:
  // A view of `shape` into the numbers of one kind.
  ConstTensor view(Fill fill, DType dtype, const Shape& shape, uint64_t index);

  SynthPools pools_{0};
  std::map<const std::vector<std::byte>*, std::unique_ptr<RepeatedMemory>> memory_;
};

}  // namespace gossamer::apps
