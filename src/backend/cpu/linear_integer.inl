// Products of integer codes with integer activations (QuantizeArgs): exact sums in 32-bit integers, turned to
// floats and scaled at fixed places. Included inside an anonymous namespace, after the vocabulary, linear.inl
// and integer_codes.inl.
//
// A run of 8 columns is kRunSteps operands: vectors whose lanes are rows and hold four int8 or two int16
// codes of a row, as idot takes them. Few tokens decode operands in registers; many decode a slab of columns
// into memory first. Integer sums are exact, and floats are added group after group in both, so the bits are
// the same.

constexpr int kStepsPerGroup = kGroupCols / 8 * kRunSteps;
constexpr int kStepBytes = kPanelRows * 4;  // of one operand of all rows
constexpr int64_t kSlabGroups = kSlabBytes / (kStepsPerGroup * kStepBytes);

// Where sums turn to floats: every so many groups. A format with one scale for the row, and activations with
// one scale, could wait longer; 32-bit sums hold a slab's 512 columns of 127 * 255.
template <typename Codes>
constexpr int flush_groups() {
  return Codes::kRowScale && !kInt16Codes ? static_cast<int>(kSlabGroups) : 1;
}

// `part` of token t and vector v with the scale of the weights' group, and of the activations' where theirs
// changes from group to group, on top of `total`.
template <typename Codes>
inline V add_flushed(const LinearArgs& args, int64_t group, int64_t token, V scale, I part, V total) {
  if constexpr (kInt16Codes) {
    const V of_token = vset(args.x_scales[token * groups_of(args.cols) + group]);
    return vfma(ito_float(part), Codes::kRowScale ? of_token : vmul(scale, of_token), total);
  } else {
    return Codes::kRowScale ? vadd(total, ito_float(part)) : vfma(ito_float(part), scale, total);
  }
}
template <typename Codes>
inline V group_scale(const uint8_t* panel, int64_t group, int vec) {
  return Codes::kRowScale ? vset(1.0F) : Codes::scale(panel, group, vec * kLanes);
}

// totals += scale * part. In registers, or in memory [T][kPanelRows].
template <typename Codes, int T, int NV>
GOSSAMER_INLINE void flush(const LinearArgs& args, const uint8_t* panel, int64_t group, int64_t token,
                           int first_vec, const I (&part)[T][NV], V (&totals)[T][NV]) {
  GOSSAMER_UNROLL
  for (int v = 0; v < NV; ++v) {
    const V scale = group_scale<Codes>(panel, group, first_vec + v);
    GOSSAMER_UNROLL
    for (int t = 0; t < T; ++t) {
      totals[t][v] = add_flushed<Codes>(args, group, token + t, scale, part[t][v], totals[t][v]);
    }
  }
}
template <typename Codes, int T, int NV>
GOSSAMER_INLINE void flush(const LinearArgs& args, const uint8_t* panel, int64_t group, int64_t token,
                           int first_vec, const I (&part)[T][NV], float* totals) {
  __asm__("" : "+r"(totals));  // or the compiler moves them to registers after all
  GOSSAMER_UNROLL
  for (int v = 0; v < NV; ++v) {
    const V scale = group_scale<Codes>(panel, group, first_vec + v);
    GOSSAMER_UNROLL
    for (int t = 0; t < T; ++t) {
      float* total = totals + t * kPanelRows + v * kLanes;
      vstore(total, add_flushed<Codes>(args, group, token + t, scale, part[t][v], vload(total)));
    }
  }
}

// Sums start at what turns the offset of the codes of groups [group, end) into none.
template <typename Codes, int T, int NV>
GOSSAMER_INLINE void begin_part(const LinearArgs& args, int64_t group, int64_t end, int64_t token,
                                I (&part)[T][NV]) {
  I sums[T];
  if constexpr (Codes::kOffset == 0) {
    for (int t = 0; t < T; ++t) sums[t] = iset(0);
  } else {
    const int64_t groups = groups_of(args.cols);
    const Activations<T> of(args.x_sums + token * groups + group, groups * 4);
    GOSSAMER_UNROLL
    for (int t = 0; t < T; ++t) sums[t] = iset_bytes(of.of(t));
    for (int64_t i = 1; i < end - group; ++i) {
      GOSSAMER_UNROLL
      for (int t = 0; t < T; ++t) sums[t] = iadd(sums[t], iset_bytes(of.of(t) + i * 4));
    }
  }
  GOSSAMER_UNROLL
  for (int t = 0; t < T; ++t) {
    GOSSAMER_UNROLL
    for (int v = 0; v < NV; ++v) {
      part[t][v] = sums[t];
      GOSSAMER_OPAQUE(part[t][v]);
    }
  }
}

inline const uint8_t* integer_x(const LinearArgs& args, int64_t token) {
  return static_cast<const uint8_t*>(args.x) + token * args.x_stride * (kInt16Codes ? 2 : 1);
}

// The end of a tile, whose totals lie in memory [tokens][kPanelRows]: scales that apply to a whole sum, then
// bias, residual, store.
template <typename Codes>
inline void finish_integer_tile(const LinearArgs& args, const uint8_t* panel, int64_t panel_index,
                                int64_t token, int num_tokens, int first_vec, int num_vecs,
                                const float* memory) {
  const int64_t groups = groups_of(args.cols);
  for (int t = 0; t < num_tokens; ++t) {
    const float of_token = kInt16Codes ? Codes::kUnit : args.x_scales[(token + t) * groups] * Codes::kUnit;
    for (int v = 0; v < num_vecs; ++v) {
      V sum = vmul(vload(memory + t * kPanelRows + v * kLanes), vset(of_token));
      if constexpr (Codes::kRowScale) sum = vmul(sum, Codes::scale(panel, 0, (first_vec + v) * kLanes));
      store_sum(args, token + t, panel_index * kPanelRows + (first_vec + v) * kLanes, sum);
    }
  }
}

// All columns of T tokens and NV vectors of rows, operands in registers.
template <typename Codes, int T, int NV>
__attribute__((noinline)) void integer_direct(const LinearArgs& args, const uint8_t* panel,
                                              int64_t panel_index, int64_t token, int first_vec) {
  constexpr int kFlush = flush_groups<Codes>();
  const int64_t groups = groups_of(args.cols);
  const int64_t x_stride = args.x_stride * (kInt16Codes ? 2 : 1);
  const uint8_t* x = integer_x(args, token);
  alignas(64) float totals[T * kPanelRows] = {};
  I part[T][NV];
  for (int64_t group = 0; group < groups; ++group) {
    if (group % kFlush == 0) {
      begin_part<Codes>(args, group, group + kFlush < groups ? group + kFlush : groups, token, part);
    }
    const uint8_t* codes = Codes::codes(panel, group) + first_vec * kLanes * 4;
    Codes::prefetch(panel, group, first_vec);
    const Activations<T> tokens(x + group * kStepsPerGroup * 4, x_stride);
    GOSSAMER_UNROLL
    for (int run = 0; run < kGroupCols / 8; ++run) {
      GOSSAMER_UNROLL
      for (int word = 0; word < 2; ++word) {
        I words[NV];
        GOSSAMER_UNROLL
        for (int v = 0; v < NV; ++v) words[v] = Codes::load_word(codes, run, word, v);
        GOSSAMER_UNROLL
        for (int half = 0; half < kRunSteps / 2; ++half) {
          I operands[NV];
          GOSSAMER_UNROLL
          for (int v = 0; v < NV; ++v) operands[v] = ioperand(words[v], half);
          const int step = run * kRunSteps + word * (kRunSteps / 2) + half;
          GOSSAMER_UNROLL
          for (int t = 0; t < T; ++t) {
            const I of_token = iset_bytes(tokens.of(t) + step * 4);
            GOSSAMER_UNROLL
            for (int v = 0; v < NV; ++v) part[t][v] = idot(part[t][v], operands[v], of_token);
          }
        }
      }
    }
    if (group % kFlush == kFlush - 1 || group == groups - 1) {
      flush<Codes>(args, panel, group, token, first_vec, part, totals);
    }
  }
  finish_integer_tile<Codes>(args, panel, panel_index, token, T, first_vec, NV, totals);
}

// Operands of groups [begin, end) of a panel, each step of all rows after the other.
template <typename Codes>
inline void decode_slab(const uint8_t* panel, int64_t begin, int64_t end, uint8_t* slab) {
  for (int64_t group = begin; group < end; ++group) {
    const uint8_t* codes = Codes::codes(panel, group);
    GOSSAMER_UNROLL
    for (int run = 0; run < kGroupCols / 8; ++run) {
      GOSSAMER_UNROLL
      for (int word = 0; word < 2; ++word) {
        GOSSAMER_UNROLL
        for (int v = 0; v < kPanelVecs; ++v) {
          const I words = Codes::load_word(codes, run, word, v);
          GOSSAMER_UNROLL
          for (int half = 0; half < kRunSteps / 2; ++half) {
            istore(slab + (run * kRunSteps + word * (kRunSteps / 2) + half) * kStepBytes + v * kLanes * 4,
                   ioperand(words, half));
          }
        }
      }
    }
    slab += kStepsPerGroup * kStepBytes;
  }
}

// Groups [begin, end) between two flushes, their operands and activations.
template <typename Codes, int T, int NV, typename Totals>
GOSSAMER_INLINE void add_slab_groups(const LinearArgs& args, const uint8_t* panel, int64_t token,
                                     int first_vec, int64_t begin, int64_t end, const uint8_t* operands,
                                     const uint8_t* x, Totals& totals) {
  const Activations<T> tokens(x, args.x_stride * (kInt16Codes ? 2 : 1));
  I part[T][NV];
  begin_part<Codes>(args, begin, end, token, part);
  const int64_t steps = (end - begin) * kStepsPerGroup;
  for (int64_t step = 0; step < steps; ++step) {
    I weights[NV];
    GOSSAMER_UNROLL
    for (int v = 0; v < NV; ++v) weights[v] = iload(operands + step * kStepBytes + v * kLanes * 4);
    GOSSAMER_UNROLL
    for (int t = 0; t < T; ++t) {
      const I of_token = iset_bytes(tokens.of(t) + step * 4);
      GOSSAMER_UNROLL
      for (int v = 0; v < NV; ++v) part[t][v] = idot(part[t][v], weights[v], of_token);
    }
  }
  flush<Codes>(args, panel, begin, token, first_vec, part, totals);
}

// Groups [begin, end) of T tokens and NV vectors of rows from the slab; totals wait in memory between slabs.
template <typename Codes, int T, int NV>
__attribute__((noinline)) void integer_slab(const LinearArgs& args, const uint8_t* panel, int64_t panel_index,
                                            int64_t token, int first_vec, int64_t begin, int64_t end) {
  constexpr int kFlush = flush_groups<Codes>();
  const uint8_t* x = integer_x(args, token) + begin * kStepsPerGroup * 4;
  const uint8_t* operands = static_cast<const uint8_t*>(args.slab) + first_vec * kLanes * 4;
  float* memory = static_cast<float*>(args.scratch) + token * kPanelRows + first_vec * kLanes;
  V totals[T][NV];
  if (begin == 0) {
    clear(totals);
    store_totals(memory, totals);
  }
  if constexpr (kFlush > 1) {
    static_assert(kFlush == kSlabGroups);
    add_slab_groups<Codes, T, NV>(args, panel, token, first_vec, begin, end, operands, x, memory);
  } else {
    load_totals(memory, totals);
    for (int64_t group = begin; group < end; ++group) {
      add_slab_groups<Codes, T, NV>(args, panel, token, first_vec, group, group + 1, operands, x, totals);
      operands += kStepsPerGroup * kStepBytes;
      x += kStepsPerGroup * 4;
    }
    store_totals(memory, totals);
  }
  if (end == groups_of(args.cols)) {
    finish_integer_tile<Codes>(args, panel, panel_index, token, T, first_vec, NV, memory);
  }
}

template <typename Codes, int T>
inline void integer_direct_of(int64_t count, const LinearArgs& args, const uint8_t* panel,
                              int64_t panel_index, int64_t token) {
  if (count == T) {
    for (int vec = 0; vec < kPanelVecs; vec += kDirectVecs) {
      integer_direct<Codes, T, kDirectVecs>(args, panel, panel_index, token, vec);
    }
  } else if constexpr (T > 1) {
    integer_direct_of<Codes, T - 1>(count, args, panel, panel_index, token);
  }
}

template <typename Codes, int T>
inline void integer_slab_of(int64_t count, const LinearArgs& args, const uint8_t* panel, int64_t panel_index,
                            int64_t token, int64_t begin, int64_t end) {
  if (count == T) {
    for (int vec = 0; vec < kPanelVecs; vec += kTileVecs) {
      integer_slab<Codes, T, kTileVecs>(args, panel, panel_index, token, vec, begin, end);
    }
  } else if constexpr (T > 1) {
    integer_slab_of<Codes, T - 1>(count, args, panel, panel_index, token, begin, end);
  }
}

template <typename Codes>
inline void integer_slabs(const LinearArgs& args) {
  constexpr int kTokens = flush_groups<Codes>() > 1 ? kTileTokens : kScaledTileTokens;
  const int64_t groups = groups_of(args.cols);
  for (int64_t index = args.panel_begin; index < args.panel_end; ++index) {
    const uint8_t* panel = args.weight + index * args.panel_bytes;
    for (int64_t begin = 0; begin < groups; begin += kSlabGroups) {
      const int64_t end = begin + kSlabGroups < groups ? begin + kSlabGroups : groups;
      decode_slab<Codes>(panel, begin, end, static_cast<uint8_t*>(args.slab));
      prefetch_bytes(Codes::codes(panel, end), Codes::codes(panel, end + end - begin));
      for_each_token_tile(args.num_tokens, kTokens, [&](int64_t token, int64_t count) {
        integer_slab_of<Codes, kTokens>(count, args, panel, index, token, begin, end);
      });
    }
  }
}

template <typename Codes>
void linear_integer(const LinearArgs& args) {
  if (args.num_tokens > kDirectTokens) {
    for_each_token_piece(args, args.x_stride * (kInt16Codes ? 2 : 1), integer_slabs<Codes>);
    return;
  }
  for (int64_t index = args.panel_begin; index < args.panel_end; ++index) {
    const uint8_t* panel = args.weight + index * args.panel_bytes;
    integer_direct_of<Codes, kDirectTokens>(args.num_tokens, args, panel, index, 0);
  }
}
