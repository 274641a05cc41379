// Checkpoint: a model folder as it lies on disk: config.json, generation_config.json and the tensors of its
// safetensors files (one file, shards by index, or every *.safetensors of a folder without an index),
// memory-mapped and checked. Layouts that differ only in names are presented under the Hugging Face names:
//   gpt2      an optional "transformer." prefix is taken off
//   gpt_oss   the `original/` layout (OpenAI's names, fused qkv, its own config keys) becomes the HF one
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "checkpoint/config_reader.h"
#include "tensor/tensor.h"

namespace gossamer {

struct StoredTensor {
  ConstTensor tensor;
  const MappedFile* file = nullptr;  // for messages and for giving pages back
  std::string stored_name;           // the name in the file, where a layout renamed it
};

class Checkpoint {
 public:
  // Throws Error naming file, tensor, expected and found: missing or malformed config, index, header;
  // overlapping, truncated or oversized tensors; a tensor in two files; shards that the index names but that
  // are not there.
  static std::unique_ptr<Checkpoint> open(const std::filesystem::path& folder);

  const std::filesystem::path& folder() const { return folder_; }
  // config.json with HF keys, whatever the layout.
  const ConfigReader& config() const { return *config_; }
  // generation_config.json; an empty object when there is none.
  const ConfigReader& generation_config() const { return *generation_config_; }

  // nullptr when there is no such tensor.
  const StoredTensor* find(const std::string& name) const;
  const std::map<std::string, StoredTensor>& tensors() const { return tensors_; }

  // Gives the pages of these mapped bytes back to the system.
  void release(std::span<const std::byte> bytes) const;

  // Bytes of all tensors as stored.
  std::size_t stored_bytes() const;

 private:
  Checkpoint() = default;

  std::filesystem::path folder_;
  std::unique_ptr<ConfigReader> config_;
  std::unique_ptr<ConfigReader> generation_config_;
  std::vector<std::unique_ptr<MappedFile>> files_;
  std::map<std::string, StoredTensor> tensors_;
};

}  // namespace gossamer
