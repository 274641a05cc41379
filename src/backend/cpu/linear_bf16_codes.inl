// Products of packed codes with bf16 activations through vdpbf16ps. Included inside an anonymous namespace by
// kernels_avx512.cc, after linear_bf16.inl.
//
// Codes are whole numbers of few bits, exact as bf16. A group is summed unscaled and
// enters the total in one fused operation; with one scale for a row it comes last.
//
// Codes as bf16 pairs: pair p of a run of 8 columns is columns 2p and 2p + 1, in the halves of each lane's 32
// bits.

// One nibble of every 16-bit half as bf16. Only the index's low five bits count and the table repeats after
// 16, so the bits above the nibble need no masking.
alignas(64) constexpr uint16_t kMxfp4AsBf16[32] = {
    0x0000, 0x3f00, 0x3f80, 0x3fc0, 0x4000, 0x4040, 0x4080, 0x40c0, 0x8000, 0xbf00, 0xbf80,
    0xbfc0, 0xc000, 0xc040, 0xc080, 0xc0c0, 0x0000, 0x3f00, 0x3f80, 0x3fc0, 0x4000, 0x4040,
    0x4080, 0x40c0, 0x8000, 0xbf00, 0xbf80, 0xbfc0, 0xc000, 0xc040, 0xc080, 0xc0c0};
alignas(64) constexpr uint16_t kInt4AsBf16[32] = {
    0xc100, 0xc0e0, 0xc0c0, 0xc0a0, 0xc080, 0xc040, 0xc000, 0xbf80, 0x0000, 0x3f80, 0x4000,
    0x4040, 0x4080, 0x40a0, 0x40c0, 0x40e0, 0xc100, 0xc0e0, 0xc0c0, 0xc0a0, 0xc080, 0xc040,
    0xc000, 0xbf80, 0x0000, 0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0, 0x40c0, 0x40e0};

template <typename Codes, const uint16_t* kTable>
struct NibblePairs : Codes {
  template <int kPair>
  static I pair(const uint8_t* codes, int run, int vec) {
    const I words = iload(codes + run * 4 * kPanelRows + vec * 64);
    return _mm512_permutexvar_epi16(shift_words<4 * kPair>(words), _mm512_load_si512(kTable));
  }
};
template <bool kPerRow>
struct BytePairs : Int8Codes<kPerRow> {
  // The float of a small integer has its last 16 bits zero: the rest is its bf16.
  template <int kPair>
  static I pair(const uint8_t* codes, int run, int vec) {
    const I words = iload(codes + (run * 2 + kPair % 2) * 4 * kPanelRows + vec * 64);
    constexpr int kByte = kPair / 2;  // columns 2p, 2p + 1: bytes 0 and 2, or 1 and 3
    const I low = _mm512_castps_si512(int8_value<kByte>(words));
    const I high = _mm512_castps_si512(int8_value<kByte + 2>(words));
    return _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(low, 16), high);
  }
};

// Up to so many tokens every tile decodes the codes in registers.
constexpr int kDirectBf16Tokens = 2 * kTileTokens;
// Tokens of a tile that takes two groups side by side.
constexpr int kTwoGroupTokens = 4;

template <typename Pairs, int kPair, int T>
GOSSAMER_INLINE void add_code_pair(const uint8_t* codes, int run, const Activations<T>& x,
                                   V (&part)[T][kPanelVecs]) {
  I weights[kPanelVecs];
  GOSSAMER_UNROLL
  for (int v = 0; v < kPanelVecs; ++v) weights[v] = Pairs::template pair<kPair>(codes, run, v);
  add_pair(x, run * 8 + 2 * kPair, weights, part);
}

// sums += run `run` of 8 columns of the group whose codes these are. x begins at the group.
template <typename Pairs, int T>
GOSSAMER_INLINE void add_run(const uint8_t* codes, int run, const Activations<T>& x,
                             V (&sums)[T][kPanelVecs]) {
  add_code_pair<Pairs, 0>(codes, run, x, sums);
  add_code_pair<Pairs, 1>(codes, run, x, sums);
  add_code_pair<Pairs, 2>(codes, run, x, sums);
  add_code_pair<Pairs, 3>(codes, run, x, sums);
}

// totals += scale * part of a group.
template <typename Pairs, int T>
GOSSAMER_INLINE void add_part(const uint8_t* panel, int64_t group, const V (&part)[T][kPanelVecs],
                              float* totals) {
  V scales[kPanelVecs];
  GOSSAMER_UNROLL
  for (int v = 0; v < kPanelVecs; ++v) scales[v] = Pairs::scale(panel, group, v * kLanes);
  add_scaled(part, scales, totals);
}

// The end of a tile, whose totals lie in memory [tokens][kPanelRows].
template <typename Pairs>
inline void finish_codes_tile(const LinearArgs& args, const uint8_t* panel, int64_t panel_index,
                              int64_t token, int num_tokens, const float* totals) {
  for (int t = 0; t < num_tokens; ++t) {
    for (int v = 0; v < kPanelVecs; ++v) {
      V sum = vload(totals + t * kPanelRows + v * kLanes);
      if constexpr (Pairs::kRowScale) sum = vmul(sum, Pairs::scale(panel, 0, v * kLanes));
      store_sum(args, token + t, panel_index * kPanelRows + v * kLanes, sum);
    }
  }
}

// Groups [begin, end) of T tokens, all whole or one group of padded x, codes decoded in registers.
template <typename Pairs, int T>
GOSSAMER_INLINE void add_groups_direct(const uint8_t* panel, int64_t begin, int64_t end, const uint16_t* x,
                                       int64_t x_stride, float* totals) {
  int64_t group = begin;
  if constexpr (Pairs::kRowScale) {
    V sums[T][kPanelVecs];
    load_totals(totals, sums);
    for (; group < end; ++group, x += kGroupCols) {
      const Activations<T> tokens(x, x_stride * 2);
      Pairs::prefetch(panel, group, 0);
      GOSSAMER_UNROLL
      for (int run = 0; run < kGroupCols / 8; ++run) {
        add_run<Pairs>(Pairs::codes(panel, group), run, tokens, sums);
      }
    }
    store_totals(totals, sums);
    return;
  }
  // A group's sum is a chain of 16 products, each of which waits for the one before: few tokens take two
  // groups side by side.
  if constexpr (T <= kTwoGroupTokens) {
    for (; group + 2 <= end; group += 2, x += 2 * kGroupCols) {
      Pairs::prefetch(panel, group, 0);
      Pairs::prefetch(panel, group + 1, 0);
      const Activations<T> tokens(x, x_stride * 2);
      const Activations<T> next_tokens(x + kGroupCols, x_stride * 2);
      V part[T][kPanelVecs];
      V next_part[T][kPanelVecs];
      clear(part);
      clear(next_part);
      GOSSAMER_UNROLL
      for (int run = 0; run < kGroupCols / 8; ++run) {
        add_run<Pairs>(Pairs::codes(panel, group), run, tokens, part);
        add_run<Pairs>(Pairs::codes(panel, group + 1), run, next_tokens, next_part);
      }
      add_part<Pairs>(panel, group, part, totals);
      add_part<Pairs>(panel, group + 1, next_part, totals);
    }
  }
  for (; group < end; ++group, x += kGroupCols) {
    Pairs::prefetch(panel, group, 0);
    const Activations<T> tokens(x, x_stride * 2);
    V part[T][kPanelVecs];
    clear(part);
    GOSSAMER_UNROLL
    for (int run = 0; run < kGroupCols / 8; ++run) {
      add_run<Pairs>(Pairs::codes(panel, group), run, tokens, part);
    }
    add_part<Pairs>(panel, group, part, totals);
  }
}

template <typename Pairs, int T>
__attribute__((noinline)) void linear_codes_direct(const LinearArgs& args, const uint8_t* panel,
                                                   int64_t panel_index, int64_t token) {
  const auto* x = static_cast<const uint16_t*>(args.x) + token * args.x_stride;
  alignas(64) float totals[T * kPanelRows] = {};
  const int64_t whole = args.cols / kGroupCols;
  add_groups_direct<Pairs, T>(panel, 0, whole, x, args.x_stride, totals);
  if (args.cols % kGroupCols != 0) {
    const PaddedGroup<T> padded(x + whole * kGroupCols, args.x_stride, args.cols % kGroupCols);
    add_groups_direct<Pairs, T>(panel, whole, whole + 1, padded.x[0], kGroupCols, totals);
  }
  finish_codes_tile<Pairs>(args, panel, panel_index, token, T, totals);
}

// A slab: pairs of columns of all rows as bf16, as in a bf16 panel.
constexpr int kPairBytes = kPanelRows * 4;
constexpr int kPairsPerGroup = kGroupCols / 2;

template <typename Pairs, int kPair>
GOSSAMER_INLINE void decode_pair(const uint8_t* codes, int run, uint8_t* slab) {
  GOSSAMER_UNROLL
  for (int v = 0; v < kPanelVecs; ++v) {
    istore(slab + (run * 4 + kPair) * kPairBytes + v * 64, Pairs::template pair<kPair>(codes, run, v));
  }
}
template <typename Pairs>
inline void decode_bf16_slab(const uint8_t* panel, int64_t begin, int64_t end, uint8_t* slab) {
  for (int64_t group = begin; group < end; ++group) {
    const uint8_t* codes = Pairs::codes(panel, group);
    GOSSAMER_UNROLL
    for (int run = 0; run < kGroupCols / 8; ++run) {
      decode_pair<Pairs, 0>(codes, run, slab);
      decode_pair<Pairs, 1>(codes, run, slab);
      decode_pair<Pairs, 2>(codes, run, slab);
      decode_pair<Pairs, 3>(codes, run, slab);
    }
    slab += kPairsPerGroup * kPairBytes;
  }
}

template <int T>
GOSSAMER_INLINE void add_slab_pairs(const uint8_t* pairs, int64_t count, const uint16_t* x, int64_t x_stride,
                                    V (&sums)[T][kPanelVecs]) {
  const Activations<T> tokens(x, x_stride * 2);
  for (int64_t pair = 0; pair < count; ++pair) {
    I weights[kPanelVecs];
    GOSSAMER_UNROLL
    for (int v = 0; v < kPanelVecs; ++v) weights[v] = iload(pairs + pair * kPairBytes + v * 64);
    add_pair(tokens, 2 * pair, weights, sums);
  }
}

// Groups [begin, end) of T tokens from the slab.
template <typename Pairs, int T>
GOSSAMER_INLINE void add_groups_slab(const uint8_t* panel, const uint8_t* slab, int64_t begin, int64_t end,
                                     const uint16_t* x, int64_t x_stride, float* totals) {
  if constexpr (Pairs::kRowScale) {
    V sums[T][kPanelVecs];
    load_totals(totals, sums);
    add_slab_pairs<T>(slab, (end - begin) * kPairsPerGroup, x, x_stride, sums);
    store_totals(totals, sums);
    return;
  }
  for (int64_t group = begin; group < end; ++group) {
    V part[T][kPanelVecs];
    clear(part);
    add_slab_pairs<T>(slab, kPairsPerGroup, x, x_stride, part);
    add_part<Pairs>(panel, group, part, totals);
    slab += kPairsPerGroup * kPairBytes;
    x += kGroupCols;
  }
}

template <typename Pairs, int T>
__attribute__((noinline)) void linear_codes_slab(const LinearArgs& args, const uint8_t* panel,
                                                 int64_t panel_index, int64_t token, int64_t begin,
                                                 int64_t end) {
  const auto* x = static_cast<const uint16_t*>(args.x) + token * args.x_stride;
  const auto* slab = static_cast<const uint8_t*>(args.slab);
  float* totals = static_cast<float*>(args.scratch) + token * kPanelRows;
  if (begin == 0) {
    V zeros[T][kPanelVecs];
    clear(zeros);
    store_totals(totals, zeros);
  }
  const int64_t whole = args.cols / kGroupCols < end ? args.cols / kGroupCols : end;
  add_groups_slab<Pairs, T>(panel, slab, begin, whole, x + begin * kGroupCols, args.x_stride, totals);
  if (whole < end) {
    const PaddedGroup<T> padded(x + whole * kGroupCols, args.x_stride, args.cols % kGroupCols);
    add_groups_slab<Pairs, T>(panel, slab + (whole - begin) * kPairsPerGroup * kPairBytes, whole, end,
                              padded.x[0], kGroupCols, totals);
  }
  if (end == groups_of(args.cols)) finish_codes_tile<Pairs>(args, panel, panel_index, token, T, totals);
}

template <typename Pairs, int T>
inline void linear_codes_direct_of(int64_t count, const LinearArgs& args, const uint8_t* panel,
                                   int64_t panel_index, int64_t token) {
  if (count == T) {
    linear_codes_direct<Pairs, T>(args, panel, panel_index, token);
  } else if constexpr (T > 1) {
    linear_codes_direct_of<Pairs, T - 1>(count, args, panel, panel_index, token);
  }
}
template <typename Pairs, int T>
inline void linear_codes_slab_of(int64_t count, const LinearArgs& args, const uint8_t* panel,
                                 int64_t panel_index, int64_t token, int64_t begin, int64_t end) {
  if (count == T) {
    linear_codes_slab<Pairs, T>(args, panel, panel_index, token, begin, end);
  } else if constexpr (T > 1) {
    linear_codes_slab_of<Pairs, T - 1>(count, args, panel, panel_index, token, begin, end);
  }
}

template <typename Pairs>
inline void linear_codes_slabs(const LinearArgs& args) {
  constexpr int64_t kGroups = kSlabBytes / (kPairsPerGroup * kPairBytes);
  const int64_t groups = groups_of(args.cols);
  for (int64_t index = args.panel_begin; index < args.panel_end; ++index) {
    const uint8_t* panel = args.weight + index * args.panel_bytes;
    for (int64_t begin = 0; begin < groups; begin += kGroups) {
      const int64_t end = begin + kGroups < groups ? begin + kGroups : groups;
      decode_bf16_slab<Pairs>(panel, begin, end, static_cast<uint8_t*>(args.slab));
      prefetch_bytes(Pairs::codes(panel, end), Pairs::codes(panel, end + end - begin));
      for_each_token_tile(args.num_tokens, kTileTokens, [&](int64_t token, int64_t count) {
        linear_codes_slab_of<Pairs, kTileTokens>(count, args, panel, index, token, begin, end);
      });
    }
  }
}

template <typename Pairs>
void linear_bf16_codes(const LinearArgs& args) {
  if (args.num_tokens > kDirectBf16Tokens) {
    for_each_token_piece(args, args.x_stride * 2, linear_codes_slabs<Pairs>);
    return;
  }
  for (int64_t index = args.panel_begin; index < args.panel_end; ++index) {
    const uint8_t* panel = args.weight + index * args.panel_bytes;
    for_each_token_tile(args.num_tokens, kTileTokens, [&](int64_t token, int64_t count) {
      linear_codes_direct_of<Pairs, kTileTokens>(count, args, panel, index, token);
    });
  }
}

constexpr void add_bf16_kernels(KernelTable& table) {
  constexpr LinearKernel kBf16[kNumFormats] = {nullptr,
                                               linear_bf16<Bf16PairPanels>,
                                               nullptr,
                                               linear_bf16_codes<NibblePairs<Mxfp4Codes, kMxfp4AsBf16>>,
                                               linear_bf16_codes<BytePairs<true>>,
                                               linear_bf16_codes<BytePairs<false>>,
                                               linear_bf16_codes<NibblePairs<Int4Codes, kInt4AsBf16>>};
  for (int format = 0; format < kNumFormats; ++format) table.linear_bf16[format] = kBf16[format];
  table.linear_bf16_name = "vdpbf16ps";
}
