#include "model/model_folder.h"

#include <utility>

#include "model/registry.h"

namespace gossamer {

ModelFolder ModelFolder::open(const std::filesystem::path& path, const PrecisionOptions& options) {
  return open(Checkpoint::open(path), options);
}

ModelFolder ModelFolder::open(std::unique_ptr<Checkpoint> checkpoint, const PrecisionOptions& options) {
  ModelFolder folder;
  folder.checkpoint = std::move(checkpoint);
  folder.model = create_model(folder.checkpoint->config());
  folder.params = folder.model->declare_params();
  folder.matrices = resolve_matrices(*folder.checkpoint, folder.params);
  folder.precision = choose_precision(folder.matrices, options);
  if (!options.smoothing.empty()) {
    folder.smoothing = read_smoothing(options.smoothing, folder.params);
    apply_smoothing(folder.smoothing, folder.precision, folder.matrices, folder.params);
    folder.matrices = resolve_matrices(*folder.checkpoint, folder.params);
  }
  return folder;
}

LoadedModel load_model(ModelFolder folder, Backend& backend, const LoadProgress& progress) {
  LoadedModel loaded;
  loaded.precision = folder.precision;
  const ParamSink sink{
      .prepare =
          [&](const ResolvedMatrix& matrix) {
            return backend.prepare(matrix.source, loaded.precision.format_of(matrix),
                                   loaded.precision.activation_of(matrix));
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
