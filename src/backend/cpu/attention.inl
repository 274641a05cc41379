// Flash attention over paged keys and values for one tile of queries (AttentionArgs).
// Included inside an anonymous namespace, after attention_products.inl and math.inl.
//
// bf16 keys and values lie in pairs, as vdpbf16ps takes them (cpu_attention.cc). Where activations are bf16
// too and the instruction set has it (kBf16Dots), queries and probabilities are rounded to bf16, as the
// reference has them, and multiplied so; everything else is widened to f32.
//
// Every query walks the segments of its own key range in ascending order: scores, running maximum, running
// sum, accumulator. These begin anew with every span of kSpanKeys keys, and what a span leaves is added to
// what came before, so that spans may be computed on different threads. Queries that see the same keys of a
// segment are computed together to share the loads; no query's arithmetic depends on which ones, so tiles may
// be cut anywhere.

// Scores of rows [row, row + count), count <= kLanes, become probabilities under the new running maximum;
// keys outside [lo, hi) become exactly 0. Those of int8 values take the values' scales with them.
template <KvNumbers kNumbers, bool kDots>
inline void softmax_rows(const AttentionArgs& args, const Segment& segment, int row, int count, int lo,
                         int hi) {
  alignas(64) float old_max[kLanes] = {};
  alignas(64) float new_max[kLanes] = {};
  const V nothing = vset(-__builtin_inff());
  const V first = vset(static_cast<float>(lo));
  const V end = vset(static_cast<float>(hi));
  const bool all = lo == 0 && hi == kSegmentKeys;
  for (int r = 0; r < count; ++r) {
    const AttentionRow at = attention_row(args, row + r);
    V largest = nothing;
    GOSSAMER_UNROLL
    for (int v = 0; v < kSegmentVecs; ++v) {
      V score = vmul(vload(at.p + v * kLanes), vset(args.scale));
      if (!all) {
        const V key = vadd(vlane_indices(), vset(static_cast<float>(v * kLanes)));
        score = vselect_less(key, end, vselect_less(key, first, nothing, score), nothing);
      }
      vstore(at.p + v * kLanes, score);
      largest = vmax(largest, score);
    }
    const float segment_max = vlargest(largest);
    old_max[r] = at.state[kStateMax];
    new_max[r] = segment_max > old_max[r] ? segment_max : old_max[r];
  }
  alignas(64) float rescale[kLanes];
  vstore(rescale, vexp(vsub(vload(old_max), vload(new_max))));
  for (int r = 0; r < count; ++r) {
    const AttentionRow at = attention_row(args, row + r);
    V scores[kSegmentVecs];
    GOSSAMER_UNROLL
    for (int v = 0; v < kSegmentVecs; ++v) scores[v] = vload(at.p + v * kLanes);
    V sum = vset(0.0F);
    GOSSAMER_UNROLL
    for (int v = 0; v < kSegmentVecs; ++v) {
      V p = vexp(vsub(scores[v], vset(new_max[r])));
      sum = vadd(sum, p);
      if constexpr (kNumbers == KvNumbers::kInt8) p = vmul(p, vload_bf16(segment.value_scales + v * kLanes));
      if constexpr (kDots) {
        vstore_bf16(reinterpret_cast<uint16_t*>(at.p) + v * kLanes, p);
      } else {
        vstore(at.p + v * kLanes, p);
      }
    }
    at.state[kStateMax] = new_max[r];
    at.state[kStateRescale] = rescale[r];
    at.state[kStateSum] = at.state[kStateSum] * rescale[r] + vsum(sum);
  }
}

// Rows [row, row + count) all see keys [lo, hi) of this segment.
template <KvNumbers kNumbers, bool kDots>
inline void attend_rows(const AttentionArgs& args, const Segment& segment, int row, int count, int lo,
                        int hi) {
  int r = row;
  for (; r + kScoreRows <= row + count; r += kScoreRows)
    score_rows<kNumbers, kDots, kScoreRows>(args, r, segment);
  for (; r < row + count; ++r) score_rows<kNumbers, kDots, 1>(args, r, segment);
  for (r = row; r < row + count; r += kLanes) {
    const int rows = row + count - r < kLanes ? row + count - r : kLanes;
    softmax_rows<kNumbers, kDots>(args, segment, r, rows, lo, hi);
  }
  r = row;
  for (; r + kValueRows <= row + count; r += kValueRows)
    value_rows<kNumbers, kDots, kValueRows>(args, r, segment.values, lo, hi);
  for (; r < row + count; ++r) value_rows<kNumbers, kDots, 1>(args, r, segment.values, lo, hi);
}

template <bool kDots>
inline void begin_row(const AttentionArgs& args, int row) {
  const AttentionRow at = attention_row(args, row);
  if constexpr (kDots) {
    const float* q = attention_query(args, row);
    for (int dim = 0; dim < args.head_dim; dim += kLanes) {
      vstore_activation(
          at.q, true, dim,
          args.head_dim - dim >= kLanes ? vload(q + dim) : vload_first(q + dim, args.head_dim - dim),
          args.head_dim - dim);
    }
  }
}

inline void begin_totals(const AttentionArgs& args, int row) {
  const AttentionRow at = attention_row(args, row);
  for (int dim = 0; dim < args.head_dim; dim += kLanes) vstore(at.total_acc + dim, vset(0.0F));
  // A sink is a logit without a value: it opens the maximum and the sum.
  const bool has_sink = args.sinks != nullptr;
  at.state[kStateTotalMax] = has_sink ? args.sinks[row % args.group] : -__builtin_inff();
  at.state[kStateTotalSum] = has_sink ? 1.0F : 0.0F;
}

// Adds what a span left: its maximum, its sum, its acc.
inline void add_span(const AttentionArgs& args, int row, float span_max, float span_sum, const float* acc) {
  if (span_sum == 0.0F) return;  // saw no key of it: the largest of any adds 1, and NaN stays visible
  const AttentionRow at = attention_row(args, row);
  const float old_max = at.state[kStateTotalMax];
  const float new_max = span_max > old_max ? span_max : old_max;
  const V rescale = vexp(vset(old_max - new_max));
  const V of_span = vexp(vset(span_max - new_max));
  for (int dim = 0; dim < args.head_dim; dim += kLanes) {
    const V total = vmul(vload(at.total_acc + dim), rescale);
    vstore(at.total_acc + dim, vfma(vload(acc + dim), of_span, total));
  }
  float sum[kLanes];
  vstore(sum, vfma(vset(span_sum), of_span, vmul(vset(at.state[kStateTotalSum]), rescale)));
  at.state[kStateTotalMax] = new_max;
  at.state[kStateTotalSum] = sum[0];
}

inline void end_row(const AttentionArgs& args, int row) {
  const AttentionRow at = attention_row(args, row);
  const int token = row / args.group;
  const int64_t index = token * args.out_stride + int64_t{row - token * args.group} * args.head_dim;
  const V sum = vset(at.state[kStateTotalSum]);
  for (int dim = 0; dim < args.head_dim; dim += kLanes) {
    vstore_activation(args.out, args.out_bf16, index + dim, vdiv(vload(at.total_acc + dim), sum),
                      args.head_dim - dim);
  }
}

inline int64_t first_key_of(const AttentionArgs& args, int token) {
  const int64_t first = args.first_position + token - args.window + 1;
  return args.window == 0 || first < 0 ? 0 : first;
}

// All rows over the keys of one span that they see.
template <KvNumbers kNumbers, bool kDots>
inline void attend_span(const AttentionArgs& args, int64_t span) {
  const int num_rows = args.num_tokens * args.group;
  for (int row = 0; row < num_rows; ++row) {
    const AttentionRow at = attention_row(args, row);
    for (int dim = 0; dim < args.head_dim; dim += kLanes) vstore(at.acc + dim, vset(0.0F));
    at.state[kStateMax] = -__builtin_inff();
    at.state[kStateSum] = 0.0F;
  }
  const auto clip = [](int64_t key) {
    return static_cast<int>(key < 0 ? 0 : key > kSegmentKeys ? kSegmentKeys : key);
  };
  constexpr int64_t kSpanSegments = kSpanKeys / kSegmentKeys;
  const int64_t first_seen = first_key_of(args, 0) / kSegmentKeys;
  const int64_t last_seen = (args.first_position + args.num_tokens - 1) / kSegmentKeys;
  const int64_t begin = span * kSpanSegments > first_seen ? span * kSpanSegments : first_seen;
  const int64_t end = (span + 1) * kSpanSegments <= last_seen ? (span + 1) * kSpanSegments : last_seen + 1;
  for (int64_t segment = begin; segment < end; ++segment) {
    const int64_t base = segment * kSegmentKeys;
    const int64_t page_at = args.pages[segment] * args.page_bytes;
    const int64_t next_at = args.pages[segment < last_seen ? segment + 1 : segment] * args.page_bytes;
    const Segment at{.keys = args.keys + page_at,
                     .values = args.values + page_at,
                     .key_scales = reinterpret_cast<const uint16_t*>(args.key_scales + page_at),
                     .value_scales = reinterpret_cast<const uint16_t*>(args.value_scales + page_at),
                     .next_keys = args.keys + next_at,
                     .next_values = args.values + next_at};
    // All tokens see the whole segment when the first one's past and the last one's window do.
    if (args.first_position >= base + kSegmentKeys - 1 && first_key_of(args, args.num_tokens - 1) <= base) {
      attend_rows<kNumbers, kDots>(args, at, 0, num_rows, 0, kSegmentKeys);
      continue;
    }
    for (int token = 0; token < args.num_tokens; ++token) {
      const int lo = clip(first_key_of(args, token) - base);
      const int hi = clip(args.first_position + token + 1 - base);
      if (lo < hi) attend_rows<kNumbers, kDots>(args, at, token * args.group, args.group, lo, hi);
    }
  }
}

template <KvNumbers kNumbers, bool kDots>
inline void attend(const AttentionArgs& args) {
  const int num_rows = args.num_tokens * args.group;
  for (int row = 0; row < num_rows; ++row) begin_row<kDots>(args, row);
  if (args.partials != nullptr) {
    attend_span<kNumbers, kDots>(args, args.span);
    for (int row = 0; row < num_rows; ++row) {
      const AttentionRow at = attention_row(args, row);
      float* partial = args.partials + row * attention_partial_floats(args.head_dim);
      partial[0] = at.state[kStateMax];
      partial[1] = at.state[kStateSum];
      for (int dim = 0; dim < args.head_dim; dim += kLanes)
        vstore(partial + kMaxLanes + dim, vload(at.acc + dim));
    }
    return;
  }
  for (int row = 0; row < num_rows; ++row) begin_totals(args, row);
  const int64_t last_span = (args.first_position + args.num_tokens - 1) / kSpanKeys;
  for (int64_t span = first_key_of(args, 0) / kSpanKeys; span <= last_span; ++span) {
    attend_span<kNumbers, kDots>(args, span);
    for (int row = 0; row < num_rows; ++row) {
      const AttentionRow at = attention_row(args, row);
      add_span(args, row, at.state[kStateMax], at.state[kStateSum], at.acc);
    }
  }
  for (int row = 0; row < num_rows; ++row) end_row(args, row);
}

// The rows' outputs from the partials of `num_spans` spans, [num_spans][rows][partial].
void attention_of_spans(const AttentionArgs& args, int64_t num_spans) {
  const int num_rows = args.num_tokens * args.group;
  const int64_t stride = attention_partial_floats(args.head_dim);
  for (int row = 0; row < num_rows; ++row) {
    begin_totals(args, row);
    for (int64_t span = 0; span < num_spans; ++span) {
      const float* partial = args.partials + (span * num_rows + row) * stride;
      add_span(args, row, partial[0], partial[1], partial + kMaxLanes);
    }
    end_row(args, row);
  }
}

void attention(const AttentionArgs& args) {
  switch (args.kv_numbers) {
    case KvNumbers::kF32:
      return attend<KvNumbers::kF32, false>(args);
    case KvNumbers::kBf16:
      if (kBf16Dots && args.out_bf16) return attend<KvNumbers::kBf16, kBf16Dots>(args);
      return attend<KvNumbers::kBf16, false>(args);
    case KvNumbers::kF16:
      return attend<KvNumbers::kF16, false>(args);
    case KvNumbers::kInt8:
      return attend<KvNumbers::kInt8, false>(args);
  }
}
