#include "checkpoint/bf16_checkpoint.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <exception>
#include <iterator>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/half.h"
#include "base/thread_pool.h"
#include "checkpoint/new_folder.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/safetensors_writer.h"
#include "tensor/formats/mxfp4.h"
#include "tensor/weight.h"

namespace gossamer {
namespace {

const std::string kBlocks = "_blocks";
const std::string kScales = "_scales";
// Rows decoded at a time: a cache line of bf16, so that the transposed writes fill whole lines.
constexpr int64_t kRowTile = 32;

// A tensor of the new checkpoint, from one that is copied or from codes and scales.
struct OutTensor {
  TensorSpec spec;
  const StoredTensor* stored = nullptr;  // the codes, where there are scales
  const StoredTensor* scales = nullptr;
};

WeightSource expert_source(const OutTensor& tensor) {
  const Shape& codes = tensor.stored->tensor.shape();
  WeightSource source;
  source.name = tensor.spec.name;
  source.format = Format::kMxfp4;
  source.num_experts = codes[0];
  source.rows = codes[1];
  source.cols = codes[2] * mxfp4::kGroupSize;
  source.parts.push_back(
      {.rows = source.rows, .codes = tensor.stored->tensor, .scales = tensor.scales->tensor});
  return source;
}

// Throws where codes and scales do not belong together.
OutTensor describe_experts(const Checkpoint& checkpoint, const std::string& name, const StoredTensor& codes) {
  const StoredTensor* scales = checkpoint.find(name + kScales);
  const ConstTensor& blocks = codes.tensor;
  const bool good = scales != nullptr && blocks.dtype() == DType::kU8 && blocks.shape().rank() == 4 &&
                    blocks.shape()[3] == mxfp4::kGroupBytes && scales->tensor.dtype() == DType::kU8 &&
                    scales->tensor.shape() == Shape{blocks.shape()[0], blocks.shape()[1], blocks.shape()[2]};
  if (!good) {
    throw Error(
        "{}: {}: expected U8 [experts, rows, groups, {}] and {}{} [experts, rows, groups], found others",
        checkpoint.where(codes), printable_name(codes.stored_name), mxfp4::kGroupBytes, printable_name(name),
        kScales);
  }
  const Shape shape = {blocks.shape()[0], blocks.shape()[2] * mxfp4::kGroupSize, blocks.shape()[1]};
  return {.spec = {name, DType::kBf16, shape}, .stored = &codes, .scales = scales};
}

bool belongs_to_codes(const Checkpoint& checkpoint, const std::string& name) {
  return name.ends_with(kScales) &&
         checkpoint.find(name.substr(0, name.size() - kScales.size()) + kBlocks) != nullptr;
}

std::vector<OutTensor> describe(const Checkpoint& checkpoint) {
  std::vector<OutTensor> tensors;
  bool any = false;
  for (const auto& [name, stored] : checkpoint.tensors()) {
    if (stored.tensor.empty()) {
      throw Error("{}: {}: expected a known dtype, found {}", checkpoint.where(stored), printable_name(name),
                  stored.unknown_dtype);
    }
    if (name.ends_with(kBlocks)) {
      tensors.push_back(describe_experts(checkpoint, name.substr(0, name.size() - kBlocks.size()), stored));
      any = true;
    } else if (!belongs_to_codes(checkpoint, name)) {
      tensors.push_back({.spec = {name, stored.tensor.dtype(), stored.tensor.shape()},
                         .stored = &stored,
                         .scales = nullptr});
    }
  }
  if (!any) {
    throw Error("{}: expected a GPT-OSS checkpoint with MXFP4 experts (*{}), found none",
                checkpoint.folder().string(), kBlocks);
  }
  return tensors;
}

// One expert, transposed. out [cols, rows]
void decode_expert(const WeightSource& source, int64_t expert, std::vector<float>& rows, uint16_t* out) {
  rows.resize(static_cast<std::size_t>(kRowTile * source.cols));
  for (int64_t first = 0; first < source.rows; first += kRowTile) {
    const int64_t count = std::min(kRowTile, source.rows - first);
    for (int64_t r = 0; r < count; ++r) source.decode_row(expert, first + r, rows.data() + r * source.cols);
    for (int64_t col = 0; col < source.cols; ++col) {
      for (int64_t r = 0; r < count; ++r) {
        const float value = rows[static_cast<std::size_t>(r * source.cols + col)];
        const uint16_t bf16 = float_to_bf16(value);
        if (!std::isfinite(value) || bf16_to_float(bf16) != value) {
          throw Error("{}: expert {}, row {}, column {}: expected a number that bf16 holds, found {}",
                      source.name, expert, first + r, col, value);
        }
        out[col * source.rows + first + r] = bf16;
      }
    }
  }
}

class Bf16Writer {
 public:
  Bf16Writer(const Checkpoint& checkpoint, const Bf16Options& options, uint64_t total)
      : checkpoint_(checkpoint), options_(options), total_(total), pool_(options.num_threads) {}

  void write(const std::vector<OutTensor>& tensors, const std::filesystem::path& path) {
    std::vector<TensorSpec> specs;
    std::transform(tensors.begin(), tensors.end(), std::back_inserter(specs),
                   [](const OutTensor& tensor) { return tensor.spec; });
    SafetensorsWriter writer(path, specs, {{"format", "pt"}});
    uint64_t begin = 0;
    for (const OutTensor& tensor : tensors) {
      tensor.scales != nullptr ? write_experts(tensor, begin, writer) : copy(tensor, begin, writer);
      begin += tensor.spec.size_bytes();
    }
    writer.finish();
  }

 private:
  void copy(const OutTensor& tensor, uint64_t begin, SafetensorsWriter& writer) {
    const std::span bytes(tensor.stored->tensor.bytes(), tensor.stored->tensor.size_bytes());
    writer.write_at(begin, bytes);
    checkpoint_.release(bytes);
    advance(bytes.size());
  }

  void write_experts(const OutTensor& tensor, uint64_t begin, SafetensorsWriter& writer) {
    const WeightSource source = expert_source(tensor);
    const auto size = static_cast<std::size_t>(source.rows * source.cols);
    std::mutex mutex;
    std::exception_ptr failure;
    std::atomic<bool> failed{false};
    pool_.parallel_for(source.num_experts, [&](int64_t expert, int thread) {
      if (failed) return;
      try {
        std::vector<float> rows;
        std::vector<uint16_t> numbers(size);
        decode_expert(source, expert, rows, numbers.data());
        const auto bytes = std::as_bytes(std::span(numbers));
        writer.write_at(begin + static_cast<uint64_t>(expert) * bytes.size(), bytes);
        done_ += bytes.size();
        if (thread == 0) advance(0);
      } catch (const Error&) {
        const std::lock_guard lock(mutex);
        if (!failed.exchange(true)) failure = std::current_exception();
      }
    });
    if (failure) std::rethrow_exception(failure);
    for (const StoredTensor* stored : {tensor.stored, tensor.scales})
      checkpoint_.release({stored->tensor.bytes(), stored->tensor.size_bytes()});
  }

  void advance(std::size_t bytes) {
    done_ += bytes;
    if (options_.progress) options_.progress(done_, total_);
  }

  const Checkpoint& checkpoint_;
  const Bf16Options& options_;
  uint64_t total_;
  ThreadPool pool_;
  std::atomic<uint64_t> done_{0};
};

// In their order, into files of at most so many bytes.
std::vector<std::vector<OutTensor>> divide(const std::vector<OutTensor>& tensors, uint64_t shard_bytes) {
  std::vector<std::vector<OutTensor>> shards(1);
  uint64_t size = 0;
  for (const OutTensor& tensor : tensors) {
    if (size > 0 && size + tensor.spec.size_bytes() > shard_bytes) {
      shards.emplace_back();
      size = 0;
    }
    shards.back().push_back(tensor);
    size += tensor.spec.size_bytes();
  }
  return shards;
}

}  // namespace

uint64_t write_bf16_checkpoint(const Checkpoint& checkpoint, const Bf16Options& options) {
  const std::vector<OutTensor> tensors = describe(checkpoint);
  uint64_t total = 0;
  for (const OutTensor& tensor : tensors) total += tensor.spec.size_bytes();
  NewFolder out(options.out, {.bytes = total, .replace = options.replace, .source = checkpoint.folder()});
  json::object config = checkpoint.config().object();
  config.stable_erase("quantization_config");
  config["torch_dtype"] = "bfloat16";
  out.write_json("config.json", config);
  for (const std::filesystem::path& file : find_side_files(checkpoint)) out.copy(file);
  if (!checkpoint.find_file("generation_config.json") && !checkpoint.generation_config().object().empty())
    out.write_json("generation_config.json", checkpoint.generation_config().object());

  Bf16Writer writer(checkpoint, options, total);
  const auto shards = divide(tensors, options.shard_bytes);
  json::object weight_map;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string file = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    writer.write(shards[i], out.path() / file);
    for (const OutTensor& tensor : shards[i]) weight_map[tensor.spec.name] = file;
  }
  out.write_json("model.safetensors.index.json",
                 {{"metadata", {{"total_size", total}}}, {"weight_map", std::move(weight_map)}});
  out.commit();
  return total;
}

}  // namespace gossamer
