#include "checkpoint/pack_manifest.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <string_view>
#include <utility>

#include "base/checksum.h"
#include "base/error.h"
#include "checkpoint/safetensors.h"

namespace gossamer {
namespace {

namespace fs = std::filesystem;

// Of the manifest itself. Written first, so that later ones can still be told apart.
constexpr int64_t kManifestVersion = 1;
constexpr std::string_view kVersionKey = "gossamer_pack";
constexpr std::string_view kChecksumKey = "checksum";  // of the manifest without this member

constexpr IntRange kBytes = {.min = 0, .max = int64_t{1} << 56};

constexpr std::string_view kAdvice = "the file was changed or damaged; pack the model again";

uint64_t parse_checksum(const ConfigReader& object, const json::value* value) {
  const std::string_view text =
      value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view();
  uint64_t number = 0;
  for (const char digit : text) {
    const bool decimal = digit >= '0' && digit <= '9';
    if (!decimal && !(digit >= 'a' && digit <= 'f')) object.fail({kChecksumKey}, "hexadecimal digits");
    number = number << 4 | static_cast<uint64_t>(decimal ? digit - '0' : digit - 'a' + 10);
  }
  if (text.size() != 16) object.fail({kChecksumKey}, "16 hexadecimal digits");
  return number;
}

// The members of a list of objects.
std::vector<ConfigReader> read_list(const ConfigReader& manifest, std::string_view key) {
  const json::value* list = manifest.find({key});
  if (list == nullptr || !list->is_array()) manifest.fail({key}, "a list");
  std::vector<ConfigReader> items;
  for (const json::value& item : list->get_array()) {
    if (!item.is_object()) manifest.fail({key}, "a list of objects");
    items.emplace_back(item.get_object(), manifest.where());
  }
  return items;
}

PackedTensor read_tensor(const ConfigReader& object) {
  PackedTensor tensor;
  tensor.name = object.get_string({"name"});
  tensor.size = static_cast<uint64_t>(object.get_int({"size"}, kBytes));
  const json::value* checksums = object.find({"checksums"});
  if (checksums == nullptr || !checksums->is_array()) object.fail({"checksums"}, "a list");
  for (const json::value& item : checksums->get_array())
    tensor.checksums.push_back(parse_checksum(object, &item));
  if (tensor.checksums.size() != (tensor.size + kPackPieceBytes - 1) / kPackPieceBytes) {
    object.fail({"checksums"}, fmt::format("one for each {} bytes", kPackPieceBytes));
  }
  if (!object.has({"format"})) return tensor;
  const std::optional<Format> format = find_format(object.get_string({"format"}));
  if (!format) object.fail({"format"}, "the name of a format");
  tensor.weight = WeightImage{
      .format = *format,
      .num_experts = object.get_int({"num_experts"}),
      .rows = object.get_int({"rows"}),
      .cols = object.get_int({"cols"}),
      .flags = static_cast<uint32_t>(object.get_int({"flags"}, {.min = 0, .max = int64_t{1} << 31})),
      .bytes = {}};
  return tensor;
}

json::object tensor_to_json(const PackedTensor& tensor) {
  json::object object = {{"name", tensor.name}, {"size", tensor.size}};
  if (tensor.weight) {
    object["format"] = format_info(tensor.weight->format).name;
    object["num_experts"] = tensor.weight->num_experts;
    object["rows"] = tensor.weight->rows;
    object["cols"] = tensor.weight->cols;
    object["flags"] = tensor.weight->flags;
  }
  json::array checksums;
  for (const uint64_t sum : tensor.checksums) checksums.emplace_back(format_checksum(sum));
  object["checksums"] = std::move(checksums);
  return object;
}

void check_file(const fs::path& folder, const PackedFile& file) {
  const MappedFile found(folder / file.name);
  if (found.bytes().size() != file.size || checksum(found.bytes()) != file.checksum) {
    throw Error("{}: expected {} bytes with checksum {}, found {} with {}: {}", found.path().string(),
                file.size, format_checksum(file.checksum), found.bytes().size(),
                format_checksum(checksum(found.bytes())), kAdvice);
  }
}

// Every tensor of the manifest in the file, and the other way round, with the same size; and where it lies.
void find_tensors(const Checkpoint& checkpoint, PackManifest& manifest) {
  for (PackedTensor& tensor : manifest.tensors) {
    const StoredTensor* stored = checkpoint.find(tensor.name);
    const std::size_t size = stored == nullptr || stored->tensor.empty() ? 0 : stored->tensor.size_bytes();
    const DType dtype = tensor.weight ? DType::kU8 : DType::kF32;
    if (size != tensor.size || stored == nullptr || stored->tensor.dtype() != dtype) {
      throw Error("{}: {}: expected {} bytes of {} in {}, found {}: {}", checkpoint.folder().string(),
                  printable_name(tensor.name), tensor.size, dtype_name(dtype), kPackedWeights,
                  stored == nullptr ? "no such tensor" : fmt::format("{} bytes", size), kAdvice);
    }
    if (tensor.weight) tensor.weight->bytes = {stored->tensor.bytes(), size};
  }
  if (checkpoint.tensors().size() != manifest.tensors.size()) {
    throw Error("{}: expected {} tensors in {}, found {}: {}", checkpoint.folder().string(),
                manifest.tensors.size(), kPackedWeights, checkpoint.tensors().size(), kAdvice);
  }
}

}  // namespace

const PackedTensor* PackManifest::find(const std::string& name) const {
  const auto at = std::find_if(tensors.begin(), tensors.end(),
                               [&](const PackedTensor& tensor) { return tensor.name == name; });
  return at == tensors.end() ? nullptr : &*at;
}

std::vector<uint64_t> piece_checksums(std::span<const std::byte> bytes, ThreadPool& pool) {
  std::vector<uint64_t> checksums((bytes.size() + kPackPieceBytes - 1) / kPackPieceBytes);
  pool.parallel_for(static_cast<int64_t>(checksums.size()), [&](int64_t piece, int) {
    const std::size_t begin = static_cast<std::size_t>(piece) * kPackPieceBytes;
    checksums[static_cast<std::size_t>(piece)] =
        checksum(bytes.subspan(begin, std::min(kPackPieceBytes, bytes.size() - begin)));
  });
  return checksums;
}

json::object to_json(const PackManifest& manifest) {
  json::object object = {
      {kVersionKey, kManifestVersion},
      {"backend", manifest.backend},
      {"layout", manifest.layout},
      {"weights", manifest.weights},
      {"smoothing", manifest.smoothing},
      {"activations", manifest.activations},
      {"dtype", manifest.dtype},
      {"activation_dtype", dtype_name(manifest.activation)},
      {"int8_activations", manifest.int8_activations},
      {"source",
       {{"model", manifest.source}, {"tensors", manifest.source_tensors}, {"bytes", manifest.source_bytes}}}};
  json::array tensors;
  for (const PackedTensor& tensor : manifest.tensors) tensors.push_back(tensor_to_json(tensor));
  object["tensors"] = std::move(tensors);
  json::array files;
  for (const PackedFile& file : manifest.files) {
    files.push_back(json::object{
        {"name", file.name}, {"size", file.size}, {kChecksumKey, format_checksum(file.checksum)}});
  }
  object["files"] = std::move(files);
  object[kChecksumKey] = format_checksum(checksum(json::serialize(object)));
  return object;
}

std::optional<PackManifest> read_pack_manifest(const Checkpoint& checkpoint) {
  const fs::path path = checkpoint.folder() / kPackManifest;
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  json::value value = read_json_file(path);
  if (!value.is_object()) throw Error("{}: expected a JSON object, found something else", path.string());
  const ConfigReader reader(value.get_object(), path.string());
  if (reader.get_int({kVersionKey}, {.min = 0, .max = int64_t{1} << 31}) != kManifestVersion) {
    reader.fail({kVersionKey},
                fmt::format("version {} of packed folders; pack the model again with this program",
                            kManifestVersion));
  }
  json::object unsigned_object = reader.object();
  unsigned_object.stable_erase(kChecksumKey);
  const uint64_t sum = checksum(json::serialize(unsigned_object));
  if (parse_checksum(reader, reader.find({kChecksumKey})) != sum)
    reader.fail({kChecksumKey}, fmt::format("{} ({})", format_checksum(sum), kAdvice));

  PackManifest manifest;
  manifest.backend = reader.get_string({"backend"});
  manifest.layout = reader.get_int({"layout"});
  manifest.weights = reader.get_string({"weights"});
  manifest.smoothing = reader.get_string({"smoothing"});
  manifest.activations = reader.get_string({"activations"});
  manifest.dtype = reader.get_string({"dtype"});
  const std::optional<DType> activation = parse_dtype(reader.get_string({"activation_dtype"}));
  if (activation != DType::kBf16 && activation != DType::kF32) {
    reader.fail({"activation_dtype"}, "BF16 or F32");
  }
  manifest.activation = *activation;
  manifest.int8_activations = reader.get_bool({"int8_activations"}, false);
  manifest.source = reader.get_string({"source.model"});
  manifest.source_tensors = reader.get_int({"source.tensors"});
  manifest.source_bytes = static_cast<uint64_t>(reader.get_int({"source.bytes"}, kBytes));
  for (const ConfigReader& tensor : read_list(reader, "tensors"))
    manifest.tensors.push_back(read_tensor(tensor));
  for (const ConfigReader& file : read_list(reader, "files")) {
    manifest.files.push_back({.name = file.get_string({"name"}),
                              .size = static_cast<uint64_t>(file.get_int({"size"}, kBytes)),
                              .checksum = parse_checksum(file, file.find({kChecksumKey}))});
    if (fs::path(manifest.files.back().name).filename() != manifest.files.back().name) {
      file.fail({"name"}, "the name of a file in the folder");
    }
    check_file(checkpoint.folder(), manifest.files.back());
  }
  find_tensors(checkpoint, manifest);
  return manifest;
}

void verify_weights(const Checkpoint& checkpoint, const PackManifest& manifest, ThreadPool& pool,
                    const std::function<void(std::size_t done, std::size_t total)>& progress) {
  struct Piece {
    const PackedTensor* tensor;
    const MappedFile* file;
    std::span<const std::byte> bytes;
    uint64_t checksum;
  };
  std::vector<Piece> pieces;
  std::size_t total = 0;
  for (const PackedTensor& tensor : manifest.tensors) {
    const StoredTensor& stored = *checkpoint.find(tensor.name);
    const std::span bytes(stored.tensor.bytes(), stored.tensor.size_bytes());
    for (std::size_t i = 0; i < tensor.checksums.size(); ++i) {
      const std::size_t begin = i * kPackPieceBytes;
      const auto part = bytes.subspan(begin, std::min(kPackPieceBytes, bytes.size() - begin));
      pieces.push_back({&tensor, stored.file, part, tensor.checksums[i]});
    }
    total += bytes.size();
  }
  std::atomic<std::size_t> done{0};
  std::mutex mutex;
  const Piece* damaged = nullptr;  // the first in order, so that the message is the same every time
  bool unreadable = false;
  pool.parallel_for(static_cast<int64_t>(pieces.size()), [&](int64_t index, int thread) {
    const Piece& piece = pieces[static_cast<std::size_t>(index)];
    const bool readable = piece.file->populate(piece.bytes);
    if (!readable || checksum(piece.bytes) != piece.checksum) {
      const std::lock_guard lock(mutex);
      if (damaged == nullptr || &piece < damaged) {
        damaged = &piece;
        unreadable = !readable;
      }
    }
    const std::size_t so_far = done += piece.bytes.size();
    if (thread == 0 && progress) progress(so_far, total);
  });
  if (damaged == nullptr) return;
  const auto at = damaged->bytes.data() - damaged->file->bytes().data();
  throw Error("{}: {}: expected checksum {} for the {} bytes from byte {} on, found {}",
              damaged->file->path().string(), printable_name(damaged->tensor->name),
              format_checksum(damaged->checksum), damaged->bytes.size(), at,
              unreadable ? std::string("bytes that the disk does not give; copy the folder again")
                         : fmt::format("{}: {}", format_checksum(checksum(damaged->bytes)), kAdvice));
}

}  // namespace gossamer
