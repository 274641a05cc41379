// AMX: products of bf16 activations with bf16 and MXFP4 weights on tiles; everything else is AVX-512's.
// See kernel_table.h for who calls them and for what may be included here.
//
// A panel holds pairs of columns [cols / 2][32 rows][2]: sixteen of its 128-byte lines are the two B tiles
// (32 columns of rows 0-15 and 16-31). Tokens are the rows of the A tiles. A sum lives in a C tile and runs
// over the columns in ascending order, whatever the number of tokens in the tile: the bits of a token do not
// depend on its neighbours. Tile products flush denormals and round to nearest even, always.
#include <immintrin.h>

#include "backend/cpu/kernel_table.h"

namespace gossamer::cpu::amx {
namespace {

// Each needs those before it.
// clang-format off
#include "backend/cpu/vec_avx512.inl"
#include "backend/cpu/vec_common.inl"
#include "backend/cpu/store_sum.inl"
#include "backend/cpu/tiles_amx.inl"
// clang-format on

}  // namespace

const KernelTable& kernels() {
  static const KernelTable table = [] {
    KernelTable t = avx512::kernels();
    t.level = "amx";
    t.linear_bf16_tiles[1] = linear_tiles<Bf16TilePanels>;
    t.linear_bf16_tiles[3] = linear_tiles<Mxfp4TilePanels>;
    t.linear_bf16_tiles_name = "tdpbf16ps";
    return t;
  }();
  return table;
}

}  // namespace gossamer::cpu::amx
