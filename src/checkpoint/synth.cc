#include "checkpoint/synth.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/thread_pool.h"
#include "checkpoint/new_folder.h"
#include "checkpoint/synth_pools.h"

namespace gossamer {
namespace {

namespace fs = std::filesystem;

// Random bytes come from pools of finished numbers (synth_pools.h): each segment of a tensor is copied from a
// place in its pool that a counter-based generator chooses, so that writing is limited by the disk and any
// byte can be made alone.
constexpr std::size_t kSegmentBytes = 1024;
constexpr std::size_t kChunkBytes = std::size_t{4} << 20;  // what a thread makes and writes at a time
static_assert(kChunkBytes % kSegmentBytes == 0);

// A part of a tensor, made and written by one thread.
struct Chunk {
  const SynthTensor* tensor = nullptr;
  const std::vector<std::byte>* pool = nullptr;  // not for masks
  uint64_t key = 0;                              // of the tensor
  uint64_t begin = 0;                            // bytes, within the tensor
  uint64_t size = 0;
  uint64_t place = 0;  // of the chunk in the file's data
};

void fill_mask(const Chunk& chunk, std::byte* out) {
  const TensorSpec& spec = chunk.tensor->spec;
  const uint64_t width = dtype_size(spec.dtype);
  const auto positions = static_cast<uint64_t>(spec.shape.row_size());
  for (uint64_t i = 0; i < chunk.size / width; ++i) {
    const uint64_t index = chunk.begin / width + i;
    store_number(spec.dtype, index % positions <= index / positions ? 1.0F : 0.0F, out + i * width);
  }
}

void fill_chunk(const Chunk& chunk, std::byte* out) {
  if (chunk.tensor->fill == Fill::kCausalMask) return fill_mask(chunk, out);
  // Places are multiples of 16 bytes: whole numbers, and whole groups of codes.
  constexpr uint64_t kPlaces = (kSynthPoolBytes - kSegmentBytes) / 16 + 1;
  for (uint64_t done = 0; done < chunk.size; done += kSegmentBytes) {
    const uint64_t segment = (chunk.begin + done) / kSegmentBytes;
    const uint64_t place = synth_mix(chunk.key + segment) % kPlaces * 16;
    std::memcpy(out + done, chunk.pool->data() + place, std::min<uint64_t>(kSegmentBytes, chunk.size - done));
  }
}

struct Shard {
  std::string file;
  std::vector<std::size_t> tensors;  // indices into SynthArchitecture::tensors
};

// Divides the tensors, in their order, into shards of about the same size; the middle of a tensor decides.
std::vector<Shard> divide(const SynthArchitecture& architecture) {
  std::vector<Shard> shards(static_cast<std::size_t>(architecture.num_shards));
  const uint64_t total = architecture.total_bytes();
  uint64_t begin = 0;
  for (std::size_t i = 0; i < architecture.tensors.size(); ++i) {
    const uint64_t size = architecture.tensors[i].spec.size_bytes();
    const uint64_t shard = (begin + size / 2) * shards.size() / std::max<uint64_t>(total, 1);
    shards[std::min<uint64_t>(shard, shards.size() - 1)].tensors.push_back(i);
    begin += size;
  }
  std::erase_if(shards, [](const Shard& shard) { return shard.tensors.empty(); });
  const auto first = static_cast<std::size_t>(architecture.first_shard);
  const std::size_t last = first + shards.size() - 1;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    shards[i].file = shards.size() == 1 ? "model.safetensors"
                                        : fmt::format("model-{:05}-of-{:05}.safetensors", first + i, last);
  }
  return shards;
}

// Writes the shards' tensors with all threads.
class ShardWriter {
 public:
  ShardWriter(const SynthArchitecture& architecture, const SynthOptions& options)
      : architecture_(architecture),
        options_(options),
        total_(architecture.total_bytes()),
        pools_(options.seed),
        threads_(options.num_threads),
        scratch_(static_cast<std::size_t>(threads_.num_threads()), std::vector<std::byte>(kChunkBytes)) {}

  void write(const Shard& shard, const fs::path& folder) {
    std::vector<TensorSpec> specs;
    for (const std::size_t index : shard.tensors) specs.push_back(architecture_.tensors[index].spec);
    SafetensorsWriter writer(folder / shard.file, specs, {{"format", "pt"}});
    const std::vector<Chunk> chunks = cut(shard);
    threads_.parallel_for(static_cast<int64_t>(chunks.size()), [&](int64_t task, int thread) {
      write_chunk(chunks[static_cast<std::size_t>(task)], thread, writer);
    });
    if (failure_) std::rethrow_exception(failure_);
    writer.finish();
  }

 private:
  std::vector<Chunk> cut(const Shard& shard) {
    std::vector<Chunk> chunks;
    uint64_t place = 0;
    for (const std::size_t index : shard.tensors) {
      const SynthTensor& tensor = architecture_.tensors[index];
      Chunk chunk;
      chunk.tensor = &tensor;
      if (tensor.fill != Fill::kCausalMask) chunk.pool = &pools_.get(tensor);
      chunk.key = synth_mix(synth_mix(options_.seed) ^ synth_mix(index));
      const uint64_t size = tensor.spec.size_bytes();
      for (chunk.begin = 0; chunk.begin < size; chunk.begin += kChunkBytes) {
        chunk.size = std::min<uint64_t>(kChunkBytes, size - chunk.begin);
        chunk.place = place + chunk.begin;
        chunks.push_back(chunk);
      }
      place += size;
    }
    return chunks;
  }

  void write_chunk(const Chunk& chunk, int thread, SafetensorsWriter& writer) {
    if (failed_) return;
    std::vector<std::byte>& scratch = scratch_[static_cast<std::size_t>(thread)];
    fill_chunk(chunk, scratch.data());
    try {
      writer.write_at(chunk.place, std::span(scratch).first(chunk.size));
      const uint64_t done = done_ += chunk.size;
      if (thread == 0 && options_.progress) options_.progress(done, total_);
    } catch (const Error&) {
      const std::lock_guard lock(failure_mutex_);
      if (!failed_.exchange(true)) failure_ = std::current_exception();
    }
  }

  const SynthArchitecture& architecture_;
  const SynthOptions& options_;
  uint64_t total_;
  SynthPools pools_;
  ThreadPool threads_;
  std::vector<std::vector<std::byte>> scratch_;
  std::atomic<uint64_t> done_{0};
  std::atomic<bool> failed_{false};
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
};

void write_folder(const SynthArchitecture& architecture, const NewFolder& folder,
                  const SynthOptions& options) {
  const std::vector<Shard> shards = divide(architecture);
  ShardWriter writer(architecture, options);
  json::object weight_map;
  for (const Shard& shard : shards) {
    writer.write(shard, folder.path());
    for (const std::size_t index : shard.tensors)
      weight_map[architecture.tensors[index].spec.name] = shard.file;
  }
  if (shards.size() > 1) {
    folder.write_json(
        "model.safetensors.index.json",
        {{"metadata", {{"total_size", architecture.total_bytes()}}}, {"weight_map", std::move(weight_map)}});
  }
  folder.write_json("config.json", architecture.config);
  folder.write_json("generation_config.json", architecture.generation_config);
  if (!options.tokenizer.empty()) folder.copy(options.tokenizer, "tokenizer.json");
}

}  // namespace

void write_synth_checkpoint(const SynthArchitecture& architecture, const fs::path& out,
                            const SynthOptions& options) {
  NewFolder folder(out, {.bytes = architecture.total_bytes(), .replace = false, .source = {}});
  write_folder(architecture, folder, options);
  if (options.progress) options.progress(architecture.total_bytes(), architecture.total_bytes());
  folder.commit();
}

}  // namespace gossamer
