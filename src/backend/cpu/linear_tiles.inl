// What the products share. Included inside an anonymous namespace, after the vocabulary.
//
// A tile is T tokens times NV vectors of output rows. T and NV decide only which sums are computed
// together, never in which order one sum runs, so that a token's bits are the same alone and in any batch.

// How many vectors of rows a tile of T tokens takes, within the instruction set's registers.
constexpr int tile_vecs(int num_tokens) {
  return num_tokens * kPanelVecs <= kMaxAccumulators ? kPanelVecs : kTileVecs;
}

template <int T, int NV>
inline void store_tile(const LinearArgs& args, int64_t token, int64_t row, const V (&sums)[T][NV]) {
  for (int t = 0; t < T; ++t) {
    for (int v = 0; v < NV; ++v) store_sum(args, token + t, row + v * kLanes, sums[t][v]);
  }
}

template <int T, int NV>
inline void clear(V (&sums)[T][NV]) {
  GOSSAMER_UNROLL
  for (int t = 0; t < T; ++t) {
    GOSSAMER_UNROLL
    for (int v = 0; v < NV; ++v) sums[t][v] = vset(0.0F);
  }
}

// Sums of a tile that wait in memory [tokens][kPanelRows] while the panel's next columns are made ready.
template <int T, int NV>
inline void load_totals(const float* memory, V (&totals)[T][NV]) {
  GOSSAMER_UNROLL
  for (int t = 0; t < T; ++t) {
    GOSSAMER_UNROLL
    for (int v = 0; v < NV; ++v) totals[t][v] = vload(memory + t * kPanelRows + v * kLanes);
  }
}
template <int T, int NV>
inline void store_totals(float* memory, const V (&totals)[T][NV]) {
  GOSSAMER_UNROLL
  for (int t = 0; t < T; ++t) {
    GOSSAMER_UNROLL
    for (int v = 0; v < NV; ++v) vstore(memory + t * kPanelRows + v * kLanes, totals[t][v]);
  }
}

// totals += part * scale, where the totals wait in memory [T][kPanelRows]: in registers they would take as
// many as the parts, and a group is long enough to hide the way there and back.
template <int T, int NV>
GOSSAMER_INLINE void add_scaled(const V (&part)[T][NV], const V (&scales)[NV], float* totals) {
  __asm__("" : "+r"(totals));  // or the compiler moves them to registers after all
  GOSSAMER_UNROLL
  for (int v = 0; v < NV; ++v) {
    GOSSAMER_UNROLL
    for (int t = 0; t < T; ++t) {
      float* total = totals + t * kPanelRows + v * kLanes;
      vstore(total, vfma(part[t][v], scales[v], vload(total)));
    }
  }
}

// The activations of T tokens, `stride` bytes apart, from some column on. Three tokens share an address
// register, and the compiler is made to forget where they came from: g++ 12 otherwise keeps an address for
// every load of an unrolled loop, on the stack.
template <int T>
struct Activations {
  const uint8_t* base[(T + 2) / 3];
  int64_t stride;

  Activations(const void* x, int64_t stride_bytes) : stride(stride_bytes) {
    GOSSAMER_UNROLL
    for (int i = 0; i < (T + 2) / 3; ++i) {
      base[i] = static_cast<const uint8_t*>(x) + 3 * i * stride;
      __asm__("" : "+r"(base[i]));
    }
  }
  const uint8_t* of(int t) const { return base[t / 3] + t % 3 * stride; }
};

// Calls tile(first_token, count) over all tokens in tiles of nearly equal size.
template <typename Tile>
inline void for_each_token_tile(int64_t num_tokens, int64_t max_tile, Tile tile) {
  const int64_t num_tiles = (num_tokens + max_tile - 1) / max_tile;
  for (int64_t i = 0; i < num_tiles; ++i) {
    const int64_t begin = num_tokens * i / num_tiles;
    tile(begin, num_tokens * (i + 1) / num_tiles - begin);
  }
}

// Calls body(args of those tokens) over all tokens in pieces whose activations stay in the last cache while
// all panels of the task pass by, each decoded once for a piece. `token_bytes`: of one token's activations.
constexpr int64_t kActivationBytesAtOnce = 2048 << 10;  // Zen 5, 2026-11: 512 KiB cost 5 %
template <typename Body>
inline void for_each_token_piece(const LinearArgs& args, int64_t token_bytes, Body body) {
  const int64_t most = kActivationBytesAtOnce / token_bytes;
  const int64_t at_once = most > kTileTokens * 4 ? most : kTileTokens * 4;
  const int64_t num_pieces = (args.num_tokens + at_once - 1) / at_once;
  for (int64_t i = 0; i < num_pieces; ++i) {
    const int64_t begin = args.num_tokens * i / num_pieces;
    LinearArgs piece = args;
    piece.num_tokens = args.num_tokens * (i + 1) / num_pieces - begin;
    piece.x = static_cast<const uint8_t*>(args.x) + begin * token_bytes;
    piece.out = args.out + begin * args.out_stride;
    if (args.x_scales != nullptr) {
      piece.x_scales = args.x_scales + begin * groups_of(args.cols);
      piece.x_sums = args.x_sums + begin * groups_of(args.cols);
    }
    body(piece);
  }
}
