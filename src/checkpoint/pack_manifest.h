// gossamer_pack.json: what is in a packed model folder, beside the weights as a backend prepared them
// (packed.safetensors) and the model's own small files. Written by model/pack_model.cc; read, and the folder
// checked against it, by ModelFolder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "checkpoint/checkpoint.h"
#include "tensor/weight.h"

namespace gossamer {

// A tensor of packed.safetensors is checked in pieces of so many bytes, so that threads can share the work.
inline constexpr std::size_t kPackPieceBytes = std::size_t{16} << 20;

struct PackedTensor {
  std::string name;  // of the parameter's first part
  uint64_t size = 0;
  std::vector<uint64_t> checksums;  // of each piece
  // A prepared matrix (U8 in the file); nothing: a vector, as f32. The bytes are those of the open file.
  std::optional<WeightImage> weight;
};

struct PackedFile {
  std::string name;
  uint64_t size = 0;
  uint64_t checksum = 0;
};

struct PackManifest {
  // Whose weights these are, and the version of their layout (Backend::image_version).
  std::string backend;
  int64_t layout = 0;
  // The options that chose the formats, as they were typed, and what they meant.
  std::string weights;
  std::string activations;
  std::string dtype;
  std::string smoothing;  // the file's name without its folder
  DType activation = DType::kBf16;
  bool int8_activations = false;
  // Where it came from.
  std::string source;
  int64_t source_tensors = 0;
  uint64_t source_bytes = 0;

  std::vector<PackedTensor> tensors;
  std::vector<PackedFile> files;  // every other file of the folder but the manifest

  const PackedTensor* find(const std::string& name) const;
};

// The checksums of the pieces of `bytes`.
std::vector<uint64_t> piece_checksums(std::span<const std::byte> bytes, ThreadPool& pool);

json::object to_json(const PackManifest& manifest);

// Of the folder of `checkpoint`; nothing when that is no packed one. The small files and the places of all
// tensors are checked; `checkpoint` outlives the result. Throws Error saying what is damaged or missing.
std::optional<PackManifest> read_pack_manifest(const Checkpoint& checkpoint);

// Reads all weights, on all threads, and compares them with their checksums; afterwards their pages are
// mapped. Throws Error naming the first tensor that is damaged. `progress`: bytes done and in all.
void verify_weights(const Checkpoint& checkpoint, const PackManifest& manifest, ThreadPool& pool,
                    const std::function<void(std::size_t done, std::size_t total)>& progress);

}  // namespace gossamer
