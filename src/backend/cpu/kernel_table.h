// The table of kernels that each instruction set fills in (kernels_<level>.cc) and the CPU backend calls.
// Included by files compiled for newer processors than the rest of the program: only fixed-width integers,
// plain structs and declarations may appear here, nothing that could be emitted out of line and win over the
// baseline's copy at link time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gossamer::cpu {

// Packed weights (packed_weight.h): panels of kPanelRows output rows; formats with scales keep their groups
// of kGroupCols inner columns, and a last group that is not full is padded with zeros.
constexpr int kPanelRows = 32;
constexpr int kGroupCols = 32;
static constexpr int64_t groups_of(int64_t cols) { return (cols + kGroupCols - 1) / kGroupCols; }

// An MXFP4 panel is a run of pairs of groups: the pair's scales [2][32 rows], then its codes [2][512 bytes].
// One stream of memory: with the scales in a run of their own, each new line of them stalled the codes.
constexpr int64_t kMxfp4GroupBytes = kGroupCols * kPanelRows / 2;
constexpr int64_t kMxfp4PairBytes = 2 * kPanelRows + 2 * kMxfp4GroupBytes;
static constexpr int64_t mxfp4_scales_at(int64_t group) {
  return group / 2 * kMxfp4PairBytes + group % 2 * kPanelRows;
}
static constexpr int64_t mxfp4_codes_at(int64_t group) {
  return group / 2 * kMxfp4PairBytes + 2 * kPanelRows + group % 2 * kMxfp4GroupBytes;
}
// Each group of an int4 or int8g32 panel: bf16 scales [32 rows], then its codes.
constexpr int64_t kGroupScaleBytes = 2 * kPanelRows;
constexpr int64_t kInt4GroupBytes = kGroupScaleBytes + kGroupCols * kPanelRows / 2;
constexpr int64_t kInt8GroupBytes = kGroupScaleBytes + kGroupCols * kPanelRows;
// An int8 panel: f32 scales [32 rows], then the codes of all groups.
constexpr int64_t kInt8ScaleBytes = 4 * kPanelRows;

// Attention walks keys in segments of this size (static_assert against kPageTokens in cpu_attention.cc).
constexpr int kSegmentKeys = 32;
// And begins anew with every span, aligned to absolute positions, so that threads can share a long sequence.
constexpr int64_t kSpanKeys = 1024;
static_assert(kSpanKeys % kSegmentKeys == 0);
// Tokens whose activations the tile kernels keep together.
constexpr int kActivationTile = 16;
constexpr int kNumFormats = 7;  // f32, bf16, f16, mxfp4, int8, int8g32, int4: indices as enum Format
// Products of many tokens decode this much of a panel at a time, which with the activations of a tile stays
// in the first-level cache (32 KiB were too much: Zen 5, 2026-11).
constexpr int64_t kSlabBytes = 16 << 10;

// out[t, r] = (add ? out[t, r] : 0) + x[t] . w[r] + bias[r], for all tokens and the rows of panels
// [panel_begin, panel_end). Each sum runs over columns in an order that `cols` alone decides.
struct LinearArgs {
  // f32 or bf16 [num_tokens, cols], rows x_stride numbers apart. For the tile kernels: bf16 in tiles of
  // kActivationTile tokens one after the other, each of its r tokens as [cols / kGroupCols][r][kGroupCols].
  // For the integer kernels: what KernelTable::quantize wrote.
  const void* x = nullptr;
  int64_t x_stride = 0;             // in numbers
  const uint8_t* weight = nullptr;  // packed panels of one expert
  int64_t panel_bytes = 0;
  const float* bias = nullptr;  // [rows] or null
  float* out = nullptr;         // [num_tokens, rows], rows out_stride numbers apart
  int64_t out_stride = 0;
  int64_t num_tokens = 0;
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t panel_begin = 0;
  int64_t panel_end = 0;
  bool add = false;
  // Of the integer kernels.
  const float* x_scales = nullptr;  // [num_tokens, groups]
  const int32_t* x_sums = nullptr;  // [num_tokens, groups]
  // Of this thread, both 64-byte aligned.
  void* scratch = nullptr;  // f32 [num_tokens rounded up to 32, kPanelRows]
  void* slab = nullptr;     // kSlabBytes
};

// One token's activations for the integer kernels. Codes are int8, or int16 where KernelTable::int16_codes,
// in the order of the columns as the packed codes have it, padded with zeros to whole groups.
//   to_int8: codes = round(x * 127 / max |x|) over the whole token, every group's scale is max |x| / 127
//   else (int16_codes only): each group under the power of two that brings its largest near 2^15, so that the
//   bf16 numbers within a factor of 2^7 of it stay exact
struct QuantizeArgs {
  const void* x = nullptr;  // [cols]
  bool x_bf16 = false;      // else f32
  bool to_int8 = false;
  int64_t cols = 0;
  int32_t offset = 0;       // what the weights' codes are shifted by to become unsigned (offset_of)
  void* codes = nullptr;    // [groups * kGroupCols]
  float* scales = nullptr;  // [groups]
  int32_t* sums = nullptr;  // [groups]: -offset * the sum of the group's codes
};

// How keys and values are kept.
enum class KvNumbers { kF32, kBf16, kF16, kInt8 };

// One tile of queries that share a kv head: `num_tokens` consecutive tokens of one sequence times the
// `group` heads that read the same keys.
struct AttentionArgs {
  const float* q = nullptr;  // [num_tokens, group, head_dim], tokens q_stride numbers apart
  int64_t q_stride = 0;
  void* out = nullptr;  // f32 or bf16, as q: [num_tokens, group, head_dim], tokens out_stride numbers apart
  int64_t out_stride = 0;
  bool out_bf16 = false;
  int num_tokens = 0;
  int group = 0;
  int head_dim = 0;
  int64_t first_position = 0;  // of the first token
  int64_t window = 0;          // 0: all earlier keys
  float scale = 1.0F;
  const float* sinks = nullptr;  // [group] or null
  const int32_t* pages = nullptr;
  // Page p's keys of this kv head, transposed [head_dim, kSegmentKeys], are at keys + p * page_bytes; its
  // values [kSegmentKeys, head_dim] at values + p * page_bytes. bf16 in pairs: bf16_key_at, bf16_value_at.
  const uint8_t* keys = nullptr;
  const uint8_t* values = nullptr;
  int64_t page_bytes = 0;
  KvNumbers kv_numbers = KvNumbers::kF32;
  // Of int8: page p's bf16 scales of this head's keys, and of its values, [kSegmentKeys], p * page_bytes
  // further on.
  const uint8_t* key_scales = nullptr;
  const uint8_t* value_scales = nullptr;
  float* scratch = nullptr;  // of this thread: rows * attention_row_floats(), 64-byte aligned
  // When not null: only the keys of span `span`, and what they leave goes here, rows *
  // attention_partial_floats(), 64-byte aligned, instead of to `out`.
  float* partials = nullptr;
  int64_t span = 0;
};

// Where bf16 number `dim` of the key in `slot` of a page lies, and of its value: dimensions of a key, and
// keys of a dimension of the values, in pairs. A last odd dimension of the keys has no partner.
static constexpr int64_t bf16_key_at(int64_t slot, int64_t dim, int64_t head_dim) {
  return dim == head_dim / 2 * 2 ? dim * kSegmentKeys + slot : (dim / 2 * kSegmentKeys + slot) * 2 + dim % 2;
}
static constexpr int64_t bf16_value_at(int64_t slot, int64_t dim, int64_t head_dim) {
  return (slot / 2 * head_dim + dim) * 2 + slot % 2;
}

// Per row of a tile of num_tokens * group queries. Scratch: the accumulator of a span and that of all spans,
// its segment's probabilities, running maxima and sums, q as bf16. A partial, what a span leaves: its maximum
// and sum, then its accumulator.
constexpr int64_t kMaxLanes = 16;
static constexpr int64_t attention_acc_floats(int64_t head_dim) {
  return (head_dim + kMaxLanes - 1) / kMaxLanes * kMaxLanes;
}
static constexpr int64_t attention_row_floats(int64_t head_dim) {
  return 2 * attention_acc_floats(head_dim) + kSegmentKeys + kMaxLanes +
         attention_acc_floats((head_dim + 1) / 2);
}
static constexpr int64_t attention_partial_floats(int64_t head_dim) {
  return kMaxLanes + attention_acc_floats(head_dim);
}

// Row-wise operations: `count` rows of `dim` numbers; out is f32, or bf16 when out_bf16.
struct NormArgs {
  const float* x = nullptr;
  const float* gain = nullptr;
  const float* bias = nullptr;  // layer norm only
  float eps = 0.0F;
  void* out = nullptr;
  bool out_bf16 = false;
  int64_t dim = 0;
};

// h[t, i] = swiglu(gate_up[t, 2i], gate_up[t, 2i + 1]) for i in [begin, end).
struct SwigluArgs {
  const float* gate_up = nullptr;  // [num_tokens, 2 * ffn_dim]
  void* out = nullptr;             // f32 or bf16 [num_tokens, ffn_dim]
  bool out_bf16 = false;
  int64_t num_tokens = 0;
  int64_t ffn_dim = 0;
  int64_t begin = 0;
  int64_t end = 0;
  float alpha = 0.0F;
  float limit = 0.0F;
};

using LinearKernel = void (*)(const LinearArgs& args);

struct KernelTable {
  const char* level = nullptr;
  LinearKernel linear_f32[kNumFormats] = {};  // f32 activations, every format
  // bf16 activations without widening them first; null where the instruction set has nothing better.
  LinearKernel linear_bf16[kNumFormats] = {};
  const char* linear_bf16_name = nullptr;  // "vdpbf16ps"
  // bf16 activations on tiles, for weights that the tiles can take exactly (PackedWeight::tiles).
  LinearKernel linear_bf16_tiles[kNumFormats] = {};
  const char* linear_bf16_tiles_name = nullptr;
  // Activations as integers (QuantizeArgs), for the formats whose codes are integers. With int16_codes they
  // take bf16 activations too, where linear_bf16 has nothing.
  LinearKernel linear_integer[kNumFormats] = {};
  const char* linear_integer_name = nullptr;
  bool int16_codes = false;
  int32_t offsets[kNumFormats] = {};  // QuantizeArgs::offset of each format
  void (*quantize)(const QuantizeArgs& args) = nullptr;
  void (*attention)(const AttentionArgs& args) = nullptr;
  // `out` from the partials of num_spans spans in order, [num_spans][rows][partial].
  void (*attention_of_spans)(const AttentionArgs& args, int64_t num_spans) = nullptr;
  void (*layer_norm)(const NormArgs& args) = nullptr;  // one row
  void (*rms_norm)(const NormArgs& args) = nullptr;    // one row
  void (*gelu_erf)(const float* x, void* out, bool out_bf16, int64_t count) = nullptr;
  void (*gelu_tanh)(const float* x, void* out, bool out_bf16, int64_t count) = nullptr;
  void (*swiglu)(const SwigluArgs& args) = nullptr;
};

// Each lives in its own translation unit, compiled for its instruction set; only those of this
// architecture are linked. amx_kernels returns the AVX-512 table with the tile kernels added.
namespace portable {
const KernelTable& kernels();
}
namespace avx2 {
const KernelTable& kernels();
}
namespace avx512 {
const KernelTable& kernels();
}
namespace amx {
const KernelTable& kernels();
}
namespace neon {
const KernelTable& kernels();
}

}  // namespace gossamer::cpu
