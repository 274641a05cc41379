// Flash attention over paged keys and values for one tile of queries (AttentionArgs).
// Included inside an anonymous namespace, after the vocabulary and math.inl.
//
// Every query walks the segments of its own key range in ascending order: scores, running maximum, running
// sum, accumulator. Queries that see the same keys of a segment are computed together to share the loads;
// no query's arithmetic depends on which ones, so tiles may be cut anywhere.

// Per query: acc [padded head_dim], then p [kSegmentKeys], then {maximum, sum, rescale}.
struct AttentionRow {
  float* acc;
  float* p;
  float* state;
};
constexpr int kStateMax = 0;
constexpr int kStateSum = 1;
constexpr int kStateRescale = 2;

inline AttentionRow attention_row(const AttentionArgs& args, int row) {
  const int64_t padded = (args.head_dim + kMaxLanes - 1) / kMaxLanes * kMaxLanes;
  float* acc = args.scratch + row * (padded + kSegmentKeys + kMaxLanes);
  return {acc, acc + padded, acc + padded + kSegmentKeys};
}

inline const float* attention_query(const AttentionArgs& args, int row) {
  const int token = row / args.group;
  return args.q + token * args.q_stride + int64_t{row - token * args.group} * args.head_dim;
}

// kLanes keys' or values' numbers, int8 without their scale.
template <KvNumbers kNumbers>
inline V vload_kv(const uint8_t* base, int64_t index) {
  if constexpr (kNumbers == KvNumbers::kBf16)
    return vload_bf16(reinterpret_cast<const uint16_t*>(base) + index);
  if constexpr (kNumbers == KvNumbers::kF16)
    return vload_f16(reinterpret_cast<const uint16_t*>(base) + index);
  if constexpr (kNumbers == KvNumbers::kInt8)
    return vload_int8(reinterpret_cast<const int8_t*>(base) + index);
  if constexpr (kNumbers == KvNumbers::kF32) return vload(reinterpret_cast<const float*>(base) + index);
}
// The first `count` lanes only: the neighbours may not be ours to read.
template <KvNumbers kNumbers>
inline V vload_kv_first(const uint8_t* base, int64_t index, int64_t count) {
  constexpr int64_t kBytes = kNumbers == KvNumbers::kF32 ? 4 : kNumbers == KvNumbers::kInt8 ? 1 : 2;
  alignas(64) uint8_t lanes[kLanes * kBytes] = {};
  for (int64_t i = 0; i < count * kBytes; ++i) lanes[i] = base[index * kBytes + i];
  return vload_kv<kNumbers>(lanes, 0);
}

// One segment: where its keys and values lie, and for int8 their scales.
struct Segment {
  const uint8_t* keys;
  const uint8_t* values;
  const uint16_t* key_scales;
  const uint16_t* value_scales;
};

// p[key] = q . k[key] for all keys of the segment, R queries at once; lanes are keys.
template <KvNumbers kNumbers, int R>
inline void score_rows(const AttentionArgs& args, int first_row, const Segment& segment) {
  const float* q[R];
  V sums[R][kSegmentVecs];
  GOSSAMER_UNROLL
  for (int r = 0; r < R; ++r) {
    q[r] = attention_query(args, first_row + r);
    GOSSAMER_UNROLL
    for (int v = 0; v < kSegmentVecs; ++v) sums[r][v] = vset(0.0F);
  }
  for (int dim = 0; dim < args.head_dim; ++dim) {
    V k[kSegmentVecs];
    GOSSAMER_UNROLL
    for (int v = 0; v < kSegmentVecs; ++v) {
      k[v] = vload_kv<kNumbers>(segment.keys, int64_t{dim} * kSegmentKeys + v * kLanes);
    }
    GOSSAMER_UNROLL
    for (int r = 0; r < R; ++r) {
      const V number = vset(q[r][dim]);
      GOSSAMER_UNROLL
      for (int v = 0; v < kSegmentVecs; ++v) sums[r][v] = vfma(k[v], number, sums[r][v]);
    }
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

// Scores become probabilities under the new running maximum; keys outside [lo, hi) become exactly 0. Those of
// int8 values take the values' scales with them.
template <KvNumbers kNumbers>
inline void softmax_row(const AttentionArgs& args, const Segment& segment, int row, int lo, int hi) {
  const AttentionRow at = attention_row(args, row);
  const V nothing = vset(-__builtin_inff());
  const V first = vset(static_cast<float>(lo));
  const V end = vset(static_cast<float>(hi));
  V scores[kSegmentVecs];
  V largest = nothing;
  GOSSAMER_UNROLL
  for (int v = 0; v < kSegmentVecs; ++v) {
    const V key = vadd(vlane_indices(), vset(static_cast<float>(v * kLanes)));
    const V score = vmul(vload(at.p + v * kLanes), vset(args.scale));
    scores[v] = vselect_less(key, end, vselect_less(key, first, nothing, score), nothing);
    largest = vmax(largest, scores[v]);
  }
  const float old_max = at.state[kStateMax];
  const float segment_max = vlargest(largest);
  const float new_max = segment_max > old_max ? segment_max : old_max;
  V sum = vset(0.0F);
  GOSSAMER_UNROLL
  for (int v = 0; v < kSegmentVecs; ++v) {
    V p = vexp(vsub(scores[v], vset(new_max)));
    sum = vadd(sum, p);
    if constexpr (kNumbers == KvNumbers::kInt8) p = vmul(p, vload_bf16(segment.value_scales + v * kLanes));
    vstore(at.p + v * kLanes, p);
  }
  float rescale[kLanes];
  vstore(rescale, vexp(vset(old_max - new_max)));
  at.state[kStateMax] = new_max;
  at.state[kStateRescale] = rescale[0];
  at.state[kStateSum] = at.state[kStateSum] * rescale[0] + vsum(sum);
}

// acc = acc * rescale + sum over keys of p[key] * v[key], R queries times NV vectors of dimensions at once.
// `count` < kLanes only for the last vector of an uneven head_dim (NV = 1).
template <KvNumbers kNumbers, int R, int NV>
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
  for (int key = lo; key < hi; ++key) {
    V numbers[NV];
    GOSSAMER_UNROLL
    for (int v = 0; v < NV; ++v) {
      const int64_t index = int64_t{key} * args.head_dim + dim + v * kLanes;
      numbers[v] = NV > 1 || count >= kLanes ? vload_kv<kNumbers>(values, index)
                                             : vload_kv_first<kNumbers>(values, index, count);
    }
    GOSSAMER_UNROLL
    for (int r = 0; r < R; ++r) {
      const V p = vset(rows[r].p[key]);
      GOSSAMER_UNROLL
      for (int v = 0; v < NV; ++v) sums[r][v] = vfma(p, numbers[v], sums[r][v]);
    }
  }
  GOSSAMER_UNROLL
  for (int r = 0; r < R; ++r) {
    GOSSAMER_UNROLL
    for (int v = 0; v < NV; ++v) vstore(rows[r].acc + dim + v * kLanes, sums[r][v]);
  }
}

template <KvNumbers kNumbers, int R>
inline void value_rows(const AttentionArgs& args, int first_row, const uint8_t* values, int lo, int hi) {
  int dim = 0;
  for (; dim + kValueVecs * kLanes <= args.head_dim; dim += kValueVecs * kLanes) {
    value_tile<kNumbers, R, kValueVecs>(args, first_row, values, lo, hi, dim, kLanes);
  }
  for (; dim < args.head_dim; dim += kLanes) {
    value_tile<kNumbers, R, 1>(args, first_row, values, lo, hi, dim, args.head_dim - dim);
  }
}

// Rows [row, row + count) all see keys [lo, hi) of this segment.
template <KvNumbers kNumbers>
inline void attend_rows(const AttentionArgs& args, const Segment& segment, int row, int count, int lo,
                        int hi) {
  int r = row;
  for (; r + kScoreRows <= row + count; r += kScoreRows) score_rows<kNumbers, kScoreRows>(args, r, segment);
  for (; r < row + count; ++r) score_rows<kNumbers, 1>(args, r, segment);
  for (r = row; r < row + count; ++r) softmax_row<kNumbers>(args, segment, r, lo, hi);
  r = row;
  for (; r + kValueRows <= row + count; r += kValueRows)
    value_rows<kNumbers, kValueRows>(args, r, segment.values, lo, hi);
  for (; r < row + count; ++r) value_rows<kNumbers, 1>(args, r, segment.values, lo, hi);
}

inline void begin_row(const AttentionArgs& args, int row) {
  const AttentionRow at = attention_row(args, row);
  for (int64_t i = 0; i < at.p - at.acc; ++i) at.acc[i] = 0.0F;
  // A sink is a logit without a value: it opens the running maximum and sum.
  const bool has_sink = args.sinks != nullptr;
  at.state[kStateMax] = has_sink ? args.sinks[row % args.group] : -__builtin_inff();
  at.state[kStateSum] = has_sink ? 1.0F : 0.0F;
}

inline void end_row(const AttentionArgs& args, int row) {
  const AttentionRow at = attention_row(args, row);
  const int token = row / args.group;
  const int64_t index = token * args.out_stride + int64_t{row - token * args.group} * args.head_dim;
  const V sum = vset(at.state[kStateSum]);
  for (int dim = 0; dim < args.head_dim; dim += kLanes) {
    vstore_activation(args.out, args.out_bf16, index + dim, vdiv(vload(at.acc + dim), sum),
                      args.head_dim - dim);
  }
}

template <KvNumbers kNumbers>
inline void attend(const AttentionArgs& args) {
  const int num_rows = args.num_tokens * args.group;
  for (int row = 0; row < num_rows; ++row) begin_row(args, row);

  const auto first_key = [&args](int token) {
    const int64_t first = args.first_position + token - args.window + 1;
    return args.window == 0 || first < 0 ? int64_t{0} : first;
  };
  const auto clip = [](int64_t key) {
    return static_cast<int>(key < 0 ? 0 : key > kSegmentKeys ? kSegmentKeys : key);
  };
  const int64_t last_position = args.first_position + args.num_tokens - 1;
  for (int64_t segment = first_key(0) / kSegmentKeys; segment <= last_position / kSegmentKeys; ++segment) {
    const int64_t base = segment * kSegmentKeys;
    const int64_t page_at = args.pages[segment] * args.page_bytes;
    const Segment at{.keys = args.keys + page_at,
                     .values = args.values + page_at,
                     .key_scales = reinterpret_cast<const uint16_t*>(args.key_scales + page_at),
                     .value_scales = reinterpret_cast<const uint16_t*>(args.value_scales + page_at)};
    // All tokens see the whole segment when the first one's past and the last one's window do.
    if (args.first_position >= base + kSegmentKeys - 1 && first_key(args.num_tokens - 1) <= base) {
      attend_rows<kNumbers>(args, at, 0, num_rows, 0, kSegmentKeys);
      continue;
    }
    for (int token = 0; token < args.num_tokens; ++token) {
      const int lo = clip(first_key(token) - base);
      const int hi = clip(args.first_position + token + 1 - base);
      if (lo < hi) attend_rows<kNumbers>(args, at, token * args.group, args.group, lo, hi);
    }
  }
  for (int row = 0; row < num_rows; ++row) end_row(args, row);
}

void attention(const AttentionArgs& args) {
  switch (args.kv_numbers) {
    case KvNumbers::kF32:
      return attend<KvNumbers::kF32>(args);
    case KvNumbers::kBf16:
      return attend<KvNumbers::kBf16>(args);
    case KvNumbers::kF16:
      return attend<KvNumbers::kF16>(args);
    case KvNumbers::kInt8:
      return attend<KvNumbers::kInt8>(args);
  }
}
