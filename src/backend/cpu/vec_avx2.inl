// The vector vocabulary (list in vec_common.inl) for AVX2 with FMA and F16C.
// Included inside an anonymous namespace by kernels_avx2.cc.

using V = __m256;
using I = __m256i;
constexpr int kLanes = 8;
// Register budget of linear.inl: 16 registers.
constexpr int kTileTokens = 6;
constexpr int kTileVecs = 2;
constexpr int kMaxAccumulators = 8;
// Of attention.inl.
constexpr int kScoreRows = 2;
constexpr int kValueRows = 4;
constexpr int kValueVecs = 2;

inline V vset(float value) { return _mm256_set1_ps(value); }
inline V vload(const float* p) { return _mm256_loadu_ps(p); }
inline void vstore(float* p, V a) { _mm256_storeu_ps(p, a); }
inline V vadd(V a, V b) { return _mm256_add_ps(a, b); }
inline V vsub(V a, V b) { return _mm256_sub_ps(a, b); }
inline V vmul(V a, V b) { return _mm256_mul_ps(a, b); }
inline V vdiv(V a, V b) { return _mm256_div_ps(a, b); }
inline V vmin(V a, V b) { return _mm256_min_ps(a, b); }
inline V vmax(V a, V b) { return _mm256_max_ps(a, b); }
inline V vfma(V a, V b, V c) { return _mm256_fmadd_ps(a, b, c); }
inline V vselect_less(V a, V b, V x, V y) { return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ)); }
inline V vlane_indices() { return _mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7); }
inline V vround(V a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
inline V vpow2(V a) {
  const I biased = _mm256_add_epi32(_mm256_cvtps_epi32(a), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}

// vsum and vlargest of vec_common.inl, in registers.
#define GOSSAMER_OWN_REDUCTIONS
template <typename Op>
inline float reduce_halves(V a, Op op) {
  a = op(a, _mm256_permute2f128_ps(a, a, 0x01));
  a = op(a, _mm256_permute_ps(a, 0x0e));
  a = op(a, _mm256_permute_ps(a, 0x01));
  return _mm256_cvtss_f32(a);
}
inline float vsum(V a) {
  return reduce_halves(a, [](V x, V y) { return _mm256_add_ps(x, y); });
}
inline float vlargest(V a) {
  return reduce_halves(a, [](V x, V y) { return _mm256_max_ps(x, y); });
}

inline V vload_bf16(const uint16_t* p) {
  const I wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
inline V vload_f16(const uint16_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline V vload_int8(const int8_t* p) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
inline void vstore_bf16(uint16_t* p, V a) {
  const I bits = _mm256_castps_si256(a);
  const I high = _mm256_srli_epi32(bits, 16);
  const I odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
  const I rounded =
      _mm256_srli_epi32(_mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd), 16);
  const I quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
  const V nan = _mm256_cmp_ps(a, a, _CMP_UNORD_Q);
  const I chosen =
      _mm256_castps_si256(_mm256_blendv_ps(_mm256_castsi256_ps(rounded), _mm256_castsi256_ps(quiet), nan));
  const I packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(chosen, chosen), 0x08);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_castsi256_si128(packed));
}

inline I iload(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const I*>(p)); }
inline V bf16_even(I pairs) { return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16)); }
inline V bf16_odd(I pairs) {
  return _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xffff0000U))));
}

// The low three bits choose the magnitude, the fourth is the sign.
template <int kNibble>
inline V mxfp4_value(I codes) {
  const V magnitudes = _mm256_setr_ps(0.0F, 0.5F, 1.0F, 1.5F, 2.0F, 3.0F, 4.0F, 6.0F);
  const I shifted = kNibble == 0 ? codes : _mm256_srli_epi32(codes, 4 * kNibble);
  const I sign = kNibble == 7 ? codes : _mm256_slli_epi32(codes, 28 - 4 * kNibble);
  return _mm256_xor_ps(_mm256_permutevar8x32_ps(magnitudes, shifted),
                       _mm256_and_ps(_mm256_castsi256_ps(sign), _mm256_set1_ps(-0.0F)));
}
inline V mxfp4_scale(const uint8_t* p) {
  const I exponents = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  V bits = _mm256_castsi256_ps(_mm256_slli_epi32(exponents, 23));
  const V zero = _mm256_castsi256_ps(_mm256_cmpeq_epi32(exponents, _mm256_setzero_si256()));
  bits = _mm256_blendv_ps(bits, _mm256_castsi256_ps(_mm256_set1_epi32(0x00400000)), zero);
  const V nan = _mm256_castsi256_ps(_mm256_cmpeq_epi32(exponents, _mm256_set1_epi32(255)));
  return _mm256_blendv_ps(bits, _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000)), nan);
}

// Integer codes (integer_codes.inl, linear_integer.inl): operands are two int16 of a row, and so are
// activations.
constexpr bool kBf16Dots = false;
constexpr bool kInt16Codes = true;
constexpr const char* kIntegerName = "vpmaddwd";
constexpr int kRunSteps = 4;
constexpr int kScaledTileTokens = 6;  // with a group's part beside the totals
constexpr int kDirectTokens = 2;
constexpr int kDirectVecs = 4;

inline I iset(int32_t value) { return _mm256_set1_epi32(value); }
inline I iset_bytes(const uint8_t* p) {
  int32_t pair;
  __builtin_memcpy(&pair, p, sizeof(pair));
  return _mm256_set1_epi32(pair);
}
inline void istore(uint8_t* p, I a) { _mm256_storeu_si256(reinterpret_cast<I*>(p), a); }
inline I iadd(I a, I b) { return _mm256_add_epi32(a, b); }
inline V ito_float(I a) { return _mm256_cvtepi32_ps(a); }
inline I idot(I sum, I codes, I x) { return _mm256_add_epi32(sum, _mm256_madd_epi16(codes, x)); }
inline I ioperand(I words, int half) {
  return _mm256_srai_epi16(half == 0 ? _mm256_slli_epi16(words, 8) : words, 8);
}
inline I ilow_nibbles(I words) { return _mm256_and_si256(words, _mm256_set1_epi8(0x0f)); }
inline I ihigh_nibbles(I words) { return ilow_nibbles(_mm256_srli_epi16(words, 4)); }
inline I mxfp4_codes(I nibbles) {
  const __m128i table = _mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), nibbles);
}
inline I int4_codes(I nibbles) { return _mm256_sub_epi8(nibbles, _mm256_set1_epi8(8)); }
inline I int8_codes(I words) { return words; }
template <int kByte>
inline V int8_value(I words) {
  return _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(words, 24 - 8 * kByte), 24));
}
template <int kNibble>
inline V int4_value(I words) {
  const I code = _mm256_and_si256(_mm256_srli_epi32(words, 4 * kNibble), _mm256_set1_epi32(15));
  return _mm256_cvtepi32_ps(_mm256_sub_epi32(code, _mm256_set1_epi32(8)));
}
