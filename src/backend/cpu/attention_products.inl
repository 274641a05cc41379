// The two products of attention: queries with the keys of a segment, probabilities with its values. R queries
// at once. Included inside an anonymous namespace, after linear_tiles.inl; attention.inl calls score_rows and
// value_rows.

// Per query: acc [padded head_dim] of the span at hand, then p [kSegmentKeys], then kState..., then the acc
// of all spans so far, then q [head_dim] as bf16 for bf16 dot products, where p holds bf16 after the softmax.
struct AttentionRow {
  float* acc;
  float* p;
  float* state;
  uint16_t* q;
  float* total_acc;
};
constexpr int kStateMax = 0;
constexpr int kStateSum = 1;
constexpr int kStateRescale = 2;
constexpr int kStateTotalMax = 3;
constexpr int kStateTotalSum = 4;

inline AttentionRow attention_row(const AttentionArgs& args, int row) {
  const int64_t padded = attention_acc_floats(args.head_dim);
  float* acc = args.scratch + row * attention_row_floats(args.head_dim);
  float* state = acc + padded + kSegmentKeys;
  float* total_acc = state + kMaxLanes;
  return {acc, acc + padded, state, reinterpret_cast<uint16_t*>(total_acc + padded), total_acc};
}

inline const float* attention_query(const AttentionArgs& args, int row) {
  const int token = row / args.group;
  return args.q + token * args.q_stride + int64_t{row - token * args.group} * args.head_dim;
}

// kLanes keys' or values' numbers, int8 without their scale. Not of bf16 pairs.
template <KvNumbers kNumbers>
inline V vload_kv(const uint8_t* base, int64_t index) {
  if constexpr (kNumbers == KvNumbers::kF16)
    return vload_f16(reinterpret_cast<const uint16_t*>(base) + index);
  if constexpr (kNumbers == KvNumbers::kInt8)
    return vload_int8(reinterpret_cast<const int8_t*>(base) + index);
  if constexpr (kNumbers == KvNumbers::kF32) return vload(reinterpret_cast<const float*>(base) + index);
}
// `bytes` of a vector's worth of bytes, the rest zero: the neighbours may not be ours to read.
struct FirstBytes {
  alignas(64) uint8_t all[kLanes * 4] = {};
  FirstBytes(const uint8_t* from, int64_t bytes) {
    for (int64_t i = 0; i < bytes; ++i) all[i] = from[i];
  }
};
template <KvNumbers kNumbers>
constexpr int64_t kKvBytes = kNumbers == KvNumbers::kF32    ? 4
                             : kNumbers == KvNumbers::kInt8 ? 1
                                                            : 2;
template <KvNumbers kNumbers>
inline V vload_kv_first(const uint8_t* base, int64_t index, int64_t count) {
  constexpr int64_t kBytes = kKvBytes<kNumbers>;
  return vload_kv<kNumbers>(FirstBytes(base + index * kBytes, count * kBytes).all, 0);
}

// One segment: where its keys and values lie, and for int8 their scales.
struct Segment {
  const uint8_t* keys;
  const uint8_t* values;
  const uint16_t* key_scales;
  const uint16_t* value_scales;
  // The one after it: asked for while this one is worked on.
  const uint8_t* next_keys;
  const uint8_t* next_values;
};

// The next segment's keys and values at `offset`, `kBytes` of each.
template <int64_t kBytes>
inline void prefetch_segment(const Segment& segment, int64_t offset) {
  GOSSAMER_UNROLL
  for (int64_t i = 0; i < kBytes; i += 64) {
    __builtin_prefetch(segment.next_keys + offset + i);
    __builtin_prefetch(segment.next_values + offset + i);
  }
}

// sums[r][v] += q . k of R queries; lanes are keys.
template <KvNumbers kNumbers, int R>
GOSSAMER_INLINE void add_scores(const AttentionArgs& args, int first_row, const Segment& segment,
                                V (&sums)[R][kSegmentVecs]) {
  const float* q[R];
  GOSSAMER_UNROLL
  for (int r = 0; r < R; ++r) q[r] = attention_query(args, first_row + r);
  const auto add_dim = [&](int dim, const V(&k)[kSegmentVecs]) GOSSAMER_INLINE_LAMBDA {
    GOSSAMER_UNROLL
    for (int r = 0; r < R; ++r) {
      const V number = vset(q[r][dim]);
      GOSSAMER_UNROLL
      for (int v = 0; v < kSegmentVecs; ++v) sums[r][v] = vfma(k[v], number, sums[r][v]);
    }
  };
  V k[kSegmentVecs];
  int dim = 0;
  if constexpr (kNumbers == KvNumbers::kBf16) {
    for (; dim + 2 <= args.head_dim; dim += 2) {
      constexpr int64_t kPairBytes = kSegmentKeys * 4;
      const uint8_t* pairs = segment.keys + dim / 2 * kPairBytes;
      prefetch_segment<kPairBytes>(segment, dim / 2 * kPairBytes);
      GOSSAMER_UNROLL
      for (int v = 0; v < kSegmentVecs; ++v) k[v] = bf16_even(iload(pairs + v * kLanes * 4));
      add_dim(dim, k);
      GOSSAMER_UNROLL
      for (int v = 0; v < kSegmentVecs; ++v) k[v] = bf16_odd(iload(pairs + v * kLanes * 4));
      add_dim(dim + 1, k);
    }
    if (dim < args.head_dim) {  // a last odd dimension lies alone
      const auto* last = reinterpret_cast<const uint16_t*>(segment.keys) + int64_t{dim} * kSegmentKeys;
      for (int v = 0; v < kSegmentVecs; ++v) k[v] = vload_bf16(last + v * kLanes);
      add_dim(dim, k);
    }
  } else {
    for (; dim < args.head_dim; ++dim) {
      constexpr int64_t kDimBytes = kSegmentKeys * kKvBytes<kNumbers>;
      prefetch_segment<kDimBytes>(segment, dim * kDimBytes);
      GOSSAMER_UNROLL
      for (int v = 0; v < kSegmentVecs; ++v) {
        k[v] = vload_kv<kNumbers>(segment.keys, int64_t{dim} * kSegmentKeys + v * kLanes);
      }
      add_dim(dim, k);
    }
  }
}

// The same with bf16 queries.
template <int R>
GOSSAMER_INLINE void add_bf16_scores(const AttentionArgs& args, int first_row, const Segment& segment,
                                     V (&sums)[R][kSegmentVecs]) {
  const uint16_t* q[R];
  GOSSAMER_UNROLL
  for (int r = 0; r < R; ++r) q[r] = attention_row(args, first_row + r).q;
  int dim = 0;
  for (; dim + 2 <= args.head_dim; dim += 2) {
    constexpr int64_t kPairBytes = kSegmentKeys * 4;
    const uint8_t* pairs = segment.keys + dim / 2 * kPairBytes;
    prefetch_segment<kPairBytes>(segment, dim / 2 * kPairBytes);
    I k[kSegmentVecs];
    GOSSAMER_UNROLL
    for (int v = 0; v < kSegmentVecs; ++v) k[v] = iload(pairs + v * kLanes * 4);
    GOSSAMER_UNROLL
    for (int r = 0; r < R; ++r) {
      const I number = iset_pair(q[r] + dim);
      GOSSAMER_UNROLL
      for (int v = 0; v < kSegmentVecs; ++v) sums[r][v] = vdot_bf16(sums[r][v], k[v], number);
    }
  }
  if (dim < args.head_dim) {
    const auto* last = reinterpret_cast<const uint16_t*>(segment.keys) + int64_t{dim} * kSegmentKeys;
    for (int r = 0; r < R; ++r) {
      const V number = bf16_even(iset(q[r][dim]));
      for (int v = 0; v < kSegmentVecs; ++v)
        sums[r][v] = vfma(vload_bf16(last + v * kLanes), number, sums[r][v]);
    }
  }
}

// p[key] = q . k[key] for all keys of the segment, R queries at once.
template <KvNumbers kNumbers, bool kDots, int R>
inline void score_rows(const AttentionArgs& args, int first_row, const Segment& segment) {
  V sums[R][kSegmentVecs];
  clear(sums);
  if constexpr (kDots) {
    add_bf16_scores(args, first_row, segment, sums);
  } else {
    add_scores<kNumbers>(args, first_row, segment, sums);
  }
  GOSSAMER_UNROLL
  for (int r = 0; r < R; ++r) {
    float* p = attention_row(args, first_row + r).p;
    GOSSAMER_UNROLL
    for (int v = 0; v < kSegmentVecs; ++v) {
      V score = sums[r][v];
      if constexpr (kNumbers == KvNumbers::kInt8)
        score = vmul(score, vload_bf16(segment.key_scales + v * kLanes));
      vstore(p + v * kLanes, score);
    }
  }
}

// sums[r][v] += p[key] * values of a key, R queries.
template <int R, int NV>
GOSSAMER_INLINE void add_value(const AttentionRow (&rows)[R], int key, const V (&numbers)[NV],
                               V (&sums)[R][NV]) {
  GOSSAMER_UNROLL
  for (int r = 0; r < R; ++r) {
    const V p = vset(rows[r].p[key]);
    GOSSAMER_UNROLL
    for (int v = 0; v < NV; ++v) sums[r][v] = vfma(p, numbers[v], sums[r][v]);
  }
}

// Pairs of keys [2 * pair, 2 * pair + 2) of NV vectors of dimensions.
template <int NV>
GOSSAMER_INLINE void load_value_pairs(const AttentionArgs& args, const uint8_t* values, int pair, int dim,
                                      int64_t count, I (&pairs)[NV]) {
  GOSSAMER_UNROLL
  for (int v = 0; v < NV; ++v) {
    const uint8_t* from = values + (int64_t{pair} * args.head_dim + dim + v * kLanes) * 4;
    pairs[v] = NV > 1 || count >= kLanes ? iload(from) : iload(FirstBytes(from, count * 4).all);
  }
}

template <int R, int NV>
GOSSAMER_INLINE void add_bf16_values(const AttentionArgs& args, const AttentionRow (&rows)[R],
                                     const uint8_t* values, int lo, int hi, int dim, int64_t count,
                                     V (&sums)[R][NV]) {
  I pairs[NV];
  V numbers[NV];
  for (int pair = lo / 2; 2 * pair < hi; ++pair) {
    load_value_pairs(args, values, pair, dim, count, pairs);
    if (2 * pair >= lo) {
      GOSSAMER_UNROLL
      for (int v = 0; v < NV; ++v) numbers[v] = bf16_even(pairs[v]);
      add_value(rows, 2 * pair, numbers, sums);
    }
    if (2 * pair + 1 < hi) {
      GOSSAMER_UNROLL
      for (int v = 0; v < NV; ++v) numbers[v] = bf16_odd(pairs[v]);
      add_value(rows, 2 * pair + 1, numbers, sums);
    }
  }
}

// The same with bf16 probabilities. A key outside [lo, hi) has probability 0, but what lies in its place may
// not be a number: it is taken out.
template <int R, int NV>
GOSSAMER_INLINE void dot_bf16_values(const AttentionArgs& args, const AttentionRow (&rows)[R],
                                     const uint8_t* values, int lo, int hi, int dim, int64_t count,
                                     V (&sums)[R][NV]) {
  I pairs[NV];
  for (int pair = lo / 2; 2 * pair < hi; ++pair) {
    load_value_pairs(args, values, pair, dim, count, pairs);
    if (2 * pair < lo || 2 * pair + 1 >= hi) {
      const I mask = iset(2 * pair < lo ? static_cast<int32_t>(0xffff0000U) : 0x0000ffff);
      GOSSAMER_UNROLL
      for (int v = 0; v < NV; ++v) pairs[v] = iand(pairs[v], mask);
    }
    GOSSAMER_UNROLL
    for (int r = 0; r < R; ++r) {
      const I p = iset_pair(reinterpret_cast<const uint16_t*>(rows[r].p) + 2 * pair);
      GOSSAMER_UNROLL
      for (int v = 0; v < NV; ++v) sums[r][v] = vdot_bf16(sums[r][v], pairs[v], p);
    }
  }
}

// acc = acc * rescale + sum over keys of p[key] * v[key], R queries times NV vectors of dimensions at once.
// `count` < kLanes only for the last vector of an uneven head_dim (NV = 1).
template <KvNumbers kNumbers, bool kDots, int R, int NV>
inline void value_tile(const AttentionArgs& args, int first_row, const uint8_t* values, int lo, int hi,
                       int dim, int64_t count) {
  AttentionRow rows[R];
  V sums[R][NV];
  GOSSAMER_UNROLL
  for (int r = 0; r < R; ++r) {
    rows[r] = attention_row(args, first_row + r);
    const V rescale = vset(rows[r].state[kStateRescale]);
    GOSSAMER_UNROLL
    for (int v = 0; v < NV; ++v) sums[r][v] = vmul(vload(rows[r].acc + dim + v * kLanes), rescale);
  }
  if constexpr (kDots) {
    dot_bf16_values(args, rows, values, lo, hi, dim, count, sums);
  } else if constexpr (kNumbers == KvNumbers::kBf16) {
    add_bf16_values(args, rows, values, lo, hi, dim, count, sums);
  } else {
    for (int key = lo; key < hi; ++key) {
      V numbers[NV];
      GOSSAMER_UNROLL
      for (int v = 0; v < NV; ++v) {
        const int64_t index = int64_t{key} * args.head_dim + dim + v * kLanes;
        numbers[v] = NV > 1 || count >= kLanes ? vload_kv<kNumbers>(values, index)
                                               : vload_kv_first<kNumbers>(values, index, count);
      }
      add_value(rows, key, numbers, sums);
    }
  }
  GOSSAMER_UNROLL
  for (int r = 0; r < R; ++r) {
    GOSSAMER_UNROLL
    for (int v = 0; v < NV; ++v) vstore(rows[r].acc + dim + v * kLanes, sums[r][v]);
  }
}

template <KvNumbers kNumbers, bool kDots, int R>
inline void value_rows(const AttentionArgs& args, int first_row, const uint8_t* values, int lo, int hi) {
  int dim = 0;
  for (; dim + kValueVecs * kLanes <= args.head_dim; dim += kValueVecs * kLanes) {
    value_tile<kNumbers, kDots, R, kValueVecs>(args, first_row, values, lo, hi, dim, kLanes);
  }
  for (; dim < args.head_dim; dim += kLanes) {
    value_tile<kNumbers, kDots, R, 1>(args, first_row, values, lo, hi, dim, args.head_dim - dim);
  }
}
