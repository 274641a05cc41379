// The vector vocabulary (list in vec_common.inl) in the compiler's own vectors of four, which every
// processor has: SSE2 or NEON registers, no fused multiply-add.
// Included inside an anonymous namespace by kernels_portable.cc.

using V = float __attribute__((vector_size(16)));
using I = uint32_t __attribute__((vector_size(16)));
constexpr int kLanes = 4;
// Register budget of linear.inl: 16 registers.
constexpr int kTileTokens = 4;
constexpr int kTileVecs = 2;
constexpr int kMaxAccumulators = 8;
// Of attention.inl.
constexpr int kScoreRows = 1;
constexpr int kValueRows = 4;
constexpr int kValueVecs = 2;

inline V as_float(I a) { return reinterpret_cast<V>(a); }
inline I as_bits(V a) { return reinterpret_cast<I>(a); }
template <typename Mask>
inline V vchoose(Mask mask, V x, V y) {
  const I m = reinterpret_cast<I>(mask);
  return as_float((as_bits(x) & m) | (as_bits(y) & ~m));
}

inline V vset(float value) { return V{value, value, value, value}; }
inline V vload(const float* p) {
  V a;
  __builtin_memcpy(&a, p, sizeof(a));
  return a;
}
inline void vstore(float* p, V a) { __builtin_memcpy(p, &a, sizeof(a)); }
inline V vadd(V a, V b) { return a + b; }
inline V vsub(V a, V b) { return a - b; }
inline V vmul(V a, V b) { return a * b; }
inline V vdiv(V a, V b) { return a / b; }
inline V vmin(V a, V b) { return vchoose(a < b, a, b); }
inline V vmax(V a, V b) { return vchoose(a > b, a, b); }
inline V vfma(V a, V b, V c) { return a * b + c; }
inline V vselect_less(V a, V b, V x, V y) { return vchoose(a < b, x, y); }
inline V vlane_indices() { return V{0, 1, 2, 3}; }
// |a| < 2^22: adding 1.5 * 2^23 leaves no bits below one.
inline V vround(V a) { return (a + 12582912.0F) - 12582912.0F; }
// The sum's low bits are the integer itself.
inline V vpow2(V a) { return as_float((as_bits(a + (12582912.0F + 127.0F)) & 0xffU) << 23); }

inline I widen16(const uint16_t* p) { return I{p[0], p[1], p[2], p[3]}; }
inline V vload_bf16(const uint16_t* p) { return as_float(widen16(p) << 16); }
// Exponent and mantissa move into place; the multiplication corrects the bias and normalises subnormals.
inline V vload_f16(const uint16_t* p) {
  const I bits = widen16(p);
  const V magnitude = as_float((bits & 0x7fffU) << 13) * 0x1p112F;
  const V infinite = as_float((bits & 0x3ffU) << 13 | 0x7f800000U);
  return as_float(as_bits(vchoose((bits & 0x7c00U) == 0x7c00U, infinite, magnitude)) | (bits & 0x8000U)
                                                                                           << 16);
}
inline V vload_int8(const int8_t* p) {
  return V{static_cast<float>(p[0]), static_cast<float>(p[1]), static_cast<float>(p[2]),
           static_cast<float>(p[3])};
}
inline void vstore_bf16(uint16_t* p, V a) {
  const I bits = as_bits(a);
  const I rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  const I quiet = (bits >> 16) | 0x40U;
  const I chosen = as_bits(vchoose((bits & 0x7fffffffU) > 0x7f800000U, as_float(quiet), as_float(rounded)));
  for (int i = 0; i < kLanes; ++i) p[i] = static_cast<uint16_t>(chosen[i]);
}

inline I iload(const uint8_t* p) {
  I a;
  __builtin_memcpy(&a, p, sizeof(a));
  return a;
}
inline V bf16_even(I pairs) { return as_float(pairs << 16); }
inline V bf16_odd(I pairs) { return as_float(pairs & 0xffff0000U); }

// A magnitude of two exponent bits and one mantissa bit is a float once shifted and biased, but for the
// codes 0 and 1, which have no leading one.
template <int kNibble>
inline V mxfp4_value(I codes) {
  const I code = codes >> (4 * kNibble);
  const I magnitude = code & 7U;
  const V normal = as_float((magnitude << 22) + 0x3f000000U);
  const V subnormal = as_float(magnitude * 0x3f000000U);
  return as_float(as_bits(vchoose(magnitude < 2U, subnormal, normal)) | (code & 8U) << 28);
}
inline V mxfp4_scale(const uint8_t* p) {
  const I exponents = {p[0], p[1], p[2], p[3]};
  const V normal = as_float(exponents << 23);
  const V special = vchoose(exponents == 0U, as_float(I{} + 0x00400000U), as_float(I{} + 0x7fc00000U));
  return vchoose((exponents == 0U) | (exponents == 255U), special, normal);
}

// Integer codes (integer_codes.inl, linear_integer.inl): operands are two int16 of a row, and so are
// activations.
constexpr bool kBf16Dots = false;
constexpr bool kInt16Codes = true;
constexpr const char* kIntegerName = "int16 products";
constexpr int kRunSteps = 4;
constexpr int kScaledTileTokens = 4;  // with a group's part beside the totals
constexpr int kDirectTokens = 2;
constexpr int kDirectVecs = 4;

using Int32s = int32_t __attribute__((vector_size(16)));
using Int16s = int16_t __attribute__((vector_size(16)));
using Int8s = int8_t __attribute__((vector_size(16)));

inline I iset(int32_t value) { return I{} + static_cast<uint32_t>(value); }
inline I iset_bytes(const uint8_t* p) {
  uint32_t pair;
  __builtin_memcpy(&pair, p, sizeof(pair));
  return I{} + pair;
}
inline void istore(uint8_t* p, I a) { __builtin_memcpy(p, &a, sizeof(a)); }
inline I iadd(I a, I b) { return a + b; }
inline V ito_float(I a) { return __builtin_convertvector(reinterpret_cast<Int32s>(a), V); }
inline I idot(I sum, I codes, I x) {
#if defined(__SSE2__)  // of every 64-bit x86
  return reinterpret_cast<I>(
      _mm_add_epi32(reinterpret_cast<__m128i>(sum),
                    _mm_madd_epi16(reinterpret_cast<__m128i>(codes), reinterpret_cast<__m128i>(x))));
#else
  const auto low = [](I a) { return reinterpret_cast<Int32s>(a << 16) >> 16; };
  const auto high = [](I a) { return reinterpret_cast<Int32s>(a) >> 16; };
  return sum + reinterpret_cast<I>(low(codes) * low(x) + high(codes) * high(x));
#endif
}
inline I ioperand(I words, int half) {
  const auto numbers = reinterpret_cast<Int16s>(words);
  return reinterpret_cast<I>(half == 0 ? (numbers << 8) >> 8 : numbers >> 8);
}
inline I ilow_nibbles(I words) { return words & 0x0f0f0f0fU; }
inline I ihigh_nibbles(I words) { return (words >> 4) & 0x0f0f0f0fU; }
// Magnitudes 0 to 7 stand for 0, 1, 2, 3, 4, 6, 8, 12.
inline I mxfp4_codes(I nibbles) {
  const auto codes = reinterpret_cast<Int8s>(nibbles);
  const Int8s magnitude = codes & 7;
  const auto above4 = reinterpret_cast<Int8s>(magnitude > 4);
  const Int8s value = magnitude + (above4 & (magnitude - 4)) + (reinterpret_cast<Int8s>(magnitude == 7) & 2);
  const auto negative = reinterpret_cast<Int8s>(codes > 7);
  return reinterpret_cast<I>((value ^ negative) - negative);
}
inline I int4_codes(I nibbles) { return reinterpret_cast<I>(reinterpret_cast<Int8s>(nibbles) - 8); }
inline I int8_codes(I words) { return words; }
template <int kByte>
inline V int8_value(I words) {
  return __builtin_convertvector(reinterpret_cast<Int32s>(words << (24 - 8 * kByte)) >> 24, V);
}
template <int kNibble>
inline V int4_value(I words) {
  return __builtin_convertvector(reinterpret_cast<Int32s>((words >> (4 * kNibble)) & 15U) - 8, V);
}
