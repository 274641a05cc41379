#include "model/smoothing.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "base/error.h"
#include "base/mapped_file.h"
#include "checkpoint/safetensors.h"

namespace gossamer {
namespace {

// Scales beyond this could take numbers out of a float's range, and no channel of a model needs them.
constexpr double kMostScale = 1e6;

}  // namespace

std::vector<float> smoothing_scales(std::span<const float> inputs, std::span<const float> weights,
                                    double alpha) {
  GOSSAMER_CHECK_EQ(inputs.size(), weights.size());
  std::vector<float> scales(inputs.size(), 1.0F);
  for (std::size_t j = 0; j < scales.size(); ++j) {
    if (!(inputs[j] > 0.0F) || !(weights[j] > 0.0F)) continue;
    const double scale = std::pow(inputs[j], alpha) / std::pow(weights[j], 1.0 - alpha);
    scales[j] = static_cast<float>(std::clamp(scale, 1.0 / kMostScale, kMostScale));
  }
  return scales;
}

std::map<std::string, int64_t> smoothable_norms(const ParamList& params) {
  std::map<std::string, int64_t> norms;
  for (const MatrixParam& matrix : params.matrices) {
    if (!matrix.input_norm.empty()) norms[matrix.input_norm] = matrix.cols;
  }
  return norms;
}

Smoothing read_smoothing(const std::filesystem::path& path, const ParamList& params) {
  const MappedFile file(path);
  const std::map<std::string, int64_t> norms = smoothable_norms(params);
  Smoothing smoothing;
  for (const SafetensorsEntry& entry : parse_safetensors(file.bytes(), path.string())) {
    const auto norm = norms.find(entry.name);
    if (norm == norms.end()) {
      throw Error(
          "--smoothing {}: {}: expected the name of a norm of this model, such as {}; was the file "
          "made from another model?",
          path.string(), printable_name(entry.name), norms.begin()->first);
    }
    if (entry.dtype != "F32" || entry.shape != Shape{norm->second}) {
      throw Error("--smoothing {}: {}: expected F32 {}, found {} {}", path.string(), entry.name,
                  Shape{norm->second}.to_string(), entry.dtype, entry.shape.to_string());
    }
    std::vector<float>& scales = smoothing[entry.name];
    scales.resize(static_cast<std::size_t>(norm->second));
    std::memcpy(scales.data(), file.bytes().data() + entry.begin, scales.size() * sizeof(float));
    for (std::size_t j = 0; j < scales.size(); ++j) {
      if (std::isnormal(scales[j]) && scales[j] > 0.0F) continue;
      throw Error("--smoothing {}: {}: expected positive numbers, found {} at {}", path.string(), entry.name,
                  scales[j], j);
    }
  }
  for (const auto& [name, size] : norms) {
    if (smoothing.contains(name)) continue;
    throw Error(
        "--smoothing {}: {}: expected F32 {}, found no such tensor; was the file made from another "
        "model?",
        path.string(), name, Shape{size}.to_string());
  }
  return smoothing;
}

void apply_smoothing(const Smoothing& smoothing, const Precision& precision,
                     const std::vector<ResolvedMatrix>& matrices, ParamList& params) {
  std::set<std::string> smoothed;
  for (const ResolvedMatrix& matrix : matrices) {
    if (precision.activation_of(matrix) == DType::kI8) smoothed.insert(matrix.param->input_norm);
  }
  smoothed.erase("");
  for (const ResolvedMatrix& matrix : matrices) {
    if (precision.format_of(matrix) == Format::kMxfp4) smoothed.erase(matrix.param->input_norm);
  }
  if (smoothed.empty()) {
    throw Error(
        "--smoothing: expected products of int8 activations behind a norm (--weights w8a8, or --activations "
        "int8 with int8 or int4 weights), found none; MXFP4 experts cannot be smoothed");
  }
  for (MatrixParam& matrix : params.matrices) {
    if (smoothed.contains(matrix.input_norm)) matrix.col_scales = smoothing.at(matrix.input_norm);
  }
  for (VectorParam& vector : params.vectors) {
    if (smoothed.contains(vector.norm)) vector.divisors = smoothing.at(vector.norm);
  }
}

}  // namespace gossamer
