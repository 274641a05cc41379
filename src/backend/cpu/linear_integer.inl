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

// Where sums turn to floats: every so many groups. A format with one scale for the row, and activations with
// one scale, could wait longer; 32-bit sums hold 512 columns of 127 * 255.
template <typename Codes>
constexpr int flush_groups() {
  return Codes::kRowScale && !kInt16Codes ? static_cast<int>(kSlabCols / kGroupCols) : 1;
}

// totals[t][v] += scale * part, where the scale is the weights' of group `group`, times the activations'
// where theirs changes from group to group.
template <typename Codes, int T, int NV>
inline void flush(const LinearArgs& args, const uint8_t* panel, int64_t group, int64_t token, int first_vec,
                  const I (&part)[T][NV], V (&totals)[T][NV]) {
  const int64_t groups = groups_of(args.cols);
  GOSSAMER_UNROLL
  for (int v = 0; v < NV; ++v) {
    const V scale = Codes::kRowScale ? vset(1.0F) : Codes::scale(panel, group, (first_vec + v) * kLanes);
    GOSSAMER_UNROLL
    for (int t = 0; t < T; ++t) {
      const V sum = ito_float(part[t][v]);
      if constexpr (kInt16Codes) {
        const V of_token = vset(args.x_scales[(token + t) * groups + group]);
        totals[t][v] = vfma(sum, Codes::kRowScale ? of_token : vmul(scale, of_token), totals[t][v]);
      } else {
        totals[t][v] = Codes::kRowScale ? vadd(totals[t][v], sum) : vfma(sum, scale, totals[t][v]);
      }
    }
  }
}

// Sums start at what turns the offset of the codes of groups [group, end) into none.
template <typename Codes, int T, int NV>
inline void begin_part(const LinearArgs& args, int64_t group, int64_t end, int64_t token, I (&part)[T][NV]) {
  const int64_t groups = groups_of(args.cols);
  int32_t sums[T] = {};
  if constexpr (Codes::kOffset != 0) {
    for (int t = 0; t < T; ++t) {
      for (int64_t i = group; i < end; ++i) sums[t] += args.x_sums[(token + t) * groups + i];
    }
  }
  GOSSAMER_UNROLL
  for (int t = 0; t < T; ++t) {
    GOSSAMER_UNROLL
    for (int v = 0; v < NV; ++v) {
      part[t][v] = iset(sums[t]);
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
  V totals[T][NV];
  I part[T][NV];
  clear(totals);
  for (int64_t group = 0; group < groups; ++group) {
    if (group % kFlush == 0) {
      begin_part<Codes>(args, group, group + kFlush < groups ? group + kFlush : groups, token, part);
    }
    const uint8_t* codes = Codes::codes(panel, group) + first_vec * kLanes * 4;
    Codes::prefetch(panel, group, first_vec);
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
          const uint8_t* x_step =
              x + (group * kStepsPerGroup + run * kRunSteps + word * (kRunSteps / 2) + half) * 4;
          GOSSAMER_UNROLL
          for (int t = 0; t < T; ++t) {
            const I of_token = iset_bytes(x_step + t * x_stride);
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
  alignas(64) float memory[T * kPanelRows];
  store_totals(memory, totals);
  finish_integer_tile<Codes>(args, panel, panel_index, token, T, first_vec, NV, memory);
}

// Operands of groups [begin, end) of a panel, each step of all rows after the other.
template <typename Codes>
inline void decode_slab(const uint8_t* panel, int64_t begin, int64_t end, uint8_t* slab) {
  for (int64_t group = begin; group < end; ++group) {
    const uint8_t* codes = Codes::codes(panel, group);
    Codes::prefetch(panel, group, 0);
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

// Groups [begin, end) of T tokens and NV vectors of rows from the slab; totals wait in memory between slabs.
template <typename Codes, int T, int NV>
__attribute__((noinline)) void integer_slab(const LinearArgs& args, const uint8_t* panel, int64_t panel_index,
                                            int64_t token, int first_vec, int64_t begin, int64_t end) {
  constexpr int kFlush = flush_groups<Codes>();
  const int64_t groups = groups_of(args.cols);
  const int64_t x_stride = args.x_stride * (kInt16Codes ? 2 : 1);
  const uint8_t* x = integer_x(args, token) + begin * kStepsPerGroup * 4;
  const uint8_t* operands = static_cast<const uint8_t*>(args.slab) + first_vec * kLanes * 4;
  float* memory = static_cast<float*>(args.scratch) + token * kPanelRows + first_vec * kLanes;
  if (begin == 0) {
    V zeros[T][NV];
    clear(zeros);
    store_totals(memory, zeros);
  }
  V totals[T][NV];
  if constexpr (kFlush == 1) load_totals(memory, totals);
  I part[T][NV];
  // All steps of the slab in one loop where nothing happens between its groups.
  const int64_t steps_at_once = kFlush == 1 ? kStepsPerGroup : (end - begin) * kStepsPerGroup;
  for (int64_t group = begin; group < end; group += kFlush) {
    begin_part<Codes>(args, group, kFlush == 1 ? group + 1 : end, token, part);
    for (int64_t step = 0; step < steps_at_once; ++step) {
      I weights[NV];
      GOSSAMER_UNROLL
      for (int v = 0; v < NV; ++v) weights[v] = iload(operands + v * kLanes * 4);
      GOSSAMER_UNROLL
      for (int t = 0; t < T; ++t) {
        const I of_token = iset_bytes(x + t * x_stride);
        GOSSAMER_UNROLL
        for (int v = 0; v < NV; ++v) part[t][v] = idot(part[t][v], weights[v], of_token);
      }
      operands += kStepBytes;
      x += 4;
    }
    if constexpr (kFlush == 1) flush<Codes>(args, panel, group, token, first_vec, part, totals);
  }
  if constexpr (kFlush == 1) {
    store_totals(memory, totals);
  } else {  // one token after the other: the sums fill the registers
    static_assert(kFlush * kGroupCols == kSlabCols && Codes::kRowScale);
    GOSSAMER_UNROLL
    for (int t = 0; t < T; ++t) {
      GOSSAMER_UNROLL
      for (int v = 0; v < NV; ++v) {
        float* total = memory + t * kPanelRows + v * kLanes;
        vstore(total, vadd(vload(total), ito_float(part[t][v])));
      }
    }
  }
  if (end == groups) {
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
  constexpr int64_t kSlabGroups = kSlabCols / kGroupCols;
  const int64_t groups = groups_of(args.cols);
  for (int64_t index = args.panel_begin; index < args.panel_end; ++index) {
    const uint8_t* panel = args.weight + index * args.panel_bytes;
    for (int64_t begin = 0; begin < groups; begin += kSlabGroups) {
      const int64_t end = begin + kSlabGroups < groups ? begin + kSlabGroups : groups;
      decode_slab<Codes>(panel, begin, end, static_cast<uint8_t*>(args.slab));
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
