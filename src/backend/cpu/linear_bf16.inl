// Products of packed weights with bf16 activations through vdpbf16ps: two columns a step, products exact,
// sums in f32. Tiles as in linear.inl; a sum runs over pairs of columns in ascending order.
// Included inside an anonymous namespace by kernels_avx512.cc, after linear.inl.

// Columns `col` and `col + 1` of token t in every lane.
template <int T>
inline __m512bh vset_pair(const Activations<T>& x, int t, int64_t col) {
  int32_t pair;
  __builtin_memcpy(&pair, x.of(t) + col * 2, sizeof(pair));
  return (__m512bh)_mm512_set1_epi32(pair);
}

// The last group of T tokens, zeros beyond the last column: its neighbours may not be ours to read.
template <int T>
struct PaddedGroup {
  uint16_t x[T][kGroupCols] = {};
  PaddedGroup(const uint16_t* from, int64_t x_stride, int64_t count) {
    for (int t = 0; t < T; ++t) {
      for (int64_t i = 0; i < count; ++i) x[t][i] = from[t * x_stride + i];
    }
  }
};

template <int T, int NV>
GOSSAMER_INLINE void add_pair(const Activations<T>& x, int64_t col, const I (&weights)[NV],
                              V (&sums)[T][NV]) {
  GOSSAMER_UNROLL
  for (int t = 0; t < T; ++t) {
    const __m512bh pair = vset_pair(x, t, col);
    GOSSAMER_UNROLL
    for (int v = 0; v < NV; ++v) sums[t][v] = _mm512_dpbf16_ps(sums[t][v], (__m512bh)weights[v], pair);
  }
}

struct Bf16PairPanels {
  template <int T, int NV>
  static void sum_tile(const uint8_t* panel, const LinearArgs& args, const uint16_t* x, V (&sums)[T][NV]) {
    I weights[NV];
    const Activations<T> tokens(x, args.x_stride * 2);
    int64_t col = 0;
    for (; col + 2 <= args.cols; col += 2) {
      prefetch_panel<4 * kPanelRows>(panel + col * 2 * kPanelRows);
      GOSSAMER_UNROLL
      for (int v = 0; v < NV; ++v) weights[v] = iload(panel + col * 2 * kPanelRows + v * 64);
      add_pair(tokens, col, weights, sums);
    }
    if (col < args.cols) {  // the row ends here: its partner is not ours to read
      GOSSAMER_UNROLL
      for (int v = 0; v < NV; ++v) weights[v] = iload(panel + col * 2 * kPanelRows + v * 64);
      GOSSAMER_UNROLL
      for (int t = 0; t < T; ++t) {
        const uint16_t last[2] = {x[t * args.x_stride + col], 0};
        add_pair<1, NV>(Activations<1>(last, 0), 0, weights, reinterpret_cast<V(&)[1][NV]>(sums[t]));
      }
    }
  }
};

template <typename Panels, int T>
__attribute__((noinline)) void linear_bf16_tile(const LinearArgs& args, const uint8_t* panel,
                                                int64_t panel_index, int64_t token) {
  V sums[T][kPanelVecs];
  clear(sums);
  Panels::sum_tile(panel, args, static_cast<const uint16_t*>(args.x) + token * args.x_stride, sums);
  store_tile(args, token, panel_index * kPanelRows, sums);
}

template <typename Panels, int T>
inline void linear_bf16_tile_of(int64_t count, const LinearArgs& args, const uint8_t* panel,
                                int64_t panel_index, int64_t token) {
  if (count == T) {
    linear_bf16_tile<Panels, T>(args, panel, panel_index, token);
  } else if constexpr (T > 1) {
    linear_bf16_tile_of<Panels, T - 1>(count, args, panel, panel_index, token);
  }
}

template <typename Panels>
inline void linear_bf16_panels(const LinearArgs& args) {
  for (int64_t index = args.panel_begin; index < args.panel_end; ++index) {
    const uint8_t* panel = args.weight + index * args.panel_bytes;
    for_each_token_tile(args.num_tokens, kTileTokens, [&](int64_t token, int64_t count) {
      linear_bf16_tile_of<Panels, kTileTokens>(count, args, panel, index, token);
    });
  }
}
template <typename Panels>
void linear_bf16(const LinearArgs& args) {
  for_each_token_piece(args, args.x_stride * 2, linear_bf16_panels<Panels>);
}
