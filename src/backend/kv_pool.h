// KvPool: the memory of the KV cache's pages on a device. Who owns which page is decided elsewhere
// (engine/kv_pages.h) in integers only. Created by Backend::create_kv_pool; the order of elements inside a
// page is the backend's affair.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/forward_batch.h"
#include "tensor/tensor.h"

namespace gossamer {

// Layers that keep the same positions share page numbers: full layers are one kind, window layers another.
struct KvKind {
  int num_layers = 0;
  int window = 0;         // keys a token sees, itself included; 0: all
  int64_t num_pages = 0;  // of kPageTokens tokens each
};

struct KvPoolConfig {
  std::vector<KvKind> kinds;
  int num_kv_heads = 0;
  int head_dim = 0;
  // kBf16, kF16, kF32; or kI8: codes with a bf16 scale for each head and token (tensor/quantize.h,
  // quantize_kv).
  DType dtype = DType::kBf16;
};

// The widest head that an int8 cache takes.
inline constexpr int kMaxInt8HeadDim = 512;

// One layer's place in the pool.
struct KvLayer {
  int kind = 0;
  int index = 0;  // among the layers of its kind
};

class KvPool {
 public:
  // `layers[kind][index]` holds num_pages pages of page_bytes(config) bytes each.
  KvPool(KvPoolConfig config, std::vector<std::vector<Buffer>> layers)
      : config_(std::move(config)), layers_(std::move(layers)) {}

  const KvPoolConfig& config() const { return config_; }

  // Keys and values of one layer and page: [2 (key, value), num_kv_heads, kPageTokens * head_dim], then for
  // kI8 their scales [2, num_kv_heads, kPageTokens].
  std::byte* page(KvLayer layer, int32_t page) const {
    const KvKind& kind = config_.kinds[static_cast<std::size_t>(layer.kind)];
    GOSSAMER_CHECK(page >= 0 && page < kind.num_pages);
    const Buffer& buffer =
        layers_[static_cast<std::size_t>(layer.kind)][static_cast<std::size_t>(layer.index)];
    return static_cast<std::byte*>(buffer.data()) + static_cast<std::size_t>(page) * page_bytes(config_);
  }

  // Bytes of one token's key or value of one head, its scale included.
  static std::size_t vector_bytes(const KvPoolConfig& config) {
    return static_cast<std::size_t>(config.head_dim) * dtype_size(config.dtype) +
           (config.dtype == DType::kI8 ? dtype_size(DType::kBf16) : 0);
  }
  // Bytes of one page of one layer, keys and values.
  static std::size_t page_bytes(const KvPoolConfig& config) {
    return std::size_t{2} * kPageTokens * static_cast<std::size_t>(config.num_kv_heads) *
           vector_bytes(config);
  }

 private:
  KvPoolConfig config_;
  std::vector<std::vector<Buffer>> layers_;  // [kind][layer]
};

}  // namespace gossamer
