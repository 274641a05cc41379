// Models in packed folders: the prepared form of every weight, written once and mapped ever after. `gossamer
// pack` calls pack_model; ModelFolder::open and load_model call the rest when a folder turns out to be
// packed.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "model/model_folder.h"

namespace gossamer {

struct PackOptions {
  std::filesystem::path out;
  bool replace = false;        // what is there
  std::string source;          // the model, as the user named it
  PrecisionOptions precision;  // what `folder` was opened with
  int num_threads = 0;         // for checksums; 0: the physical cores
  // Bytes of the source done and in all. May be empty; an Error that it throws ends the packing.
  LoadProgress progress;
};

// Writes the folder `out`, weight by weight: no more than one of them is in memory. Returns its weights'
// bytes. Throws Error, and leaves nothing behind, when the backend's weights cannot be packed or the disk
// fails.
std::size_t pack_model(const ModelFolder& folder, Backend& backend, const PackOptions& options);

// Of a folder whose checkpoint, params and `packed` are there: its matrices and precision. Throws Error when
// the options want something else than was packed, or when config.json declares something else.
void resolve_packed(ModelFolder& folder, const PrecisionOptions& options);

// Throws Error unless `folder` is not packed, or for this backend and this version of its layout.
void check_backend(const ModelFolder& folder, const Backend& backend);

// Checks every byte and gives the model the weights where they lie: mapped, never copied.
LoadedModel load_packed(ModelFolder folder, Backend& backend, const LoadOptions& options);

}  // namespace gossamer
