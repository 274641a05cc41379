#include "checkpoint/checkpoint.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "checkpoint/gpt_oss_original.h"
#include "checkpoint/safetensors.h"

namespace gossamer {
namespace {

constexpr std::string_view kGpt2Prefix = "transformer.";
const std::string kNeoxHead = "embed_out.weight";

std::unique_ptr<ConfigReader> read_config(const std::filesystem::path& path) {
  json::value value = read_json_file(path);
  if (!value.is_object()) throw Error("{}: expected a JSON object, found something else", path.string());
  return std::make_unique<ConfigReader>(std::move(value.get_object()), path.string());
}

bool contains(std::span<const std::byte> all, std::span<const std::byte> bytes) {
  const std::less_equal<const std::byte*> below;
  return below(all.data(), bytes.data()) && below(bytes.data() + bytes.size(), all.data() + all.size());
}

}  // namespace

std::unique_ptr<Checkpoint> Checkpoint::open(const std::filesystem::path& folder) {
  std::unique_ptr<Checkpoint> checkpoint(new Checkpoint());
  checkpoint->files_ = find_checkpoint_files(folder);
  checkpoint->read_configs();
  checkpoint->map_shards();
  checkpoint->check_index();
  checkpoint->unify_names();
  return checkpoint;
}

std::unique_ptr<Checkpoint> Checkpoint::from_memory(CheckpointInMemory content) {
  std::unique_ptr<Checkpoint> checkpoint(new Checkpoint());
  checkpoint->files_.folder = content.name;
  checkpoint->config_ = std::make_unique<ConfigReader>(std::move(content.config), content.name);
  checkpoint->generation_config_ =
      std::make_unique<ConfigReader>(std::move(content.generation_config), content.name);
  checkpoint->memory_ = std::move(content.memory);
  for (const auto& [name, tensor] : content.tensors) {
    checkpoint->tensors_.emplace(
        name, StoredTensor{.tensor = tensor, .file = nullptr, .stored_name = name, .unknown_dtype = {}});
  }
  return checkpoint;
}

void Checkpoint::read_configs() {
  config_ = read_config(files_.folder / "config.json");
  const std::optional<std::filesystem::path> generation = files_.find("generation_config.json");
  if (generation) {
    generation_config_ = read_config(*generation);
  } else {
    const bool original = is_gpt_oss_original(*config_);
    generation_config_ = std::make_unique<ConfigReader>(
        original ? gpt_oss_generation_config() : json::object(), config_->where());
  }
}

void Checkpoint::map_shards() {
  for (const std::filesystem::path& path : files_.shards) {
    shards_.push_back(std::make_shared<const MappedFile>(path));
    const MappedFile& file = *shards_.back();
    for (SafetensorsEntry& entry : parse_safetensors(file.bytes(), path.string())) {
      StoredTensor stored;
      stored.file = &file;
      stored.stored_name = entry.name;
      if (const std::optional<DType> dtype = parse_dtype(entry.dtype)) {
        stored.tensor = ConstTensor(file.bytes().data() + entry.begin, *dtype, entry.shape);
      } else {
        stored.unknown_dtype = entry.dtype;
      }
      const auto [at, inserted] = tensors_.emplace(std::move(entry.name), std::move(stored));
      if (!inserted) {
        throw Error("{}: {}: expected each tensor in one file, found it in {} too", path.string(),
                    printable_name(at->first), at->second.file->path().string());
      }
    }
  }
}

void Checkpoint::check_index() const {
  for (const auto& [name, shard] : files_.weight_map) {
    const StoredTensor* stored = find(name);
    if (stored == nullptr || stored->file->path().filename() != shard) {
      throw Error("{}: {}: expected it in {}, found it in {}", files_.index.string(), printable_name(name),
                  printable_name(shard),
                  stored == nullptr ? "none of the shards" : stored->file->path().filename().string());
    }
  }
}

void Checkpoint::unify_names() {
  if (is_gpt_oss_original(*config_)) {
    config_ = std::make_unique<ConfigReader>(convert_gpt_oss_original_config(*config_), config_->where());
    tensors_ = rename_gpt_oss_original(std::move(tensors_), *config_);
  } else if (find(std::string(kGpt2Prefix) + "wte.weight") != nullptr) {
    rename_tensors([](const std::string& name) {
      return name.starts_with(kGpt2Prefix) ? name.substr(kGpt2Prefix.size()) : name;
    });
  } else if (find("gpt_neox.embed_in.weight") != nullptr) {
    rename_tensors(
        [](const std::string& name) { return name == "lm_head.weight" ? "embed_out.weight" : name; });
  }
}

void Checkpoint::rename_tensors(const std::function<std::string(const std::string&)>& new_name) {
  std::map<std::string, StoredTensor> renamed;
  for (auto& [name, stored] : tensors_) {
    const auto [at, inserted] = renamed.emplace(new_name(name), stored);
    if (!inserted) {
      throw Error("{}: {}: expected one tensor that stands for {}, found {} too",
                  stored.file->path().string(), printable_name(name), printable_name(at->first),
                  printable_name(at->second.stored_name));
    }
  }
  tensors_ = std::move(renamed);
}

std::string Checkpoint::where(const StoredTensor& stored) const {
  return stored.file != nullptr ? stored.file->path().string() : files_.folder.string();
}

const StoredTensor* Checkpoint::find(const std::string& name) const {
  const auto at = tensors_.find(name);
  return at == tensors_.end() ? nullptr : &at->second;
}

void Checkpoint::release(std::span<const std::byte> bytes) const {
  for (const auto& shard : shards_) {
    if (contains(shard->bytes(), bytes)) return shard->release(bytes);
  }
  for (const auto& memory : memory_) {
    if (contains(memory->bytes(), bytes)) return memory->release(bytes);
  }
  GOSSAMER_CHECK(bytes.empty());  // bytes of no tensor of this checkpoint
}

void Checkpoint::prefetch(std::span<const std::byte> bytes) const {
  // Linux cuts each request down to the device's read-ahead, 128 KiB as a rule: many small ones do more than
  // one large one.
  constexpr std::size_t kStep = std::size_t{128} << 10;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto end = reinterpret_cast<std::uintptr_t>(bytes.data() + bytes.size());
  for (auto begin = reinterpret_cast<std::uintptr_t>(bytes.data()) / page * page; begin < end;
       begin += kStep) {
    // A wish: refusal only costs speed.
    ::madvise(reinterpret_cast<void*>(begin), std::min<std::size_t>(kStep, end - begin), MADV_WILLNEED);
  }
}

std::shared_ptr<const MappedFile> Checkpoint::share_file(const StoredTensor& stored) const {
  for (const auto& shard : shards_) {
    if (shard.get() == stored.file) return shard;
  }
  return nullptr;
}

std::size_t Checkpoint::stored_bytes() const {
  std::size_t total = 0;
  for (const auto& [name, stored] : tensors_) {
    if (!stored.tensor.empty()) total += stored.tensor.size_bytes();
  }
  return total;
}

}  // namespace gossamer
