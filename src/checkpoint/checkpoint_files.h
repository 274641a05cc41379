// Which files make up a model folder. Called by Checkpoint::open; knows names only, not what is in the files,
// except for the index.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gossamer {

// A packed folder (pack_manifest.h) has these two instead of a checkpoint's weights.
inline constexpr const char* kPackManifest = "gossamer_pack.json";
inline constexpr const char* kPackedWeights = "packed.safetensors";

struct CheckpointFiles {
  std::filesystem::path folder;  // where config.json and the weights lie
  // Where side files (tokenizer.json, ...) are looked for next: MODEL for MODEL/original. Empty otherwise.
  std::filesystem::path parent;
  std::vector<std::filesystem::path> shards;  // in name order
  // Of an index: tensor -> file name. Empty where there is no index.
  std::filesystem::path index;
  std::map<std::string, std::string> weight_map;

  // The path of a side file in `folder` or `parent`; nothing when neither has it.
  std::optional<std::filesystem::path> find(const std::string& name) const;
};

// The files of `folder`: of a packed one packed.safetensors; with model.safetensors.index.json the shards
// that it names; else model.safetensors; else every model*.safetensors; else every *.safetensors. A folder
// without weights of its own whose `original/` has some stands for that. Throws Error when there is no such
// folder, no config.json or no weights, when the index is malformed, names a file outside the folder or one
// that is not there.
CheckpointFiles find_checkpoint_files(const std::filesystem::path& folder);

}  // namespace gossamer
