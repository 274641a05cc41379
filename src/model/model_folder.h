// A model folder on its way into memory: opened and checked (model_folder.open), planned
// (engine/memory_plan.h), loaded.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/pack_manifest.h"
#include "checkpoint/params.h"
#include "model/model.h"
#include "model/precision.h"
#include "model/smoothing.h"

namespace gossamer {

struct ModelFolder {
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<Model> model;
  Smoothing smoothing;  // params points into it
  ParamList params;
  std::vector<ResolvedMatrix> matrices;  // point into params
  Precision precision;
  std::optional<PackManifest> packed;  // of a packed folder (packed_model.h); matrices have no parts then

  // Reads config and headers, checks every tensor against what the model declares; loads nothing. Throws
  // Error.
  static ModelFolder open(const std::filesystem::path& folder, const PrecisionOptions& options);
  // The same for a checkpoint that is open already.
  static ModelFolder open(std::unique_ptr<Checkpoint> checkpoint, const PrecisionOptions& options);
};

// A model with its parameters on a device. The Backend outlives it.
struct LoadedModel {
  std::unique_ptr<Model> model;
  std::vector<Buffer> vectors;  // what the model's Tensors look at
  Precision precision;
};

// Stored bytes done and in all.
using LoadProgress = std::function<void(std::size_t done, std::size_t total)>;

struct LoadOptions {
  LoadProgress progress = {};  // may be empty
  int num_threads = 0;         // that check a packed folder; 0: the physical cores
};

// Loads every parameter through backend.prepare, or adopts a packed folder's, and closes the checkpoint.
LoadedModel load_model(ModelFolder folder, Backend& backend, const LoadOptions& options = {});

// One vector to the device, kept by `loaded`.
Tensor upload_vector(const ConstTensor& host, Backend& backend, LoadedModel& loaded);

}  // namespace gossamer
