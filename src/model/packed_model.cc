#include "model/packed_model.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/checksum.h"
#include "base/cpu_info.h"
#include "base/error.h"
#include "checkpoint/new_folder.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/safetensors_writer.h"

namespace gossamer {
namespace {

namespace fs = std::filesystem;

// Of the data of packed.safetensors: whole pages, so that no page holds header and weights.
constexpr uint64_t kDataAlignment = 4096;

const std::string& name_of(const MatrixParam& param) { return param.parts.front().name; }
const std::string& name_of(const VectorParam& param) { return param.parts.front().name; }

// Matrices first: their sizes are whole multiples of kImageAlignment, so that each starts at one.
std::vector<TensorSpec> packed_tensors(const ModelFolder& folder, const Backend& backend) {
  std::vector<TensorSpec> specs;
  for (const ResolvedMatrix& matrix : folder.matrices) {
    const WeightSource& source = matrix.source;
    const std::size_t size = backend.prepared_bytes(folder.precision.format_of(matrix), source.num_experts,
                                                    source.rows, source.cols) /
                             static_cast<std::size_t>(backend.weight_copies());
    GOSSAMER_CHECK_EQ(size % kImageAlignment, 0U);
    specs.push_back({name_of(*matrix.param), DType::kU8, {static_cast<int64_t>(size)}});
  }
  for (const VectorParam& vector : folder.params.vectors)
    specs.push_back({name_of(vector), DType::kF32, vector.shape()});
  return specs;
}

// Receives the parameters in the order of the source's files and writes each to its place.
class PackWriter {
 public:
  PackWriter(const ModelFolder& folder, Backend& backend, const fs::path& path, ThreadPool& pool,
             PackManifest& manifest)
      : folder_(folder), backend_(backend), pool_(pool), manifest_(manifest) {
    const std::vector<TensorSpec> specs = packed_tensors(folder, backend);
    writer_ = std::make_unique<SafetensorsWriter>(
        path, specs, SafetensorsWriter::Metadata{{"format", "gossamer_pack"}}, kDataAlignment);
    uint64_t begin = 0;
    for (const TensorSpec& spec : specs) {
      places_[spec.name] = {.begin = begin, .index = manifest.tensors.size()};
      manifest.tensors.push_back(
          {.name = spec.name, .size = spec.size_bytes(), .checksums = {}, .weight = {}});
      begin += spec.size_bytes();
    }
  }

  void write(const ResolvedMatrix& matrix) {
    const Precision& precision = folder_.precision;
    const auto weight =
        backend_.prepare(matrix.source, precision.format_of(matrix), precision.activation_of(matrix));
    WeightImage image = backend_.image(*weight);
    PackedTensor& tensor = write(name_of(*matrix.param), image.bytes);
    image.bytes = {};  // they go with `weight`
    tensor.weight = image;
  }
  void write(const VectorParam& vector, const ConstTensor& numbers) {
    write(name_of(vector), {numbers.bytes(), numbers.size_bytes()});
  }
  void finish() { writer_->finish(); }

 private:
  struct Place {
    uint64_t begin = 0;
    std::size_t index = 0;
  };

  PackedTensor& write(const std::string& name, std::span<const std::byte> bytes) {
    const Place place = places_.at(name);
    PackedTensor& tensor = manifest_.tensors[place.index];
    GOSSAMER_CHECK_EQ(bytes.size(), tensor.size);
    // In one piece: the page cache then holds them 2 MiB at a time where the file system can, which maps a
    // hundred times faster than single pages.
    writer_->write_at(place.begin, bytes);
    tensor.checksums = piece_checksums(bytes, pool_);
    return tensor;
  }

  const ModelFolder& folder_;
  Backend& backend_;
  ThreadPool& pool_;
  PackManifest& manifest_;
  std::unique_ptr<SafetensorsWriter> writer_;
  std::map<std::string, Place> places_;
};

// config.json and the files beside the weights, as they are.
void copy_files(const Checkpoint& checkpoint, const NewFolder& out) {
  if (const auto config = checkpoint.find_file("config.json")) {
    out.copy(*config);
    for (const fs::path& file : find_side_files(checkpoint)) out.copy(file);
  } else {  // made in memory
    out.write_json("config.json", checkpoint.config().object());
    out.write_json("generation_config.json", checkpoint.generation_config().object());
  }
}

std::vector<PackedFile> describe_files(const fs::path& folder) {
  std::vector<PackedFile> files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const MappedFile file(entry.path());
    files.push_back({.name = entry.path().filename().string(),
                     .size = file.bytes().size(),
                     .checksum = checksum(file.bytes())});
  }
  std::sort(files.begin(), files.end(),
            [](const PackedFile& a, const PackedFile& b) { return a.name < b.name; });
  return files;
}

void check_option(const ModelFolder& folder, const std::string& option, const std::string& asked,
                  const std::string& packed) {
  if (asked == "auto" || asked == packed) return;
  throw Error(
      "{}: packed with {} {}, found {} {}: leave the option away, or pack the original model ({}) again "
      "with it",
      folder.checkpoint->folder().string(), option, packed, option, asked,
      printable_name(folder.packed->source));
}

}  // namespace

std::size_t pack_model(const ModelFolder& folder, Backend& backend, const PackOptions& options) {
  const Checkpoint& checkpoint = *folder.checkpoint;
  if (folder.packed) throw Error("{}: expected an original model, found one that is packed", options.source);
  if (backend.image_version() == 0) {
    throw Error("--backend {}: its weights cannot be packed; use --backend cpu", backend.name());
  }
  PackManifest manifest{.backend = backend.name(),
                        .layout = backend.image_version(),
                        .weights = options.precision.weights,
                        .activations = options.precision.activations,
                        .dtype = options.precision.dtype,
                        .smoothing = fs::path(options.precision.smoothing).filename().string(),
                        .activation = folder.precision.activation,
                        .int8_activations = folder.precision.weights.int8_activations,
                        .source = options.source,
                        .source_tensors = static_cast<int64_t>(checkpoint.tensors().size()),
                        .source_bytes = checkpoint.stored_bytes()};
  std::size_t bytes = 0;
  for (const TensorSpec& spec : packed_tensors(folder, backend)) bytes += spec.size_bytes();

  NewFolder out(options.out, {.bytes = bytes, .replace = options.replace, .source = checkpoint.folder()});
  copy_files(checkpoint, out);
  manifest.files = describe_files(out.path());
  ThreadPool pool(threads_or_default(options.num_threads));
  PackWriter writer(folder, backend, out.path() / kPackedWeights, pool, manifest);
  load_params(checkpoint, folder.params,
              {.prepare = [&](const ResolvedMatrix& matrix) -> std::unique_ptr<Weight> {
                 writer.write(matrix);
                 return nullptr;
               },
               .upload =
                   [&](const VectorParam& vector, const ConstTensor& numbers) {
                     writer.write(vector, numbers);
                     return Tensor();
                   },
               .progress = options.progress});
  writer.finish();
  out.write_json(kPackManifest, to_json(manifest));
  out.commit();
  return bytes;
}

void resolve_packed(ModelFolder& folder, const PrecisionOptions& options) {
  const PackManifest& manifest = *folder.packed;
  check_option(folder, "--weights", options.weights, manifest.weights);
  check_option(folder, "--activations", options.activations, manifest.int8_activations ? "int8" : "auto");
  check_option(folder, "--dtype", options.dtype, manifest.dtype);
  // Smoothing is in the weights; a file of the same name may be another one.
  check_option(folder, "--smoothing", options.smoothing.empty() ? "auto" : options.smoothing,
               manifest.smoothing.empty() ? "nothing" : manifest.smoothing);
  const auto fail = [&](const std::string& name, const std::string& expected) {
    throw Error("{}: {}: expected {} as config.json says, found something else packed; pack the model again",
                folder.checkpoint->folder().string(), name, expected);
  };
  for (const MatrixParam& param : folder.params.matrices) {
    const PackedTensor* tensor = manifest.find(name_of(param));
    const int64_t num_experts = std::max<int64_t>(param.num_experts, 1);
    if (tensor == nullptr || !tensor->weight || tensor->weight->num_experts != num_experts ||
        tensor->weight->rows != param.rows() || tensor->weight->cols != param.cols) {
      fail(name_of(param), fmt::format("{} x [{}, {}]", num_experts, param.rows(), param.cols));
    }
    WeightSource source;  // without parts: there is nothing to prepare
    source.name = tensor->name;
    source.format = tensor->weight->format;
    source.num_experts = num_experts;
    source.rows = param.rows();
    source.cols = param.cols;
    folder.matrices.push_back({&param, std::move(source)});
  }
  for (const VectorParam& param : folder.params.vectors) {
    const PackedTensor* tensor = manifest.find(name_of(param));
    if (tensor == nullptr || tensor->weight ||
        tensor->size != static_cast<uint64_t>(param.shape().num_elements()) * sizeof(float)) {
      fail(name_of(param), param.shape().to_string());
    }
  }
  PrecisionOptions as_packed;
  if (manifest.int8_activations) as_packed.activations = "int8";
  as_packed.kv_cache_dtype = options.kv_cache_dtype;
  folder.precision = choose_precision(folder.matrices, as_packed);
  // What was packed says less than what was stored: --dtype f32 of a model whose weights are all int8.
  folder.precision.activation = manifest.activation;
  if (options.kv_cache_dtype == "auto") folder.precision.kv_cache = manifest.activation;
}

void check_backend(const ModelFolder& folder, const Backend& backend) {
  if (!folder.packed) return;
  const PackManifest& packed = *folder.packed;
  const std::string where = folder.checkpoint->folder().string();
  const std::string source = printable_name(packed.source);
  if (packed.backend != backend.name()) {
    const std::string expected = printable_name(packed.backend);
    throw Error(
        "{}: packed for the backend {}, found --backend {}: use --backend {}, or the original model ({})",
        where, expected, backend.name(), expected, source);
  }
  if (packed.layout != backend.image_version()) {
    throw Error(
        "{}: expected version {} of packed weights, found version {}: pack the original model ({}) again "
        "with this program",
        where, backend.image_version(), packed.layout, source);
  }
}

LoadedModel load_packed(ModelFolder folder, Backend& backend, const LoadOptions& options) {
  check_backend(folder, backend);
  const Checkpoint& checkpoint = *folder.checkpoint;
  const PackManifest& manifest = *folder.packed;
  {
    ThreadPool pool(threads_or_default(options.num_threads));
    const MappedFile& file = *checkpoint.tensors().begin()->second.file;
    file.expect_reuse();
    verify_weights(checkpoint, manifest, pool, options.progress);
  }
  LoadedModel loaded;
  loaded.precision = folder.precision;
  for (const MatrixParam& param : folder.params.matrices) {
    const WeightImage& image = *manifest.find(name_of(param))->weight;
    const std::shared_ptr<const MappedFile> file = checkpoint.share_file(*checkpoint.find(name_of(param)));
    // The buffer keeps the mapping; nobody writes to a prepared weight.
    Buffer memory(const_cast<std::byte*>(image.bytes.data()), image.bytes.size(),
                  [file](void*, std::size_t) {});
    try {
      *param.weight = backend.adopt(image, std::move(memory));
    } catch (const Error& error) {
      throw Error("{}: {}: {}", file->path().string(), name_of(param), error.what());
    }
  }
  for (const VectorParam& param : folder.params.vectors) {
    const ConstTensor& stored = checkpoint.find(name_of(param))->tensor;
    *param.tensor = upload_vector(ConstTensor(stored.bytes(), DType::kF32, param.shape()), backend, loaded);
  }
  loaded.model = std::move(folder.model);
  return loaded;
}

}  // namespace gossamer
