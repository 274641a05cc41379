// Checkpoint: a model folder as it lies on disk: config.json, generation_config.json and the tensors of its
// safetensors files (one file, shards by index, or every *.safetensors of a folder without an index),
// memory-mapped and checked. Layouts that differ only in names are presented under the Hugging Face names:
//   gpt2      an optional "transformer." prefix is taken off
//   gpt_neox  the head is embed_out.weight, also where transformers 5.14 and later wrote lm_head.weight
//   gpt_oss   the `original/` layout (OpenAI's names, fused qkv, its own config keys) becomes the HF one
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "base/repeated_memory.h"
#include "checkpoint/checkpoint_files.h"
#include "checkpoint/config_reader.h"
#include "tensor/tensor.h"

namespace gossamer {

struct StoredTensor {
  ConstTensor tensor;                // its bytes may start at any address: unaligned loads only
  const MappedFile* file = nullptr;  // for messages and for giving pages back; nullptr in memory
  std::string stored_name;           // the name in the file
  // The dtype of a tensor that no model here can use (F8_E4M3, U16, ...); `tensor` is empty then. It is an
  // error only when a model declares the tensor.
  std::string unknown_dtype;
};

// What a folder would hold (synth_checkpoint.h).
struct CheckpointInMemory {
  std::string name;  // stands for the folder in messages
  json::object config;
  json::object generation_config;
  std::map<std::string, ConstTensor> tensors;           // under the Hugging Face names
  std::vector<std::unique_ptr<RepeatedMemory>> memory;  // what the tensors look at
};

class Checkpoint {
 public:
  // Throws Error naming file, tensor, expected and found: missing or malformed config, index, header;
  // overlapping, truncated or oversized tensors; a tensor in two files; shards that the index names but that
  // are not there.
  static std::unique_ptr<Checkpoint> open(const std::filesystem::path& folder);

  static std::unique_ptr<Checkpoint> from_memory(CheckpointInMemory content);

  // Where the weights lie: the folder given to open(), or its `original/`.
  const std::filesystem::path& folder() const { return files_.folder; }
  // The path of a side file (tokenizer.json, chat_template.jinja), also looked for beside `original/`;
  // nothing when there is none.
  std::optional<std::filesystem::path> find_file(const std::string& name) const { return files_.find(name); }

  // config.json with HF keys, whatever the layout.
  const ConfigReader& config() const { return *config_; }
  // generation_config.json; an empty object when there is none.
  const ConfigReader& generation_config() const { return *generation_config_; }

  // nullptr when there is no such tensor.
  const StoredTensor* find(const std::string& name) const;
  const std::map<std::string, StoredTensor>& tensors() const { return tensors_; }
  // The file of one of these tensors, or what stands for it, for messages.
  std::string where(const StoredTensor& stored) const;

  // Both take bytes of one stored tensor. release() gives their pages back to the system. prefetch() asks it
  // to read them from disk ahead of time: into its own cache, which does not count as ours.
  void release(std::span<const std::byte> bytes) const;
  void prefetch(std::span<const std::byte> bytes) const;

  // The file of one of these tensors, for somebody who uses it longer than this; nullptr in memory.
  std::shared_ptr<const MappedFile> share_file(const StoredTensor& stored) const;

  // Bytes of all tensors as stored.
  std::size_t stored_bytes() const;

 private:
  Checkpoint() = default;

  void read_configs();
  void map_shards();
  void check_index() const;
  void unify_names();
  void rename_tensors(const std::function<std::string(const std::string&)>& new_name);

  CheckpointFiles files_;
  std::unique_ptr<ConfigReader> config_;
  std::unique_ptr<ConfigReader> generation_config_;
  std::vector<std::shared_ptr<const MappedFile>> shards_;
  std::vector<std::unique_ptr<RepeatedMemory>> memory_;
  std::map<std::string, StoredTensor> tensors_;
};

}  // namespace gossamer
