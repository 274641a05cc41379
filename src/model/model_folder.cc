#include "model/model_folder.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "model/registry.h"

namespace gossamer {

Format Precision::format_of(Format stored) const {
  return dense && is_dense(stored) ? *dense : stored;
}

Precision choose_precision(const std::vector<ResolvedMatrix>& matrices, const std::string& dtype) {
  if (dtype == "bf16") return {.dense = Format::kBf16, .activation = DType::kBf16};
  if (dtype == "f16") return {.dense = Format::kF16, .activation = DType::kF32};
  if (dtype == "f32") return {.dense = Format::kF32, .activation = DType::kF32};
  if (dtype != "auto") throw Error("--dtype: expected auto, bf16, f16 or f32, found \"{}\"", dtype);
  const bool beyond_bf16 = std::any_of(matrices.begin(), matrices.end(), [](const ResolvedMatrix& matrix) {
    return matrix.source.format == Format::kF32 || matrix.source.format == Format::kF16;
  });
  return {.dense = std::nullopt, .activation = beyond_bf16 ? DType::kF32 : DType::kBf16};
}

ModelFolder ModelFolder::open(const std::filesystem::path& path, const std::string& dtype) {
  return open(Checkpoint::open(path), dtype);
}

ModelFolder ModelFolder::open(std::unique_ptr<Checkpoint> checkpoint, const std::string& dtype) {
  ModelFolder folder;
  folder.checkpoint = std::move(checkpoint);
  folder.model = create_model(folder.checkpoint->config());
  folder.params = folder.model->declare_params();
  folder.matrices = resolve_matrices(*folder.checkpoint, folder.params);
  folder.precision = choose_precision(folder.matrices, dtype);
  return folder;
}

LoadedModel load_model(ModelFolder folder, Backend& backend, const LoadProgress& progress) {
  LoadedModel loaded;
  loaded.precision = folder.precision;
  const ParamSink sink{
      .prepare =
          [&](const WeightSource& source) {
            return backend.prepare(source, loaded.precision.format_of(source.format),
                                   loaded.precision.activation);
          },
      .upload =
          [&](const ConstTensor& host) {
            Buffer& buffer = loaded.vectors.emplace_back(backend.allocate(host.size_bytes()));
            const Tensor device = buffer.view(host.dtype(), host.shape());
            backend.upload(host, device);
            return device;
          },
      .progress = progress,
  };
  load_params(*folder.checkpoint, folder.params, sink);
  loaded.model = std::move(folder.model);
  return loaded;
}

}  // namespace gossamer
