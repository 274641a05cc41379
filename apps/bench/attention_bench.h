// Attention of one sequence over its cache, for gossamer bench kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "backend/backend.h"

namespace gossamer::apps {

class AttentionBench {
 public:
  struct Shape {
    int num_heads = 0;
    int num_kv_heads = 0;
    int head_dim = 0;
    int64_t depth = 0;  // positions of the sequence, the new tokens included
  };

  // Fills the caches of as many layers as hold `least_bytes`, one at least.
  AttentionBench(Backend& backend, const Shape& shape, DType kv, DType activation, std::size_t least_bytes,
                 int64_t max_tokens);

  // The last `tokens` of the sequence, in another layer than the call before.
  void run(int64_t tokens, int call);
  // What they get in the first layer. [tokens, num_heads * head_dim]
  std::vector<float> result(int64_t tokens);

  // Bytes of keys and values that such a call reads, and its operations.
  double bytes() const;
  double operations(int64_t tokens) const;

 private:
  int64_t row() const;
  void begin(int64_t first, int64_t tokens);
  // q, k and v of positions [first, first + tokens).
  Tensor qkv(int64_t first, int64_t tokens);
  AttentionParams params() const;

  Backend& backend_;
  Shape shape_;
  DType activation_;
  int num_layers_ = 0;
  std::unique_ptr<KvPool> pool_;
  ForwardBatch batch_;
  Buffer qkv_;
  Buffer out_;
};

}  // namespace gossamer::apps
