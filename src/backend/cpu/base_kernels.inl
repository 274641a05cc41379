// The kernel table of a level, for the end of kernels_<level>.cc.
// Included inside an anonymous namespace, after all others.

constexpr KernelTable base_kernels(const char* level) {
  KernelTable table;
  table.level = level;
  constexpr LinearKernel kF32[kNumFormats] = {linear_f32<F32Panels>,
                                              linear_widened<Bf16Panels>,
                                              linear_widened<F16Panels>,
                                              linear_f32<CodePanels<Mxfp4Values>>,
                                              linear_f32<CodePanels<Int8Values<true>>>,
                                              linear_f32<CodePanels<Int8Values<false>>>,
                                              linear_f32<CodePanels<Int4Values>>};
  constexpr LinearKernel kInteger[kNumFormats] = {nullptr,
                                                  nullptr,
                                                  nullptr,
                                                  linear_integer<Mxfp4Codes>,
                                                  linear_integer<Int8Codes<true>>,
                                                  linear_integer<Int8Codes<false>>,
                                                  linear_integer<Int4Codes>};
  constexpr int32_t kOffsets[kNumFormats] = {
      0, 0, 0, Mxfp4Codes::kOffset, Int8Codes<true>::kOffset, Int8Codes<false>::kOffset, Int4Codes::kOffset};
  for (int format = 0; format < kNumFormats; ++format) {
    table.linear_f32[format] = kF32[format];
    table.linear_integer[format] = kInteger[format];
    table.offsets[format] = kOffsets[format];
  }
  table.linear_integer_name = kIntegerName;
  table.int16_codes = kInt16Codes;
  table.quantize = quantize;
  table.attention = attention;
  table.attention_of_spans = attention_of_spans;
  table.layer_norm = layer_norm;
  table.rms_norm = rms_norm;
  table.gelu_erf = gelu_erf;
  table.gelu_tanh = gelu_tanh;
  table.swiglu = swiglu;
  return table;
}
