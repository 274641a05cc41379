// The vector vocabulary (list in vec_common.inl) for AVX-512.
// Included inside an anonymous namespace by kernels_avx512.cc and kernels_amx.cc.

using V = __m512;
using I = __m512i;
constexpr int kLanes = 16;
// Register budget of linear.inl: 32 registers.
constexpr int kTileTokens = 12;
constexpr int kTileVecs = 2;
constexpr int kMaxAccumulators = 24;
// Of attention.inl.
constexpr int kScoreRows = 8;
constexpr int kValueRows = 8;
constexpr int kValueVecs = 2;

inline V vset(float value) { return _mm512_set1_ps(value); }
inline V vload(const float* p) { return _mm512_loadu_ps(p); }
inline void vstore(float* p, V a) { _mm512_storeu_ps(p, a); }
inline V vadd(V a, V b) { return _mm512_add_ps(a, b); }
inline V vsub(V a, V b) { return _mm512_sub_ps(a, b); }
inline V vmul(V a, V b) { return _mm512_mul_ps(a, b); }
inline V vdiv(V a, V b) { return _mm512_div_ps(a, b); }
inline V vmin(V a, V b) { return _mm512_min_ps(a, b); }
inline V vmax(V a, V b) { return _mm512_max_ps(a, b); }
inline V vfma(V a, V b, V c) { return _mm512_fmadd_ps(a, b, c); }
inline V vselect_less(V a, V b, V x, V y) {
  return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
inline V vlane_indices() { return _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15); }
inline V vround(V a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline V vpow2(V a) {
  const I biased = _mm512_add_epi32(_mm512_cvtps_epi32(a), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23));
}

// vsum and vlargest of vec_common.inl, in registers.
#define GOSSAMER_OWN_REDUCTIONS
template <typename Op>
inline float reduce_halves(V a, Op op) {
  a = op(a, _mm512_shuffle_f32x4(a, a, 0x0e));
  a = op(a, _mm512_shuffle_f32x4(a, a, 0x01));
  a = op(a, _mm512_permute_ps(a, 0x0e));
  a = op(a, _mm512_permute_ps(a, 0x01));
  return _mm512_cvtss_f32(a);
}
inline float vsum(V a) {
  return reduce_halves(a, [](V x, V y) { return _mm512_add_ps(x, y); });
}
inline float vlargest(V a) {
  return reduce_halves(a, [](V x, V y) { return _mm512_max_ps(x, y); });
}

inline V vload_bf16(const uint16_t* p) {
  const I wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
inline V vload_f16(const uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline V vload_int8(const int8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
// In integers rather than vcvtneps2bf16, which flushes denormals.
inline void vstore_bf16(uint16_t* p, V a) {
  const I bits = _mm512_castps_si512(a);
  const I odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const I rounded =
      _mm512_srli_epi32(_mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd), 16);
  const I quiet = _mm512_or_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(0x40));
  const I chosen = _mm512_mask_blend_epi32(_mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), rounded, quiet);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(chosen));
}

inline I iload(const uint8_t* p) { return _mm512_loadu_si512(p); }
inline V bf16_even(I pairs) { return _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16)); }
inline V bf16_odd(I pairs) {
  return _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000U))));
}

// Each 16-bit half >> kShift. As the high half of a product, because shifts and permutations compete for one
// port on Intel's processors, and multiplications have two.
template <int kShift>
inline I shift_words(I a) {
  return kShift == 0 ? a : _mm512_mulhi_epu16(a, _mm512_set1_epi16(1 << (16 - kShift)));
}

template <int kNibble>
inline V mxfp4_value(I codes) {
  const V values = _mm512_setr_ps(0.0F, 0.5F, 1.0F, 1.5F, 2.0F, 3.0F, 4.0F, 6.0F, -0.0F, -0.5F, -1.0F, -1.5F,
                                  -2.0F, -3.0F, -4.0F, -6.0F);
  const I half = kNibble < 4 ? codes : _mm512_srli_epi32(codes, 16);
  return _mm512_permutexvar_ps(shift_words<4 * (kNibble % 4)>(half), values);
}
inline V mxfp4_scale(const uint8_t* p) {
  const I exponents = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  I bits = _mm512_slli_epi32(exponents, 23);
  bits = _mm512_mask_mov_epi32(bits, _mm512_cmpeq_epi32_mask(exponents, _mm512_setzero_si512()),
                               _mm512_set1_epi32(0x00400000));
  bits = _mm512_mask_mov_epi32(bits, _mm512_cmpeq_epi32_mask(exponents, _mm512_set1_epi32(255)),
                               _mm512_set1_epi32(0x7fc00000));
  return _mm512_castsi512_ps(bits);
}

// Integer codes (integer_codes.inl, linear_integer.inl): operands are four unsigned bytes of a row,
// activations four signed ones.
constexpr bool kInt16Codes = false;
constexpr const char* kIntegerName = "vpdpbusd";
constexpr int kRunSteps = 2;
constexpr int kScaledTileTokens = 7;  // with a group's part beside the totals
constexpr int kDirectTokens = 12;
constexpr int kDirectVecs = 2;

inline I iset(int32_t value) { return _mm512_set1_epi32(value); }
inline I iset_bytes(const uint8_t* p) {
  int32_t four;
  __builtin_memcpy(&four, p, sizeof(four));
  return _mm512_set1_epi32(four);
}
inline I iand(I a, I b) { return _mm512_and_si512(a, b); }
// sum + both products of pairs of bf16, exact before they are added.
constexpr bool kBf16Dots = true;
inline V vdot_bf16(V sum, I a, I b) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }
inline void istore(uint8_t* p, I a) { _mm512_storeu_si512(p, a); }
inline I iadd(I a, I b) { return _mm512_add_epi32(a, b); }
inline V ito_float(I a) { return _mm512_cvtepi32_ps(a); }
// Not _mm512_dpbusd_epi32: g++ 12 sees two types of vector in it, copies every sum from one to the other, and
// spills (products of 12 tokens ran at half speed).
inline I idot(I sum, I codes, I x) {
  __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(codes), "v"(x));
  return sum;
}
inline I ioperand(I words, int) { return words; }
inline I ilow_nibbles(I words) { return _mm512_and_si512(words, _mm512_set1_epi8(0x0f)); }
inline I ihigh_nibbles(I words) { return ilow_nibbles(_mm512_srli_epi16(words, 4)); }
inline I mxfp4_codes(I nibbles) {
  const __m128i table = _mm_setr_epi8(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0);
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), nibbles);
}
inline I int4_codes(I nibbles) { return nibbles; }
inline I int8_codes(I words) { return _mm512_xor_si512(words, _mm512_set1_epi8(static_cast<char>(0x80))); }
template <int kByte>
inline V int8_value(I words) {
  return _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(words, 24 - 8 * kByte), 24));
}
template <int kNibble>
inline V int4_value(I words) {
  const I code = _mm512_and_si512(_mm512_srli_epi32(words, 4 * kNibble), _mm512_set1_epi32(15));
  return _mm512_cvtepi32_ps(_mm512_sub_epi32(code, _mm512_set1_epi32(8)));
}
