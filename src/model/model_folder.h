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
#include "checkpoint/params.h"
#include "model/model.h"

namespace gossamer {

// What weights are stored as and computed with.
struct Precision {
  std::optional<Format> dense;      // what dense weights become; nothing: as stored. MXFP4 stays as it is.
  DType activation = DType::kBf16;  // what enters a product, and the KV cache: kBf16 or kF32

  Format format_of(Format stored) const;
};

// dtype: "auto" (weights as stored; activations f32 when the stored weights are f32 or f16, which bf16 could
// not hold, else bf16), "bf16", "f16" (activations f32) or "f32" (dense weights become f32). Throws Error for
// anything else.
Precision choose_precision(const std::vector<ResolvedMatrix>& matrices, const std::string& dtype);

struct ModelFolder {
  std::unique_ptr<Checkpoint> checkpoint;
  std::unique_ptr<Model> model;
  ParamList params;
  std::vector<ResolvedMatrix> matrices;  // point into params
  Precision precision;

  // Reads config and headers, checks every tensor against what the model declares; loads nothing. Throws
  // Error.
  static ModelFolder open(const std::filesystem::path& folder, const std::string& dtype);
  // The same for a checkpoint that is open already.
  static ModelFolder open(std::unique_ptr<Checkpoint> checkpoint, const std::string& dtype);
};

// A model with its parameters on a device. The Backend outlives it.
struct LoadedModel {
  std::unique_ptr<Model> model;
  std::vector<Buffer> vectors;  // what the model's Tensors look at
  Precision precision;
};

// Stored bytes done and in all.
using LoadProgress = std::function<void(std::size_t done, std::size_t total)>;

// Loads every parameter through backend.prepare and closes the checkpoint.
LoadedModel load_model(ModelFolder folder, Backend& backend, const LoadProgress& progress = {});

}  // namespace gossamer
