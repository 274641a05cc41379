// Activations as integers (QuantizeArgs), one token at a time. Plain loops that the compiler turns into each
// instruction set's vectors; rounding is the nearest integer, ties to even, whatever it makes of them.
// Included inside an anonymous namespace, after the vocabulary.

// Where column `i` of a run of 8 goes (QuantizeArgs::codes).
constexpr int kRunOrder8[8] = {0, 2, 4, 6, 1, 3, 5, 7};   // int8: c0 c4 c1 c5, c2 c6 c3 c7
constexpr int kRunOrder16[8] = {0, 1, 4, 5, 2, 3, 6, 7};  // int16: c0 c1 c4 c5, c2 c3 c6 c7

inline uint32_t float_bits(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof(bits));
  return bits;
}
inline float bits_float(uint32_t bits) {
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return value;
}

// The group's numbers as floats, zeros beyond the last column; returns the largest magnitude's bits.
inline uint32_t load_group(const QuantizeArgs& args, int64_t group, float (&numbers)[kGroupCols]) {
  const int64_t begin = group * kGroupCols;
  const int64_t count = args.cols - begin < kGroupCols ? args.cols - begin : kGroupCols;
  if (count < kGroupCols) {
    for (float& number : numbers) number = 0.0F;
  }
  if (args.x_bf16) {
    const uint16_t* x = static_cast<const uint16_t*>(args.x) + begin;
    for (int64_t i = 0; i < count; ++i) numbers[i] = bits_float(static_cast<uint32_t>(x[i]) << 16);
  } else {
    const float* x = static_cast<const float*>(args.x) + begin;
    for (int64_t i = 0; i < count; ++i) numbers[i] = x[i];
  }
  uint32_t largest = 0;
  for (int64_t i = 0; i < kGroupCols; ++i) {
    const uint32_t magnitude = float_bits(numbers[i]) & 0x7fffffffU;
    largest = magnitude > largest ? magnitude : largest;
  }
  return largest;
}

template <typename Code>
inline void put_codes(const QuantizeArgs& args, int64_t group, const int32_t (&codes)[kGroupCols]) {
  Code* out = static_cast<Code*>(args.codes) + group * kGroupCols;
  for (int run = 0; run < kGroupCols; run += 8) {
    for (int i = 0; i < 8; ++i) {
      const int place = sizeof(Code) == 1 ? kRunOrder8[i] : kRunOrder16[i];
      out[run + place] = static_cast<Code>(codes[run + i]);
    }
  }
  int32_t sum = 0;
  for (int32_t code : codes) sum += code;
  args.sums[group] = -args.offset * sum;
}

// Adding 1.5 * 2^23 leaves the nearest integer, ties to even, in the low bits of a float below 2^22.
inline void round_codes(const float (&numbers)[kGroupCols], float inverse_scale,
                        int32_t (&codes)[kGroupCols]) {
  for (int i = 0; i < kGroupCols; ++i) {
    codes[i] = static_cast<int32_t>(float_bits(numbers[i] * inverse_scale + 12582912.0F) - 0x4b400000U);
  }
}

void quantize(const QuantizeArgs& args) {
  const int64_t groups = groups_of(args.cols);
  float numbers[kGroupCols];
  uint32_t token_largest = 0;
  if (args.to_int8) {
    for (int64_t group = 0; group < groups; ++group) {
      const uint32_t largest = load_group(args, group, numbers);
      token_largest = largest > token_largest ? largest : token_largest;
    }
  }
  for (int64_t group = 0; group < groups; ++group) {
    const uint32_t group_largest = load_group(args, group, numbers);
    const uint32_t largest = args.to_int8 ? token_largest : group_largest;
    float inverse_scale = 0.0F;
    float scale = 0.0F;
    if (largest >= 0x7f800000U) {
      scale = __builtin_nanf("");
    } else if (largest >= 0x0d800000U) {  // 2^-100
      // Powers of two: 2^14 over that of the largest.
      const uint32_t exponent = largest >> 23;
      scale = args.to_int8 ? bits_float(largest) / 127.0F : bits_float((exponent - 14) << 23);
      inverse_scale = args.to_int8 ? 127.0F / bits_float(largest) : bits_float((254 + 14 - exponent) << 23);
    }
    int32_t codes[kGroupCols] = {};
    if (inverse_scale > 0.0F) round_codes(numbers, inverse_scale, codes);
    if constexpr (kInt16Codes) {
      put_codes<int16_t>(args, group, codes);
    } else {
      put_codes<int8_t>(args, group, codes);
    }
    args.scales[group] = scale;
  }
}
