// Products of packed weights with f32 activations: weights are widened to f32, every product is exact before
// its fused addition. Included inside an anonymous namespace, after linear_tiles.inl. A sum runs over the
// columns one by one, in ascending order.

// sums[t][v] += x[t][col] * weights[v]
template <int T, int NV>
inline void add_column(const float* x, int64_t x_stride, const V (&weights)[NV], V (&sums)[T][NV]) {
  GOSSAMER_UNROLL
  for (int t = 0; t < T; ++t) {
    const V number = vset(x[t * x_stride]);
    GOSSAMER_UNROLL
    for (int v = 0; v < NV; ++v) sums[t][v] = vfma(weights[v], number, sums[t][v]);
  }
}

// The formats. sum_tile: all columns of the tile's rows; `panel` already points at the tile's first row.

struct F32Panels {  // [cols][kPanelRows]
  static constexpr int kRowBytes = 4;
  template <int T, int NV>
  static void sum_tile(const uint8_t* panel, const LinearArgs& args, const float* x, int, V (&sums)[T][NV]) {
    sum_columns<true>(panel, args.cols, x, args.x_stride, sums);
  }
  template <bool kPrefetch, int T, int NV>
  static void sum_columns(const uint8_t* panel, int64_t cols, const float* x, int64_t x_stride,
                          V (&sums)[T][NV]) {
    for (int64_t col = 0; col < cols; ++col) {
      if constexpr (kPrefetch) prefetch_panel<4 * kLanes * NV>(panel + col * 4 * kPanelRows);
      V weights[NV];
      GOSSAMER_UNROLL
      for (int v = 0; v < NV; ++v) {
        weights[v] = vload(reinterpret_cast<const float*>(panel + col * 4 * kPanelRows) + v * kLanes);
      }
      add_column(x + col, x_stride, weights, sums);
    }
  }
};

struct F16Panels {  // [cols][kPanelRows]
  static constexpr int kRowBytes = 2;
  template <int T, int NV>
  static void sum_tile(const uint8_t* panel, const LinearArgs& args, const float* x, int, V (&sums)[T][NV]) {
    for (int64_t col = 0; col < args.cols; ++col) {
      prefetch_panel<2 * kLanes * NV>(panel + col * 2 * kPanelRows);
      V weights[NV];
      GOSSAMER_UNROLL
      for (int v = 0; v < NV; ++v) {
        weights[v] = vload_f16(reinterpret_cast<const uint16_t*>(panel + col * 2 * kPanelRows) + v * kLanes);
      }
      add_column(x + col, args.x_stride, weights, sums);
    }
  }
  static void widen(const uint8_t* panel, int64_t begin, int64_t end, float* slab) {
    const auto* numbers = reinterpret_cast<const uint16_t*>(panel);
    for (int64_t i = begin * kPanelRows; i < end * kPanelRows; i += kLanes, slab += kLanes) {
      vstore(slab, vload_f16(numbers + i));
    }
  }
};

struct Bf16Panels {  // [cols / 2][kPanelRows][2]; a last odd column has a zero partner
  static constexpr int kRowBytes = 4;
  template <int T, int NV>
  static void sum_tile(const uint8_t* panel, const LinearArgs& args, const float* x, int, V (&sums)[T][NV]) {
    for (int64_t col = 0; col < args.cols; col += 2) {
      prefetch_panel<4 * kLanes * NV>(panel + col * 2 * kPanelRows);
      I pairs[NV];
      V weights[NV];
      GOSSAMER_UNROLL
      for (int v = 0; v < NV; ++v) {
        pairs[v] = iload(panel + col * 2 * kPanelRows + v * 4 * kLanes);
        weights[v] = bf16_even(pairs[v]);
      }
      add_column(x + col, args.x_stride, weights, sums);
      if (col + 1 == args.cols) break;
      GOSSAMER_UNROLL
      for (int v = 0; v < NV; ++v) weights[v] = bf16_odd(pairs[v]);
      add_column(x + col + 1, args.x_stride, weights, sums);
    }
  }
  static void widen(const uint8_t* panel, int64_t begin, int64_t end, float* slab) {
    for (int64_t col = begin; col < end; col += 2, slab += 2 * kPanelRows) {
      for (int row = 0; row < kPanelRows; row += kLanes) {
        const I pairs = iload(panel + col * 2 * kPanelRows + row * 4);
        vstore(slab + row, bf16_even(pairs));
        vstore(slab + kPanelRows + row, bf16_odd(pairs));
      }
    }
  }
};

// Formats with scales (integer_codes.inl). A group is summed unscaled and then enters the total in one fused
// operation; with one scale for a row it comes last. value<c> is column c of a run of 8, unscaled.
struct Mxfp4Values : Mxfp4Codes {
  template <int kColumn>
  static V value(const uint8_t* codes, int run, int row) {
    return mxfp4_value<kColumn / 2 + kColumn % 2 * 4>(iload(codes + (run * kPanelRows + row) * 4));
  }
};
struct Int4Values : Int4Codes {
  template <int kColumn>
  static V value(const uint8_t* codes, int run, int row) {
    return int4_value<kColumn / 2 + kColumn % 2 * 4>(iload(codes + (run * kPanelRows + row) * 4));
  }
};
template <bool kPerRow>
struct Int8Values : Int8Codes<kPerRow> {
  template <int kColumn>
  static V value(const uint8_t* codes, int run, int row) {
    constexpr int kWord = kColumn / 2 % 2;
    constexpr int kByte = kColumn % 2 * 2 + kColumn / 4;
    return int8_value<kByte>(iload(codes + ((run * 2 + kWord) * kPanelRows + row) * 4));
  }
};

template <typename Values>
struct CodePanels {
  static constexpr int kRowBytes = 0;  // sum_tile finds its rows itself

  template <int kColumn, int T, int NV>
  static void add_code_column(const uint8_t* codes, int run, int first_row, const float* x, int64_t x_stride,
                              V (&part)[T][NV]) {
    V weights[NV];
    GOSSAMER_UNROLL
    for (int v = 0; v < NV; ++v) {
      weights[v] = Values::template value<kColumn>(codes, run, first_row + v * kLanes);
    }
    add_column(x + run * 8 + kColumn, x_stride, weights, part);
  }

  template <int T, int NV>
  static void add_group(const uint8_t* codes, int first_row, const float* x, int64_t x_stride,
                        V (&part)[T][NV]) {
    for (int run = 0; run < kGroupCols / 8; ++run) {
      add_code_column<0>(codes, run, first_row, x, x_stride, part);
      add_code_column<1>(codes, run, first_row, x, x_stride, part);
      add_code_column<2>(codes, run, first_row, x, x_stride, part);
      add_code_column<3>(codes, run, first_row, x, x_stride, part);
      add_code_column<4>(codes, run, first_row, x, x_stride, part);
      add_code_column<5>(codes, run, first_row, x, x_stride, part);
      add_code_column<6>(codes, run, first_row, x, x_stride, part);
      add_code_column<7>(codes, run, first_row, x, x_stride, part);
    }
  }

  template <int T, int NV>
  static void sum_tile(const uint8_t* panel, const LinearArgs& args, const float* x, int first_row,
                       V (&sums)[T][NV]) {
    const int64_t whole = args.cols / kGroupCols;
    for (int64_t group = 0; group < groups_of(args.cols); ++group) {
      V part[T][NV];
      clear(part);
      const uint8_t* codes = Values::codes(panel, group);
      Values::prefetch(panel, group, first_row);
      if (group < whole) {
        add_group(codes, first_row, x + group * kGroupCols, args.x_stride, part);
      } else {  // the row ends here: its neighbours may not be ours to read
        float last[T][kGroupCols] = {};
        for (int t = 0; t < T; ++t) {
          for (int64_t i = group * kGroupCols; i < args.cols; ++i) {
            last[t][i % kGroupCols] = x[t * args.x_stride + i];
          }
        }
        add_group(codes, first_row, last[0], kGroupCols, part);
      }
      GOSSAMER_UNROLL
      for (int v = 0; v < NV; ++v) {
        const V scale = Values::kRowScale ? vset(1.0F) : Values::scale(panel, group, first_row + v * kLanes);
        GOSSAMER_UNROLL
        for (int t = 0; t < T; ++t) sums[t][v] = vfma(part[t][v], scale, sums[t][v]);
      }
    }
    if constexpr (Values::kRowScale) {
      GOSSAMER_UNROLL
      for (int v = 0; v < NV; ++v) {
        const V scale = Values::scale(panel, 0, first_row + v * kLanes);
        GOSSAMER_UNROLL
        for (int t = 0; t < T; ++t) sums[t][v] = vmul(sums[t][v], scale);
      }
    }
  }
};

// Not inlined: each tile gets the registers to itself.
template <typename Panels, int T>
__attribute__((noinline)) void linear_tile(const LinearArgs& args, const uint8_t* panel, int64_t panel_index,
                                           int64_t token) {
  constexpr int NV = tile_vecs(T);
  const float* x = static_cast<const float*>(args.x) + token * args.x_stride;
  for (int row = 0; row < kPanelRows; row += NV * kLanes) {
    V sums[T][NV];
    clear(sums);
    Panels::sum_tile(panel + row * Panels::kRowBytes, args, x, row, sums);
    store_tile(args, token, panel_index * kPanelRows + row, sums);
  }
}

// Calls the tile of `count` tokens, 1 <= count <= T.
template <typename Panels, int T>
inline void linear_tile_of(int64_t count, const LinearArgs& args, const uint8_t* panel, int64_t panel_index,
                           int64_t token) {
  if (count == T) {
    linear_tile<Panels, T>(args, panel, panel_index, token);
  } else if constexpr (T > 1) {
    linear_tile_of<Panels, T - 1>(count, args, panel, panel_index, token);
  }
}

template <typename Panels>
void linear_f32(const LinearArgs& args) {
  for (int64_t index = args.panel_begin; index < args.panel_end; ++index) {
    const uint8_t* panel = args.weight + index * args.panel_bytes;
    for_each_token_tile(args.num_tokens, kTileTokens, [&](int64_t token, int64_t count) {
      linear_tile_of<Panels, kTileTokens>(count, args, panel, index, token);
    });
  }
}

// Sixteen-bit weights of many tokens are widened once for all tiles, a slab [columns][kPanelRows] at a time.
// Columns [begin, end) of T tokens.
template <int T>
__attribute__((noinline)) void widened_tile(const LinearArgs& args, int64_t begin, int64_t end,
                                            int64_t panel_index, int64_t token) {
  constexpr int NV = tile_vecs(T);
  const float* x = static_cast<const float*>(args.x) + token * args.x_stride + begin;
  float* totals = static_cast<float*>(args.scratch) + token * kPanelRows;
  for (int row = 0; row < kPanelRows; row += NV * kLanes) {
    V sums[T][NV];
    if (begin == 0) {
      clear(sums);
    } else {
      load_totals(totals + row, sums);
    }
    F32Panels::sum_columns<false>(static_cast<const uint8_t*>(args.slab) + row * F32Panels::kRowBytes,
                                  end - begin, x, args.x_stride, sums);
    if (end < args.cols) {
      store_totals(totals + row, sums);
    } else {
      store_tile(args, token, panel_index * kPanelRows + row, sums);
    }
  }
}
template <int T>
inline void widened_tile_of(int64_t count, const LinearArgs& args, int64_t begin, int64_t end,
                            int64_t panel_index, int64_t token) {
  if (count == T) {
    widened_tile<T>(args, begin, end, panel_index, token);
  } else if constexpr (T > 1) {
    widened_tile_of<T - 1>(count, args, begin, end, panel_index, token);
  }
}
template <typename Panels>
inline void linear_slabs(const LinearArgs& args) {
  constexpr int64_t kSlabCols = kSlabBytes / (kPanelRows * 4);
  for (int64_t index = args.panel_begin; index < args.panel_end; ++index) {
    const uint8_t* panel = args.weight + index * args.panel_bytes;
    for (int64_t begin = 0; begin < args.cols; begin += kSlabCols) {
      const int64_t end = begin + kSlabCols < args.cols ? begin + kSlabCols : args.cols;
      Panels::widen(panel, begin, end, static_cast<float*>(args.slab));
      prefetch_bytes(panel + end * 2 * kPanelRows, panel + (2 * end - begin) * 2 * kPanelRows);
      for_each_token_tile(args.num_tokens, kTileTokens, [&](int64_t token, int64_t count) {
        widened_tile_of<kTileTokens>(count, args, begin, end, index, token);
      });
    }
  }
}
template <typename Panels>
void linear_widened(const LinearArgs& args) {
  if (args.num_tokens > kTileTokens) {
    for_each_token_piece(args, args.x_stride * 4, linear_slabs<Panels>);
  } else {
    linear_f32<Panels>(args);
  }
}
