// Tile products for kernels_amx.cc. Included inside an anonymous namespace, after the AVX-512 vocabulary.

constexpr int kTileRows = kActivationTile;  // tokens of one A tile
constexpr int kTokensPerPass = 2 * kTileRows;
constexpr int kTileCols = 32;                                         // bf16 numbers of one tile row
constexpr int64_t kPanelLineBytes = 128;                              // one pair of columns of a bf16 panel
constexpr int64_t kPanelTileBytes = kTileCols / 2 * kPanelLineBytes;  // both B tiles of 32 columns

// C: tmm0 tmm1 (tokens 0-15; rows 0-15, 16-31), tmm2 tmm3 (tokens 16-31). A: tmm4 tmm5. B: tmm6 tmm7.
struct alignas(64) TileConfig {
  uint8_t palette;
  uint8_t start_row;
  uint8_t reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
};

// The compiler does not know that tile loads and stores touch memory.
inline void memory_barrier() { __asm__ volatile("" ::: "memory"); }

inline void configure_tiles(int64_t low_tokens, int64_t high_tokens) {
  TileConfig config = {};
  config.palette = 1;
  const auto low = static_cast<uint8_t>(low_tokens);
  const auto high = static_cast<uint8_t>(high_tokens > 0 ? high_tokens : 1);  // 0 rows are not a tile
  const uint8_t rows[8] = {low, low, high, high, low, high, kTileRows, kTileRows};
  for (int i = 0; i < 8; ++i) {
    config.rows[i] = rows[i];
    config.row_bytes[i] = 64;
  }
  memory_barrier();
  _tile_loadconfig(&config);
}

// One pass: up to 32 tokens of x against a panel. x is in tiles (LinearArgs::x): a tile of r tokens is
// [cols / 32][r][32], so that a tile register reads one run of memory.
struct TilePass {
  const uint8_t* low;   // tokens 0-15
  const uint8_t* high;  // tokens 16-31
  int64_t num_low;
  int64_t num_high;

  TilePass(const LinearArgs& args, int64_t token) {
    const int64_t left = args.num_tokens - token;
    low = static_cast<const uint8_t*>(args.x) + token * args.cols * 2;
    high = low + kTileRows * args.cols * 2;
    num_low = left < kTileRows ? left : kTileRows;
    num_high = left < kTileRows ? 0 : left < kTokensPerPass ? left - kTileRows : kTileRows;
  }

  void clear() const {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  // Adds columns [32 index, 32 index + 32), whose B tiles start at `lines`.
  void add(int64_t index, const uint8_t* lines) const {
    _tile_loadd(6, lines, kPanelLineBytes);
    _tile_loadd(7, lines + 64, kPanelLineBytes);
    _tile_loadd(4, low + index * num_low * 64, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if (num_high > 0) {
      _tile_loadd(5, high + index * num_high * 64, 64);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
  // The sums in memory: [32 tokens][32 rows].
  void load(const float* sums) const {
    memory_barrier();
    _tile_loadd(0, sums, kSumStride);
    _tile_loadd(1, sums + kTileRows, kSumStride);
    if (num_high > 0) {
      _tile_loadd(2, sums + kTileRows * kPanelRows, kSumStride);
      _tile_loadd(3, sums + kTileRows * kPanelRows + kTileRows, kSumStride);
    }
  }
  void store(float* sums) const {
    _tile_stored(0, sums, kSumStride);
    _tile_stored(1, sums + kTileRows, kSumStride);
    if (num_high > 0) {
      _tile_stored(2, sums + kTileRows * kPanelRows, kSumStride);
      _tile_stored(3, sums + kTileRows * kPanelRows + kTileRows, kSumStride);
    }
    memory_barrier();
  }
  // Adds bias and residual and stores rows [row, row + 32) of the tokens starting at `token`.
  void finish(const LinearArgs& args, const float* sums, int64_t token, int64_t row) const {
    for (int64_t t = 0; t < num_low + num_high; ++t) {
      store_sum(args, token + t, row, vload(sums + t * kPanelRows));
      store_sum(args, token + t, row + kLanes, vload(sums + t * kPanelRows + kLanes));
    }
  }

  static constexpr int64_t kSumStride = kPanelRows * sizeof(float);
};

// B tiles of steps [begin, end) of a panel: where the panel has them, or decoded into `buffer`.
struct Bf16TilePanels {
  static const uint8_t* lines(const LinearArgs&, const uint8_t* panel, int64_t begin, int64_t end, uint8_t*) {
    if (end - begin == 1) prefetch_panel<kPanelTileBytes>(panel + begin * kPanelTileBytes);
    return panel + begin * kPanelTileBytes;
  }
};

// MXFP4 is exact in bf16, scale included. The table holds each code's bits under the largest scale that keeps
// 6 finite; a smaller scale subtracts from the exponent, saturating, so that zero stays zero. Signs are safe
// because packing allows tiles only where no exponent falls below its range (pack.cc).
alignas(64) constexpr uint16_t kMxfp4UnderLargestScale[32] = {
    0x0000, 0x7e00, 0x7e80, 0x7ec0, 0x7f00, 0x7f40, 0x7f80, 0x7fc0, 0x0000, 0xfe00, 0xfe80,
    0xfec0, 0xff00, 0xff40, 0xff80, 0xffc0, 0x0000, 0x7e00, 0x7e80, 0x7ec0, 0x7f00, 0x7f40,
    0x7f80, 0x7fc0, 0x0000, 0xfe00, 0xfe80, 0xfec0, 0xff00, 0xff40, 0xff80, 0xffc0};
constexpr int kLargestScale = 253;  // 0.5 has exponent 126 under scale 127 and 252 in the table

struct Mxfp4TilePanels {
  // One group of 32 columns to its B tiles.
  static void decode_group(const uint8_t* words, const uint8_t* scales, I table, uint8_t* lines) {
    prefetch_panel<64>(scales);
    I drop[kPanelVecs];
    GOSSAMER_UNROLL
    for (int v = 0; v < kPanelVecs; ++v) {
      const I exponents =
          _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(scales + v * kLanes)));
      const I steps = _mm512_slli_epi32(_mm512_sub_epi32(_mm512_set1_epi32(kLargestScale), exponents), 7);
      drop[v] = _mm512_or_si512(steps, _mm512_slli_epi32(steps, 16));
    }
    GOSSAMER_UNROLL
    for (int run = 0; run < 4; ++run) {
      GOSSAMER_UNROLL
      for (int v = 0; v < kPanelVecs; ++v) {
        prefetch_panel<64>(words + run * kPanelLineBytes + v * 64);
        const I codes = iload(words + run * kPanelLineBytes + v * 64);
        uint8_t* out = lines + run * 4 * kPanelLineBytes + v * 64;
        const auto put = [&](int pair, I indices) {
          const I numbers = _mm512_subs_epu16(_mm512_permutexvar_epi16(indices, table), drop[v]);
          _mm512_store_si512(out + pair * kPanelLineBytes, numbers);
        };
        put(0, codes);
        put(1, shift_words<4>(codes));
        put(2, shift_words<8>(codes));
        put(3, shift_words<12>(codes));
      }
    }
  }

  static const uint8_t* lines(const LinearArgs&, const uint8_t* panel, int64_t begin, int64_t end,
                              uint8_t* buffer) {
    const I table = _mm512_load_si512(kMxfp4UnderLargestScale);
    for (int64_t i = begin; i < end; ++i) {
      decode_group(panel + mxfp4_codes_at(i), panel + mxfp4_scales_at(i), table,
                   buffer + (i - begin) * kPanelTileBytes);
    }
    memory_barrier();
    return buffer;
  }
};

// Few tokens: their sums stay in the tiles. Steps are decoded kAhead before their products, far enough for
// the stores to have reached the cache and for the two to overlap.
constexpr int64_t kAhead = 3;

template <typename Panels>
inline void linear_tiles_few(const LinearArgs& args) {
  alignas(64) uint8_t ring[(kAhead + 1) * kPanelTileBytes];
  alignas(64) float sums[kTokensPerPass * kPanelRows];
  const int64_t num_steps = args.cols / kTileCols;
  const TilePass pass(args, 0);
  configure_tiles(pass.num_low, pass.num_high);
  const uint8_t* lines[kAhead + 1];
  const auto decode = [&](const uint8_t* panel, int64_t step) {
    const int64_t slot = step % (kAhead + 1);
    lines[slot] = Panels::lines(args, panel, step, step + 1, ring + slot * kPanelTileBytes);
  };
  for (int64_t index = args.panel_begin; index < args.panel_end; ++index) {
    const uint8_t* panel = args.weight + index * args.panel_bytes;
    pass.clear();
    for (int64_t step = 0; step < num_steps + kAhead; ++step) {
      if (step < num_steps) decode(panel, step);
      if (step >= kAhead) pass.add(step - kAhead, lines[(step - kAhead) % (kAhead + 1)]);
    }
    pass.store(sums);
    pass.finish(args, sums, 0, index * kPanelRows);
  }
}

// Many tokens: the B tiles of a few steps stay in the first-level cache while tokens stream past them, and
// the sums wait in memory, exact, between one run of steps and the next. Tokens are taken in blocks whose
// activations stay in the second-level cache for all panels of the task.
constexpr int64_t kStepsAtOnce = 8;  // Granite Rapids, 2026-11
constexpr int64_t kActivationBytesAtOnce = 1 << 20;

template <typename Panels>
inline void linear_tiles_many(const LinearArgs& args, int64_t first_token, int64_t end_token) {
  alignas(64) uint8_t buffer[kStepsAtOnce * kPanelTileBytes];
  auto* sums = static_cast<float*>(args.scratch);
  const int64_t num_steps = args.cols / kTileCols;
  int64_t configured = 0;
  for (int64_t index = args.panel_begin; index < args.panel_end; ++index) {
    const uint8_t* panel = args.weight + index * args.panel_bytes;
    for (int64_t begin = 0; begin < num_steps; begin += kStepsAtOnce) {
      const int64_t end = begin + kStepsAtOnce < num_steps ? begin + kStepsAtOnce : num_steps;
      const uint8_t* lines = Panels::lines(args, panel, begin, end, buffer);
      for (int64_t token = first_token; token < end_token; token += kTokensPerPass) {
        const TilePass pass(args, token);
        float* pass_sums = sums + (token - first_token) * kPanelRows;
        if (pass.num_low + pass.num_high != configured) {
          configured = pass.num_low + pass.num_high;
          configure_tiles(pass.num_low, pass.num_high);
        }
        if (begin == 0) {
          pass.clear();
        } else {
          pass.load(pass_sums);
        }
        for (int64_t i = begin; i < end; ++i) pass.add(i, lines + (i - begin) * kPanelTileBytes);
        pass.store(pass_sums);
        if (end == num_steps) pass.finish(args, pass_sums, token, index * kPanelRows);
      }
    }
  }
}

template <typename Panels>
void linear_tiles(const LinearArgs& args) {
  if (args.num_tokens <= kTokensPerPass) {
    linear_tiles_few<Panels>(args);
  } else {
    const int64_t most = kActivationBytesAtOnce / (args.cols * 2) / kTokensPerPass * kTokensPerPass;
    const int64_t at_once = most > kTokensPerPass ? most : kTokensPerPass;
    for (int64_t token = 0; token < args.num_tokens; token += at_once) {
      linear_tiles_many<Panels>(args, token,
                                token + at_once < args.num_tokens ? token + at_once : args.num_tokens);
    }
  }
  _tile_release();
}
