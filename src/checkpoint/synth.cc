#include "checkpoint/synth.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <exception>
#include <fstream>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/half.h"
#include "base/thread_pool.h"
#include "tensor/formats/mxfp4.h"

namespace gossamer {
namespace {

namespace fs = std::filesystem;

// Random bytes come from pools of finished numbers: each segment of a tensor is copied from a place in its
// pool that a counter-based generator chooses, so that writing is limited by the disk and any byte can be
// made alone.
constexpr std::size_t kPoolBytes = std::size_t{1} << 20;  // stays in a core's cache
constexpr std::size_t kSegmentBytes = 1024;
constexpr std::size_t kChunkBytes = std::size_t{4} << 20;  // what a thread makes and writes at a time
static_assert(kChunkBytes % kSegmentBytes == 0);

// Steele, Lea and Flood's SplitMix64, one step: a well mixed number for each counter.
uint64_t mix(uint64_t counter) {
  uint64_t z = counter + 0x9e3779b97f4a7c15U;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31);
}

// The sum of 12 uniform numbers less 6: normal enough, within [-6, 6], and the same on every machine, which
// library logarithms and cosines are not.
float normal_number(uint64_t counter) {
  int64_t sum = 0;
  for (uint64_t i = 0; i < 3; ++i) {
    const uint64_t bits = mix(3 * counter + i);
    for (int part = 0; part < 4; ++part) sum += static_cast<int64_t>(bits >> (16 * part) & 0xffffU);
  }
  return static_cast<float>(static_cast<double>(sum - 6 * 65535) / 65535.0);
}

// The MXFP4 code nearest to a number.
uint8_t nearest_code(float number) {
  const auto nearer = [&](float a, float b) { return std::abs(a - number) < std::abs(b - number); };
  const auto best = std::min_element(mxfp4::kValues.begin(), mxfp4::kValues.end(), nearer);
  return static_cast<uint8_t>(best - mxfp4::kValues.begin());
}

void store(DType dtype, float number, std::byte* out) {
  switch (dtype) {
    case DType::kF32:
      std::memcpy(out, &number, 4);
      return;
    case DType::kBf16: {
      const uint16_t bits = float_to_bf16(number);
      std::memcpy(out, &bits, 2);
      return;
    }
    case DType::kF16: {
      const uint16_t bits = float_to_f16(number);
      std::memcpy(out, &bits, 2);
      return;
    }
    case DType::kU8:
      *out = static_cast<std::byte>(number);
      return;
    default:
      GOSSAMER_CHECK(false);
  }
}

// Finished numbers for tensors of one kind.
class Pools {
 public:
  explicit Pools(uint64_t seed) : seed_(mix(seed)) {}

  const std::vector<std::byte>& get(const SynthTensor& tensor) {
    const auto key = std::tuple(tensor.fill, tensor.spec.dtype, tensor.deviation);
    std::vector<std::byte>& pool = pools_[key];
    if (pool.empty()) pool = make(tensor);
    return pool;
  }

 private:
  float normal(uint64_t index) const { return normal_number(seed_ + index); }

  std::vector<std::byte> make(const SynthTensor& tensor) const {
    std::vector<std::byte> pool(kPoolBytes);
    if (tensor.fill == Fill::kMxfp4Codes) {
      // Codes reach 6: a deviation of 2.2 fills the range as a quantizer does.
      constexpr float kCodeDeviation = 2.2F;
      for (std::size_t i = 0; i < pool.size(); ++i) {
        const uint8_t low = nearest_code(kCodeDeviation * normal(2 * i));
        const uint8_t high = nearest_code(kCodeDeviation * normal(2 * i + 1));
        pool[i] = static_cast<std::byte>(low | high << 4);
      }
    } else if (tensor.fill == Fill::kMxfp4Scales) {
      // 2^-8, 2^-7 (half of them) and 2^-6: with the codes above, a deviation of 0.021.
      constexpr std::array<uint8_t, 4> kExponents = {119, 120, 120, 121};
      for (std::size_t i = 0; i < pool.size(); ++i) {
        pool[i] = static_cast<std::byte>(kExponents[mix(seed_ + i) >> 62]);
      }
    } else {
      const std::size_t width = dtype_size(tensor.spec.dtype);
      const float mean = tensor.fill == Fill::kGain ? 1.0F : 0.0F;
      for (std::size_t i = 0; i < pool.size() / width; ++i) {
        store(tensor.spec.dtype, mean + tensor.deviation * normal(i), pool.data() + i * width);
      }
    }
    return pool;
  }

  uint64_t seed_;
  std::map<std::tuple<Fill, DType, float>, std::vector<std::byte>> pools_;
};

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
    store(spec.dtype, index % positions <= index / positions ? 1.0F : 0.0F, out + i * width);
  }
}

void fill_chunk(const Chunk& chunk, std::byte* out) {
  if (chunk.tensor->fill == Fill::kCausalMask) return fill_mask(chunk, out);
  // Places are multiples of 16 bytes: whole numbers, and whole groups of codes.
  constexpr uint64_t kPlaces = (kPoolBytes - kSegmentBytes) / 16 + 1;
  for (uint64_t done = 0; done < chunk.size; done += kSegmentBytes) {
    const uint64_t segment = (chunk.begin + done) / kSegmentBytes;
    const uint64_t place = mix(chunk.key + segment) % kPlaces * 16;
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

// Indented as people's checkpoints are; lists stay on one line.
void print_json(const json::value& value, int indent, std::string& out) {
  if (!value.is_object() || value.get_object().empty()) {
    out += json::serialize(value);
    return;
  }
  std::string_view separator = "{\n";
  for (const auto& item : value.get_object()) {
    const std::string key = json::serialize(json::string(item.key()));
    out += fmt::format("{}{:{}}{}: ", separator, "", indent + 2, key);
    print_json(item.value(), indent + 2, out);
    separator = ",\n";
  }
  out += fmt::format("\n{:{}}}}", "", indent);
}

void write_json(const fs::path& path, const json::object& object) {
  std::string text;
  print_json(object, 0, text);
  std::ofstream file(path);
  file << text << '\n' << std::flush;
  if (!file) throw Error("{}: cannot write the file", path.string());
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
      chunk.key = mix(mix(options_.seed) ^ mix(index));
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
    } catch (const Error&) {
      const std::lock_guard lock(failure_mutex_);
      if (!failed_.exchange(true)) failure_ = std::current_exception();
    }
    const uint64_t done = done_ += chunk.size;
    if (thread == 0 && options_.progress) options_.progress(done, total_);
  }

  const SynthArchitecture& architecture_;
  const SynthOptions& options_;
  uint64_t total_;
  Pools pools_;
  ThreadPool threads_;
  std::vector<std::vector<std::byte>> scratch_;
  std::atomic<uint64_t> done_{0};
  std::atomic<bool> failed_{false};
  std::mutex failure_mutex_;
  std::exception_ptr failure_;
};

void write_folder(const SynthArchitecture& architecture, const fs::path& folder,
                  const SynthOptions& options) {
  const std::vector<Shard> shards = divide(architecture);
  ShardWriter writer(architecture, options);
  json::object weight_map;
  for (const Shard& shard : shards) {
    writer.write(shard, folder);
    for (const std::size_t index : shard.tensors)
      weight_map[architecture.tensors[index].spec.name] = shard.file;
  }
  if (shards.size() > 1) {
    write_json(
        folder / "model.safetensors.index.json",
        {{"metadata", {{"total_size", architecture.total_bytes()}}}, {"weight_map", std::move(weight_map)}});
  }
  write_json(folder / "config.json", architecture.config);
  write_json(folder / "generation_config.json", architecture.generation_config);
  if (!options.tokenizer.empty()) {
    std::error_code error;
    fs::copy_file(options.tokenizer, folder / "tokenizer.json", error);
    if (error) throw Error("{}: cannot copy the tokenizer: {}", options.tokenizer.string(), error.message());
  }
}

}  // namespace

void write_synth_checkpoint(const SynthArchitecture& architecture, const fs::path& out,
                            const SynthOptions& options) {
  fs::path target = fs::absolute(out).lexically_normal();
  if (!target.has_filename()) target = target.parent_path();  // "OUT/"
  std::error_code error;
  if (fs::exists(target, error) && !(fs::is_directory(target, error) && fs::is_empty(target, error))) {
    throw Error("{}: expected a folder that does not exist yet or is empty, found something there",
                target.string());
  }
  check_disk_space(target, architecture.total_bytes());
  const fs::path partial = target.string() + ".partial";
  fs::create_directories(partial.parent_path(), error);
  if (!fs::create_directory(partial, error)) {
    throw Error("{}: cannot make the folder: {}", partial.string(),
                error ? error.message() : "it is there, left by a run that was interrupted; remove it");
  }
  try {
    write_folder(architecture, partial, options);
    fs::rename(partial, target, error);
    if (error) throw Error("{}: cannot give the folder its name: {}", target.string(), error.message());
  } catch (...) {
    fs::remove_all(partial, error);
    throw;
  }
  if (options.progress) options.progress(architecture.total_bytes(), architecture.total_bytes());
}

}  // namespace gossamer
