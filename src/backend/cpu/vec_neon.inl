// The vector vocabulary (list in vec_common.inl) for AArch64's baseline NEON.
// Included inside an anonymous namespace by kernels_neon.cc.

using V = float32x4_t;
using I = uint32x4_t;
constexpr int kLanes = 4;
// Register budget of linear.inl: 32 registers.
constexpr int kTileTokens = 6;
constexpr int kTileVecs = 4;
constexpr int kMaxAccumulators = 16;
// Of attention.inl.
constexpr int kScoreRows = 2;
constexpr int kValueRows = 4;
constexpr int kValueVecs = 4;

inline V vset(float value) { return vdupq_n_f32(value); }
inline V vload(const float* p) { return vld1q_f32(p); }
inline void vstore(float* p, V a) { vst1q_f32(p, a); }
inline V vadd(V a, V b) { return vaddq_f32(a, b); }
inline V vsub(V a, V b) { return vsubq_f32(a, b); }
inline V vmul(V a, V b) { return vmulq_f32(a, b); }
inline V vdiv(V a, V b) { return vdivq_f32(a, b); }
inline V vmin(V a, V b) { return vminq_f32(a, b); }
inline V vmax(V a, V b) { return vmaxq_f32(a, b); }
inline V vfma(V a, V b, V c) { return vfmaq_f32(c, a, b); }
inline V vselect_less(V a, V b, V x, V y) { return vbslq_f32(vcltq_f32(a, b), x, y); }
inline V vlane_indices() {
  const float lanes[4] = {0, 1, 2, 3};
  return vld1q_f32(lanes);
}
inline V vround(V a) { return vrndnq_f32(a); }
inline V vpow2(V a) {
  const int32x4_t biased = vaddq_s32(vcvtnq_s32_f32(a), vdupq_n_s32(127));
  return vreinterpretq_f32_s32(vshlq_n_s32(biased, 23));
}

inline V vload_bf16(const uint16_t* p) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16)); }
inline V vload_f16(const uint16_t* p) { return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))); }
inline V vload_int8(const int8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, sizeof(four));
  const int16x8_t wide = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
}
inline void vstore_bf16(uint16_t* p, V a) {
  const I bits = vreinterpretq_u32_f32(a);
  const I odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
  const I rounded = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
  const I quiet = vorrq_u32(bits, vdupq_n_u32(0x00400000));
  vst1_u16(p, vshrn_n_u32(vbslq_u32(vceqq_f32(a, a), rounded, quiet), 16));
}

inline I iload(const uint8_t* p) { return vreinterpretq_u32_u8(vld1q_u8(p)); }
inline V bf16_even(I pairs) { return vreinterpretq_f32_u32(vshlq_n_u32(pairs, 16)); }
inline V bf16_odd(I pairs) { return vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xffff0000U))); }

// The nibble chooses a float's highest byte and, from a second table, its third; the byte lanes that hold no
// index are out of the tables' range and read zero.
template <int kNibble>
inline V mxfp4_value(I codes) {
  const uint8_t high[16] = {0x00, 0x3f, 0x3f, 0x3f, 0x40, 0x40, 0x40, 0x40,
                            0x80, 0xbf, 0xbf, 0xbf, 0xc0, 0xc0, 0xc0, 0xc0};
  const uint8_t low[16] = {0x00, 0x00, 0x80, 0xc0, 0x00, 0x40, 0x80, 0xc0,
                           0x00, 0x00, 0x80, 0xc0, 0x00, 0x40, 0x80, 0xc0};
  I nibble = codes;
  if constexpr (kNibble > 0) nibble = vshrq_n_u32(codes, 4 * kNibble);
  nibble = vandq_u32(nibble, vdupq_n_u32(0xf));
  const uint8x16_t high_index =
      vreinterpretq_u8_u32(vorrq_u32(vshlq_n_u32(nibble, 24), vdupq_n_u32(0x00ffffffU)));
  const uint8x16_t low_index =
      vreinterpretq_u8_u32(vorrq_u32(vshlq_n_u32(nibble, 16), vdupq_n_u32(0xff00ffffU)));
  return vreinterpretq_f32_u8(
      vorrq_u8(vqtbl1q_u8(vld1q_u8(high), high_index), vqtbl1q_u8(vld1q_u8(low), low_index)));
}
inline V mxfp4_scale(const uint8_t* p) {
  uint32_t four;
  __builtin_memcpy(&four, p, sizeof(four));
  const uint8x8_t bytes = vcreate_u8(four);
  const I exponents = vmovl_u16(vget_low_u16(vmovl_u8(bytes)));
  I bits = vshlq_n_u32(exponents, 23);
  bits = vbslq_u32(vceqq_u32(exponents, vdupq_n_u32(0)), vdupq_n_u32(0x00400000), bits);
  bits = vbslq_u32(vceqq_u32(exponents, vdupq_n_u32(255)), vdupq_n_u32(0x7fc00000), bits);
  return vreinterpretq_f32_u32(bits);
}

// Integer codes (integer_codes.inl, linear_integer.inl): operands are two int16 of a row, and so are
// activations.
constexpr bool kBf16Dots = false;
constexpr bool kInt16Codes = true;
constexpr const char* kIntegerName = "smull";
constexpr int kRunSteps = 4;
constexpr int kScaledTileTokens = 6;  // with a group's part beside the totals
constexpr int kDirectTokens = 2;
constexpr int kDirectVecs = 8;

inline I iset(int32_t value) { return vdupq_n_u32(static_cast<uint32_t>(value)); }
inline I iset_bytes(const uint8_t* p) {
  uint32_t pair;
  __builtin_memcpy(&pair, p, sizeof(pair));
  return vdupq_n_u32(pair);
}
inline void istore(uint8_t* p, I a) { vst1q_u8(p, vreinterpretq_u8_u32(a)); }
inline I iadd(I a, I b) { return vaddq_u32(a, b); }
inline V ito_float(I a) { return vcvtq_f32_s32(vreinterpretq_s32_u32(a)); }
inline I idot(I sum, I codes, I x) {
  const int16x8_t a = vreinterpretq_s16_u32(codes);
  const int16x8_t b = vreinterpretq_s16_u32(x);
  const int32x4_t products = vpaddq_s32(vmull_s16(vget_low_s16(a), vget_low_s16(b)), vmull_high_s16(a, b));
  return vaddq_u32(sum, vreinterpretq_u32_s32(products));
}
inline I ioperand(I words, int half) {
  const int16x8_t numbers = vreinterpretq_s16_u32(words);
  return vreinterpretq_u32_s16(vshrq_n_s16(half == 0 ? vshlq_n_s16(numbers, 8) : numbers, 8));
}
inline I ilow_nibbles(I words) { return vandq_u32(words, vdupq_n_u32(0x0f0f0f0fU)); }
inline I ihigh_nibbles(I words) { return ilow_nibbles(vshrq_n_u32(words, 4)); }
inline I mxfp4_codes(I nibbles) {
  const int8_t table[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
  return vreinterpretq_u32_s8(vqtbl1q_s8(vld1q_s8(table), vreinterpretq_u8_u32(nibbles)));
}
inline I int4_codes(I nibbles) {
  return vreinterpretq_u32_s8(vsubq_s8(vreinterpretq_s8_u32(nibbles), vdupq_n_s8(8)));
}
inline I int8_codes(I words) { return words; }
template <int kByte>
inline V int8_value(I words) {
  int32x4_t shifted = vreinterpretq_s32_u32(words);
  if constexpr (kByte < 3) shifted = vshlq_n_s32(shifted, 24 - 8 * kByte);
  return vcvtq_f32_s32(vshrq_n_s32(shifted, 24));
}
template <int kNibble>
inline V int4_value(I words) {
  I shifted = words;
  if constexpr (kNibble > 0) shifted = vshrq_n_u32(words, 4 * kNibble);
  const int32x4_t code = vreinterpretq_s32_u32(vandq_u32(shifted, vdupq_n_u32(15)));
  return vcvtq_f32_s32(vsubq_s32(code, vdupq_n_s32(8)));
}
