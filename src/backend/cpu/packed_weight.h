// PackedWeight: how the CPU backend keeps a weight matrix. Panels of kPanelRows output rows, so that a vector
// register holds one column of several rows and one token reads every byte once, in order:
//   f32    [cols][32 rows]
//   f16    [cols][32 rows]
//   bf16   [ceil(cols / 2)][32 rows][2]: pairs of columns, as the bf16 products of AVX-512 and AMX take them
//   mxfp4  pairs of groups: scales [2][32 rows], then [2][4 runs of 8 columns][32 rows] words of eight codes;
//          an odd last group has an empty partner. Within a word, codes 0, 2, 4, 6 of the run in the low half
//          and 1, 3, 5, 7 in the high: a shift by 4j brings columns 2j and 2j + 1 of the run to the bottom of
//          the two halves.
//   int8    scales f32 [32 rows], then of every group [4 runs of 8 columns][2][32 rows] words of four codes:
//   columns
//           0, 4, 1, 5 of the run, then 2, 6, 3, 7
//   int8g32 of every group: scales bf16 [32 rows], then codes as int8
//   int4    of every group: scales bf16 [32 rows], then [4 runs of 8 columns][32 rows] words of eight codes
//   plus 8:
//           in the low nibbles columns 0, 4, 1, 5, in the high ones 2, 6, 3, 7 (as in a word of mxfp4)
// The last group of the integer formats may be partial and is padded with zeros. Rows beyond the last are
// zero. Every kernel of every instruction set reads this one layout.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "tensor/weight.h"

namespace gossamer::cpu {

// Of everything above and of the flags of an image: to be raised with every change, so that folders packed
// before are refused instead of misread.
inline constexpr int kPackedLayoutVersion = 1;

// Bytes of one panel; a multiple of 64.
int64_t packed_panel_bytes(Format format, int64_t cols);
// Bytes of a whole weight.
std::size_t packed_bytes(Format format, int64_t num_experts, int64_t rows, int64_t cols);

// Whether its codes are multiplied as bf16, which is what tiles take.
inline bool has_bf16_codes(Format format) { return format == Format::kBf16 || format == Format::kMxfp4; }

class PackedWeight final : public Weight {
 public:
  PackedWeight(Format format, int64_t num_experts, int64_t rows, int64_t cols);

  // From an image; `memory` holds its bytes, and may be a mapped file. Throws Error where the flags do not
  // suit the rest.
  PackedWeight(const WeightImage& image, Buffer memory);
  WeightImage image() const;

  std::size_t size_bytes() const override { return memory_.size() * (1 + copies_.size()); }

  int64_t num_panels() const { return num_panels_; }
  int64_t panel_bytes() const { return panel_bytes_; }
  // `copy`: 0, or one of those that replicate() made, from 1.
  const uint8_t* expert(int64_t index, int copy = 0) const {
    const uint8_t* begin =
        copy == 0 ? data() : static_cast<const uint8_t*>(copies_[static_cast<std::size_t>(copy) - 1].data());
    return begin + index * num_panels_ * panel_bytes_;
  }
  uint8_t* panel(int64_t expert_index, int64_t index) {
    return data() + (expert_index * num_panels_ + index) * panel_bytes_;
  }

  // Whether every number is exact as a normal bf16, and cols whole tiles: the AMX kernels' condition. Fixed
  // when packed, so that a weight is always multiplied in the same way.
  bool tiles() const { return tiles_; }
  void set_tiles(bool tiles) { tiles_ = tiles; }

  // Whether products with this weight take their activations as int8.
  bool int8_activations() const { return int8_activations_; }
  void set_int8_activations(bool int8_activations) { int8_activations_ = int8_activations; }

  // Makes a copy on each of these NUMA nodes.
  void replicate(std::span<const int> nodes, ThreadPool& pool);

  // Adds (or copies) row `row` of a weight without experts into out. [cols]
  void read_row(int64_t row, bool add, float* out) const;

 private:
  uint8_t* data() const { return static_cast<uint8_t*>(memory_.data()); }

  Buffer memory_;
  std::vector<Buffer> copies_;
  int64_t num_panels_;
  int64_t panel_bytes_;
  bool tiles_ = false;
  bool int8_activations_ = false;
};

// Reads the source once and releases it as it goes. int8_activations is for formats with integer codes;
// others ignore it. `nodes`: when not empty, the NUMA nodes on which its pages lie in turn.
std::unique_ptr<PackedWeight> pack_weight(const WeightSource& source, Format format, bool int8_activations,
                                          std::span<const int> nodes, ThreadPool& pool);

}  // namespace gossamer::cpu
