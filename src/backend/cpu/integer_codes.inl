// The packed formats whose codes are integers, as linear_integer.inl takes them.
// Included inside an anonymous namespace, after the vocabulary.
//
// A run of 8 columns of one row is two words of four bytes: columns 0, 4, 1, 5 and columns 2, 6, 3, 7.
// Eight-bit formats store both; four-bit formats store one, whose low nibbles are the first and whose high
// ones the second.
//   load_word  one of the two words of a vector of rows, as signed bytes or, where idot wants them unsigned,
//   with
//              kOffset added
//   scale      a vector of rows' scales of a group

template <bool kSignedWords>
constexpr int offset_of(int offset) {
  return kSignedWords ? 0 : offset;
}

struct Mxfp4Codes {  // doubled: 0, 1, 2, 3, 4, 6, 8, 12 and their negatives
  static constexpr bool kRowScale = false;
  static constexpr float kUnit = 0.5F;
  static constexpr int kOffset = offset_of<kInt16Codes>(12);
  static const uint8_t* codes(const uint8_t* panel, int64_t group) { return panel + mxfp4_codes_at(group); }
  static V scale(const uint8_t* panel, int64_t group, int row) {
    return mxfp4_scale(panel + mxfp4_scales_at(group) + row);
  }
  static I load_word(const uint8_t* codes, int run, int word, int vec) {
    const I both = iload(codes + run * 4 * kPanelRows + vec * 4 * kLanes);
    return mxfp4_codes(word == 0 ? ilow_nibbles(both) : ihigh_nibbles(both));
  }
  static void prefetch(const uint8_t* panel, int64_t group, int first_vec) {
    if (first_vec == 0) prefetch_mxfp4(codes(panel, group), panel + mxfp4_scales_at(group));
  }
};

struct Int4Codes {
  static constexpr bool kRowScale = false;
  static constexpr float kUnit = 1.0F;
  static constexpr int kOffset = offset_of<kInt16Codes>(8);
  static const uint8_t* codes(const uint8_t* panel, int64_t group) {
    return panel + group * kInt4GroupBytes + kGroupScaleBytes;
  }
  static V scale(const uint8_t* panel, int64_t group, int row) {
    return vload_bf16(reinterpret_cast<const uint16_t*>(panel + group * kInt4GroupBytes) + row);
  }
  static I load_word(const uint8_t* codes, int run, int word, int vec) {
    const I both = iload(codes + run * 4 * kPanelRows + vec * 4 * kLanes);
    return int4_codes(word == 0 ? ilow_nibbles(both) : ihigh_nibbles(both));
  }
  static void prefetch(const uint8_t* panel, int64_t group, int first_vec) {
    if (first_vec == 0) prefetch_panel<kInt4GroupBytes>(codes(panel, group));
  }
};

template <bool kPerRow>
struct Int8Codes {
  static constexpr bool kRowScale = kPerRow;
  static constexpr float kUnit = 1.0F;
  static constexpr int kOffset = offset_of<kInt16Codes>(128);
  static const uint8_t* codes(const uint8_t* panel, int64_t group) {
    return kPerRow ? panel + kInt8ScaleBytes + group * kGroupCols * kPanelRows
                   : panel + group * kInt8GroupBytes + kGroupScaleBytes;
  }
  static V scale(const uint8_t* panel, int64_t group, int row) {
    return kPerRow ? vload(reinterpret_cast<const float*>(panel) + row)
                   : vload_bf16(reinterpret_cast<const uint16_t*>(panel + group * kInt8GroupBytes) + row);
  }
  static I load_word(const uint8_t* codes, int run, int word, int vec) {
    return int8_codes(iload(codes + (run * 2 + word) * 4 * kPanelRows + vec * 4 * kLanes));
  }
  static void prefetch(const uint8_t* panel, int64_t group, int first_vec) {
    if (first_vec == 0) prefetch_panel<kGroupCols * kPanelRows>(codes(panel, group));
  }
};
