// What every instruction set's vocabulary (vec_<level>.inl, included before this) provides, and what follows
// from it. Included inside an anonymous namespace.
//
//   V, I, kLanes               a vector of kLanes floats, of kLanes 32-bit integers
//   vset vload vstore vadd vsub vmul vdiv vmin vmax
//   vfma(a, b, c)              a * b + c, rounded once where the instruction set can
//   vselect_less(a, b, x, y)   a < b ? x : y by lane; false for NaN
//   vlane_indices vround       0, 1, 2, ...; to the nearest integer
//   vpow2(n)                   2^n for whole n in [-127, 128], where 2^-127 reads 0 and 2^128 infinity
//   vload_bf16 vload_f16 vload_int8 vstore_bf16
//   kBf16Dots                  whether there is vdot_bf16(sum, pairs, pairs) and iand
//   iload bf16_even bf16_odd   kLanes pairs of bf16; their first and second numbers as floats
//   mxfp4_value<n>             nibble n of each integer decoded
//   mxfp4_scale                kLanes scale bytes as powers of two
//
// vmin and vmax return their second argument when either is NaN, except on NEON, which returns NaN:
// write vmin(limit, x) to let NaN through.

// Full unrolling, so that arrays of vectors live in registers.
#if defined(__clang__)
#define GOSSAMER_UNROLL _Pragma("unroll")
#else
#define GOSSAMER_UNROLL _Pragma("GCC unroll 32")
#endif

// The innermost pieces of a kernel: a call would spill its sums.
#define GOSSAMER_INLINE inline __attribute__((always_inline))

#define GOSSAMER_INLINE_LAMBDA __attribute__((always_inline))

// Makes the compiler forget that several sums start as the same register: g++ 12 otherwise keeps copies of
// them through the loop and spills (int8 products of 12 tokens ran at half speed).
#if defined(__AVX512F__)
#define GOSSAMER_OPAQUE(a) __asm__("" : "+v"(a))
#elif defined(__x86_64__)
#define GOSSAMER_OPAQUE(a) __asm__("" : "+x"(a))
#elif defined(__aarch64__)
#define GOSSAMER_OPAQUE(a) __asm__("" : "+w"(a))
#else
#define GOSSAMER_OPAQUE(a)
#endif

constexpr int kPanelVecs = kPanelRows / kLanes;
constexpr int kSegmentVecs = kSegmentKeys / kLanes;
static_assert(kPanelVecs % kTileVecs == 0);

// p[0], p[1] in every lane.
inline I iset_pair(const uint16_t* p) { return iset_bytes(reinterpret_cast<const uint8_t*>(p)); }

// The first `count` lanes only, the rest zero: for tails, whose neighbours may not be ours to read.
inline V vload_first(const float* p, int64_t count) {
  float lanes[kLanes] = {};
  for (int64_t i = 0; i < count; ++i) lanes[i] = p[i];
  return vload(lanes);
}
inline void vstore_first(float* p, V a, int64_t count) {
  float lanes[kLanes];
  vstore(lanes, a);
  for (int64_t i = 0; i < count; ++i) p[i] = lanes[i];
}

// Stores lanes [0, count) as f32 or bf16 at element `index` of `out`.
inline void vstore_activation(void* out, bool out_bf16, int64_t index, V a, int64_t count) {
  if (!out_bf16) {
    float* p = static_cast<float*>(out) + index;
    if (count >= kLanes) {
      vstore(p, a);
    } else {
      vstore_first(p, a, count);
    }
    return;
  }
  uint16_t* p = static_cast<uint16_t*>(out) + index;
  if (count >= kLanes) {
    vstore_bf16(p, a);
  } else {
    uint16_t lanes[kLanes];
    vstore_bf16(lanes, a);
    for (int64_t i = 0; i < count; ++i) p[i] = lanes[i];
  }
}

// Over the lanes, always by halves: lane i with lane i + half.
#if !defined(GOSSAMER_OWN_REDUCTIONS)
inline float vsum(V a) {
  float lanes[kLanes];
  vstore(lanes, a);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}
inline float vlargest(V a) {
  float lanes[kLanes];
  vstore(lanes, a);
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] = lanes[i] > lanes[i + half] ? lanes[i] : lanes[i + half];
  }
  return lanes[0];
}
#endif

// Products of few tokens ask for a panel's bytes this far ahead: the processor's own prefetching stops at
// every 4 KiB, and the more tokens, the less of the panel the instructions in flight reach. 1 KiB left 40 %
// of the bandwidth of 2 tokens unused, 16 KiB are slower again (Zen 5, 2026-11).
constexpr int64_t kPrefetchBytes = 8192;
template <int kBytes>
inline void prefetch_panel(const uint8_t* p) {
  GOSSAMER_UNROLL
  for (int64_t i = 0; i < kBytes; i += 64) __builtin_prefetch(p + kPrefetchBytes + i);
}
inline void prefetch_bytes(const uint8_t* begin, const uint8_t* end) {
  for (const uint8_t* p = begin; p < end; p += 64) __builtin_prefetch(p);
}
// One group's codes and scales.
inline void prefetch_mxfp4(const uint8_t* codes, const uint8_t* scales) {
  prefetch_panel<kMxfp4GroupBytes>(codes);
  prefetch_panel<64>(scales);
}
