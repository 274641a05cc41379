// Tile products for kernels_amx.cc. Included inside an anonymous namespace, after the AVX-512 vocabulary.

constexpr int kTileRows = 16;  // tokens of one A tile
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

// One pass: up to 32 tokens of x against a panel.
struct TilePass {
  const uint16_t* x;
  int64_t x_bytes;  // between tokens
  int64_t num_tokens;

  void begin() const {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  // Adds columns [32 index, 32 index + 32), whose B tiles start at `lines`.
  void add(int64_t index, const uint8_t* lines) const {
    const uint16_t* a = x + index * kTileCols;
    _tile_loadd(6, lines, kPanelLineBytes);
    _tile_loadd(7, lines + 64, kPanelLineBytes);
    _tile_loadd(4, a, x_bytes);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if (num_tokens > kTileRows) {
      _tile_loadd(5, reinterpret_cast<const uint8_t*>(a) + kTileRows * x_bytes, x_bytes);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
  // Adds bias and residual and stores rows [row, row + 32) of the tokens starting at `token`.
  void end(const LinearArgs& args, int64_t token, int64_t row) const {
    alignas(64) float sums[kTokensPerPass][kPanelRows];
    constexpr int64_t kStride = kPanelRows * sizeof(float);
    _tile_stored(0, sums[0], kStride);
    _tile_stored(1, sums[0] + kTileRows, kStride);
    if (num_tokens > kTileRows) {
      _tile_stored(2, sums[kTileRows], kStride);
      _tile_stored(3, sums[kTileRows] + kTileRows, kStride);
    }
    memory_barrier();
    for (int64_t t = 0; t < num_tokens; ++t) {
      store_sum(args, token + t, row, vload(sums[t]));
      store_sum(args, token + t, row + kLanes, vload(sums[t] + kLanes));
    }
  }
};

// The panel's lines are the tiles.
struct Bf16TilePanels {
  static void run(const LinearArgs&, const uint8_t* panel, int64_t num_steps, const TilePass& pass) {
    for (int64_t i = 0; i < num_steps; ++i) pass.add(i, panel + i * kPanelTileBytes);
  }
  static const uint8_t* expand(const LinearArgs&, const uint8_t* panel) { return panel; }
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
  // Groups decoded ahead of their products: enough to overlap, small enough for the first-level cache.
  static constexpr int64_t kAhead = 4;

  // One group of 32 columns to its B tiles.
  static void decode_group(const uint8_t* words, const uint8_t* scales, I table, uint8_t* lines) {
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
        const I codes = iload(words + run * kPanelLineBytes + v * 64);
        uint8_t* out = lines + run * 4 * kPanelLineBytes + v * 64;
        const auto put = [&](int pair, I indices) {
          const I numbers = _mm512_subs_epu16(_mm512_permutexvar_epi16(indices, table), drop[v]);
          _mm512_store_si512(out + pair * kPanelLineBytes, numbers);
        };
        put(0, codes);
        put(1, _mm512_srli_epi16(codes, 4));
        put(2, _mm512_srli_epi16(codes, 8));
        put(3, _mm512_srli_epi16(codes, 12));
      }
    }
  }

  static const uint8_t* panel_scales(const LinearArgs& args, const uint8_t* panel) {
    return panel + args.cols * kPanelRows / 2;
  }

  // Few tokens: groups pass through a small ring.
  static void run(const LinearArgs& args, const uint8_t* panel, int64_t num_steps, const TilePass& pass) {
    alignas(64) uint8_t ring[kAhead * kPanelTileBytes];
    const I table = _mm512_load_si512(kMxfp4UnderLargestScale);
    const uint8_t* scales = panel_scales(args, panel);
    for (int64_t begin = 0; begin < num_steps; begin += kAhead) {
      const int64_t end = begin + kAhead < num_steps ? begin + kAhead : num_steps;
      for (int64_t i = begin; i < end; ++i) {
        decode_group(panel + i * (kGroupCols * kPanelRows / 2), scales + i * kPanelRows, table,
                     ring + (i - begin) * kPanelTileBytes);
      }
      memory_barrier();
      for (int64_t i = begin; i < end; ++i) pass.add(i, ring + (i - begin) * kPanelTileBytes);
    }
  }

  // Many tokens: the whole panel is decoded once.
  static const uint8_t* expand(const LinearArgs& args, const uint8_t* panel) {
    auto* lines = static_cast<uint8_t*>(args.scratch);
    const I table = _mm512_load_si512(kMxfp4UnderLargestScale);
    const uint8_t* scales = panel_scales(args, panel);
    for (int64_t i = 0; i < args.cols / kGroupCols; ++i) {
      decode_group(panel + i * (kGroupCols * kPanelRows / 2), scales + i * kPanelRows, table,
                   lines + i * kPanelTileBytes);
    }
    memory_barrier();
    return lines;
  }
};

template <typename Panels>
void linear_tiles(const LinearArgs& args) {
  const int64_t num_steps = args.cols / kTileCols;
  const auto pass_at = [&](int64_t token) {
    const int64_t left = args.num_tokens - token;
    return TilePass{static_cast<const uint16_t*>(args.x) + token * args.x_stride, args.x_stride * 2,
                    left < kTokensPerPass ? left : kTokensPerPass};
  };
  int64_t configured = 0;
  const auto configure = [&](const TilePass& pass) {
    if (pass.num_tokens == configured) return;
    configured = pass.num_tokens;
    const int64_t low = configured < kTileRows ? configured : kTileRows;
    configure_tiles(low, configured - low);
  };
  for (int64_t index = args.panel_begin; index < args.panel_end; ++index) {
    const uint8_t* panel = args.weight + index * args.panel_bytes;
    if (args.num_tokens <= kTokensPerPass) {
      const TilePass pass = pass_at(0);
      configure(pass);
      pass.begin();
      Panels::run(args, panel, num_steps, pass);
      pass.end(args, 0, index * kPanelRows);
      continue;
    }
    const uint8_t* lines = Panels::expand(args, panel);
    for (int64_t token = 0; token < args.num_tokens; token += kTokensPerPass) {
      const TilePass pass = pass_at(token);
      configure(pass);
      pass.begin();
      for (int64_t i = 0; i < num_steps; ++i) pass.add(i, lines + i * kPanelTileBytes);
      pass.end(args, token, index * kPanelRows);
    }
  }
  _tile_release();
}
