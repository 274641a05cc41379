#include <immintrin.h>

#include "bench/peak/loops.h"

namespace gossamer::peak::amx {
namespace {

constexpr int kTiles = 4;  // of sums; the other four hold what is multiplied

void load_config() {
  alignas(64) uint8_t config[64] = {1};
  for (int i = 0; i < 8; ++i) {
    config[16 + 2 * i] = 64;  // bytes of a row
    config[48 + i] = 16;      // rows
  }
  __asm__ volatile("" ::: "memory");  // the intrinsic does not say that it reads all of it
  _tile_loadconfig(config);
}

// The tiles are zero after load_config.
void bf16(int64_t rounds) {
  load_config();
  for (int64_t i = 0; i < rounds; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
}

// Every processor with AMX-BF16 has AMX-INT8.
void int8(int64_t rounds) {
  load_config();
  for (int64_t i = 0; i < rounds; ++i) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
  _tile_release();
}

constexpr Loop kLoops[] = {
    {"tdpbf16ps", Operand::kBf16, int64_t{kTiles} * 16 * 16 * 32 * 2, bf16},
    {"tdpbusd", Operand::kInt8, int64_t{kTiles} * 16 * 16 * 64 * 2, int8},
};

}  // namespace

LoopList loops() { return {kLoops, 2, nullptr}; }

}  // namespace gossamer::peak::amx
