// A model folder while it is being written: everything goes into OUT.partial, which becomes OUT when all of
// it is on the disk and disappears when writing fails or is interrupted. Called by synth.cc,
// bf16_checkpoint.cc and model/pack_model.cc.
#pragma once

#include <cstdint>
#include <filesystem>

#include "base/json.h"
#include "checkpoint/checkpoint.h"

namespace gossamer {

class NewFolder {
 public:
  struct Options {
    uint64_t bytes = 0;  // what will be written, about
    // Takes the place of a model folder that is there, and of a partial one that was left.
    bool replace = false;
    // Never replaced, nor a folder that it lies in.
    std::filesystem::path source = {};
  };

  // Makes OUT.partial. Throws Error when `out` exists and is not an empty folder, when OUT.partial exists, or
  // when the disk is too small (with both numbers).
  NewFolder(const std::filesystem::path& out, const Options& options);
  ~NewFolder();
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  // Where to write.
  const std::filesystem::path& path() const { return partial_; }

  // A copy of the file under its own name, or under another.
  void copy(const std::filesystem::path& file) const { copy(file, file.filename()); }
  void copy(const std::filesystem::path& file, const std::filesystem::path& name) const;
  // Indented as people's checkpoints are; lists of plain values stay on one line.
  void write_json(const std::filesystem::path& name, const json::object& object) const;

  // Sees everything onto the disk and gives the folder its name.
  void commit();

 private:
  void check_target(const Options& options) const;

  std::filesystem::path target_;
  std::filesystem::path partial_;
  bool there_ = false;     // partial_ is ours to remove
  bool replaces_ = false;  // target_ is there
};

// The files beside the weights that a copy of the model needs as they are: tokenizer, chat template,
// generation_config.json, licence. Without config.json.
std::vector<std::filesystem::path> find_side_files(const Checkpoint& checkpoint);

}  // namespace gossamer
