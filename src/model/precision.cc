#include "model/precision.h"

#include <algorithm>
#include <sstream>

#include "base/error.h"

namespace gossamer {
namespace {

std::optional<Format> WeightFormats::*part_named(const std::string& name) {
  if (name == "embed") return &WeightFormats::embedding;
  if (name == "dense") return &WeightFormats::dense;
  if (name == "router") return &WeightFormats::router;
  if (name == "experts") return &WeightFormats::experts;
  if (name == "head") return &WeightFormats::head;
  throw Error("--weights: expected embed, dense, router, experts or head before the =, found \"{}\"", name);
}

std::optional<Format> WeightFormats::*part_of(const MatrixParam& param) {
  switch (param.role) {
    case WeightRole::kEmbedding:
      return &WeightFormats::embedding;
    case WeightRole::kDense:
      return &WeightFormats::dense;
    case WeightRole::kRouter:
      return &WeightFormats::router;
    case WeightRole::kExperts:
      return &WeightFormats::experts;
    case WeightRole::kHead:
      return &WeightFormats::head;
  }
  GOSSAMER_CHECK(false);
}

Format format_named(const std::string& part, const std::string& name) {
  if (const auto format = find_format(name)) return *format;
  std::string names;
  for (const Format format : kAllFormats) {
    names += (names.empty() ? "" : ", ") + std::string(format_info(format).name);
  }
  throw Error("--weights: {}: expected one of {}, found \"{}\"", part, names, name);
}

bool stored_as_mxfp4(const std::vector<ResolvedMatrix>& matrices,
                     std::optional<Format> WeightFormats::*part) {
  return std::all_of(matrices.begin(), matrices.end(), [part](const ResolvedMatrix& matrix) {
    return part_of(*matrix.param) != part || matrix.source.format == Format::kMxfp4;
  });
}

WeightFormats preset(Format dense, Format experts, const std::vector<ResolvedMatrix>& matrices) {
  WeightFormats formats{.dense = dense, .head = Format::kInt8};
  if (!stored_as_mxfp4(matrices, &WeightFormats::experts)) formats.experts = experts;
  return formats;
}

}  // namespace

WeightFormats parse_weights(const std::string& text, const std::vector<ResolvedMatrix>& matrices) {
  if (text == "auto") return {};
  if (text == "w8") return preset(Format::kInt8, Format::kInt8, matrices);
  if (text == "w4") return preset(Format::kInt4, Format::kInt4, matrices);
  if (text == "w8a8") {
    WeightFormats formats = preset(Format::kInt8, Format::kInt8, matrices);
    formats.int8_activations = true;
    return formats;
  }
  WeightFormats formats;
  std::istringstream list(text + ",");  // so that an empty text or end is an item too, and refused
  for (std::string item; std::getline(list, item, ',');) {
    const std::size_t equals = item.find('=');
    if (equals == std::string::npos) {
      throw Error(
          "--weights: expected auto, w8, w4, w8a8 or a list such as dense=int8,head=int8,experts=mxfp4, "
          "found \"{}\"",
          text);
    }
    const std::string name = item.substr(0, equals);
    const auto part = part_named(name);
    const Format format = format_named(name, item.substr(equals + 1));
    if (formats.*part) throw Error("--weights: {} is given twice in \"{}\"", name, text);
    if (format == Format::kMxfp4 && !stored_as_mxfp4(matrices, part)) {
      throw Error(
          "--weights: {}=mxfp4: this checkpoint does not store them so, and nothing is converted to mxfp4",
          name);
    }
    formats.*part = format;
  }
  return formats;
}

Format Precision::format_of(const ResolvedMatrix& matrix) const {
  const auto& chosen = weights.*part_of(*matrix.param);
  return chosen ? *chosen : matrix.source.format;
}

DType Precision::activation_of(const ResolvedMatrix& matrix) const {
  return weights.int8_activations && !is_dense(format_of(matrix)) ? DType::kI8 : activation;
}

namespace {

DType parse_kv_cache(const std::string& name, DType activation) {
  if (name == "auto") return activation;
  if (name == "bf16") return DType::kBf16;
  if (name == "f16") return DType::kF16;
  if (name == "f32") return DType::kF32;
  if (name == "int8") return DType::kI8;
  throw Error("--kv-cache-dtype: expected auto, bf16, f16, f32 or int8, found \"{}\"", name);
}

// The activations' type.
DType choose_activation(const std::vector<ResolvedMatrix>& matrices, const Precision& precision,
                        const std::string& dtype) {
  if (dtype != "auto") return dtype == "bf16" ? DType::kBf16 : DType::kF32;
  const bool beyond_bf16 = std::any_of(matrices.begin(), matrices.end(), [&](const ResolvedMatrix& matrix) {
    const Format format = precision.format_of(matrix);
    return matrix.param->role != WeightRole::kEmbedding && (format == Format::kF32 || format == Format::kF16);
  });
  return beyond_bf16 ? DType::kF32 : DType::kBf16;
}

}  // namespace

Precision choose_precision(const std::vector<ResolvedMatrix>& matrices, const PrecisionOptions& options) {
  Precision precision{.weights = parse_weights(options.weights, matrices)};
  if (options.activations == "int8") {
    precision.weights.int8_activations = true;
  } else if (options.activations != "auto") {
    throw Error("--activations: expected auto or int8, found \"{}\"", options.activations);
  }
  if (options.dtype != "auto") {
    const std::optional<Format> format = find_format(options.dtype);
    if (!format || !is_dense(*format)) {
      throw Error("--dtype: expected auto, bf16, f16 or f32, found \"{}\"", options.dtype);
    }
    // Of every part that is stored dense and that --weights leaves alone.
    for (const ResolvedMatrix& matrix : matrices) {
      auto& chosen = precision.weights.*part_of(*matrix.param);
      if (!chosen && is_dense(matrix.source.format)) chosen = *format;
    }
  }
  precision.activation = choose_activation(matrices, precision, options.dtype);
  precision.kv_cache = parse_kv_cache(options.kv_cache_dtype, precision.activation);
  return precision;
}

}  // namespace gossamer
