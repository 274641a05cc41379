#include "model/model_folder.h"

#include <utility>

#include "model/packed_model.h"
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
  folder.packed = read_pack_manifest(*folder.checkpoint);
  if (folder.packed) {
    resolve_packed(folder, options);
    return folder;
  }
  folder.matrices = resolve_matrices(*folder.checkpoint, folder.params);
  folder.precision = choose_precision(folder.matrices, options);
  if (!options.smoothing.empty()) {
    folder.smoothing = read_smoothing(options.smoothing, folder.params);
    apply_smoothing(folder.smoothing, folder.precision, folder.matrices, folder.params);
    folder.matrices = resolve_matrices(*folder.checkpoint, folder.params);
  }
  return folder;
}

Tensor upload_vector(const ConstTensor& host, Backend& backend, LoadedModel& loaded) {
  Buffer& buffer = loaded.vectors.emplace_back(backend.allocate(host.size_bytes()));
  const Tensor device = buffer.view(host.dtype(), host.shape());
  backend.upload(host, device);
  return device;
}

LoadedModel load_model(ModelFolder folder, Backend& backend, const LoadOptions& options) {
  if (folder.packed) return load_packed(std::move(folder), backend, options);
  LoadedModel loaded;
  loaded.precision = folder.precision;
  const ParamSink sink{
      .prepare =
          [&](const ResolvedMatrix& matrix) {
            return backend.prepare(matrix.source, loaded.precision.format_of(matrix),
                                   loaded.precision.activation_of(matrix));
          },
      .upload = [&](const VectorParam&,
                    const ConstTensor& host) { return upload_vector(host, backend, loaded); },
      .progress = options.progress,
  };
  load_params(*folder.checkpoint, folder.params, sink);
  loaded.model = std::move(folder.model);
  return loaded;
}

}  // namespace gossamer
