#include "checkpoint/checkpoint_files.h"

#include <algorithm>
#include <set>
#include <system_error>

#include "base/error.h"
#include "base/json.h"
#include "checkpoint/safetensors.h"

namespace gossamer {
namespace {

namespace fs = std::filesystem;

constexpr const char* kConfig = "config.json";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kSingle = "model.safetensors";
constexpr const char* kOriginal = "original";

bool is_there(const fs::path& path) {
  std::error_code ignored;  // not reachable means not there
  return fs::exists(path, ignored);
}

// File names in `folder`, sorted.
std::vector<std::string> list(const fs::path& folder) {
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  if (error) throw Error("{}: cannot list the folder: {}", folder.string(), error.message());
  std::sort(names.begin(), names.end());
  return names;
}

bool has_weights(const fs::path& folder) {
  const std::vector<std::string> names = list(folder);
  return std::any_of(names.begin(), names.end(), [](const std::string& name) {
    return name == kIndex || name.ends_with(kSafetensorsSuffix);
  });
}

// A name of a file in the folder itself, nothing that leads elsewhere.
bool is_plain_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of("/\\") == std::string::npos &&
         name.find('\0') == std::string::npos;
}

void read_index(CheckpointFiles& files) {
  const std::string where = files.index.string();
  const json::value index = read_json_file(files.index);
  const json::value* map = index.is_object() ? index.get_object().if_contains("weight_map") : nullptr;
  if (map == nullptr || !map->is_object() || map->get_object().empty()) {
    throw Error("{}: weight_map: expected an object of tensor names and file names, found none", where);
  }
  std::set<std::string> shards;
  for (const auto& item : map->get_object()) {
    const std::string name(item.key());
    if (!item.value().is_string()) {
      throw Error("{}: {}: expected a file name, found something else", where, printable_name(name));
    }
    const std::string shard(item.value().get_string());
    if (!is_plain_name(shard)) {
      throw Error("{}: {}: expected the name of a file in the same folder, found \"{}\"", where,
                  printable_name(name), printable_name(shard));
    }
    files.weight_map.emplace(name, shard);
    shards.insert(shard);
  }
  for (const std::string& shard : shards) {
    if (!is_there(files.folder / shard)) {
      throw Error("{}: expected the shard {} in the folder, found no such file: the download is not complete",
                  where, printable_name(shard));
    }
    files.shards.push_back(files.folder / shard);
  }
}

// Says what else is there, since people point at folders of other formats.
[[noreturn]] void fail_without_weights(const fs::path& folder, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (name.ends_with(".gguf")) {
      throw Error("{}: expected *.safetensors, found {}: GGUF is another format; use the original checkpoint",
                  folder.string(), printable_name(name));
    }
    if (name.ends_with(".bin") || name.ends_with(".pt") || name.ends_with(".pth")) {
      throw Error(
          "{}: expected *.safetensors, found {}: PyTorch's pickled weights are not read; download the "
          "safetensors files or convert them",
          folder.string(), printable_name(name));
    }
  }
  throw Error("{}: expected {} or *.safetensors, found {} files and none of these", folder.string(), kIndex,
              names.size());
}

}  // namespace

std::optional<fs::path> CheckpointFiles::find(const std::string& name) const {
  if (is_there(folder / name)) return folder / name;
  if (!parent.empty() && is_there(parent / name)) return parent / name;
  return std::nullopt;
}

CheckpointFiles find_checkpoint_files(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    throw Error("{}: expected a model folder with {} and *.safetensors, found {}", folder.string(), kConfig,
                is_there(folder) ? "a file" : "nothing");
  }
  CheckpointFiles files;
  files.folder = folder;
  const fs::path original = folder / kOriginal;
  if ((!has_weights(folder) || !is_there(folder / kConfig)) && fs::is_directory(original, error) &&
      has_weights(original)) {
    files.folder = original;
    files.parent = folder;
  } else {
    const fs::path absolute = fs::weakly_canonical(folder, error);
    if (!error && absolute.filename() == kOriginal) files.parent = absolute.parent_path();
  }

  const std::vector<std::string> names = list(files.folder);
  const auto has = [&](const char* name) { return std::binary_search(names.begin(), names.end(), name); };
  if (has(kPackManifest) || has(kPackedWeights)) {
    for (const char* name : {kPackManifest, kPackedWeights, kConfig}) {
      if (has(name)) continue;
      throw Error(
          "{}: expected {} in a packed folder, found no such file: the copy is not complete; pack the "
          "model again",
          files.folder.string(), name);
    }
    files.shards.push_back(files.folder / kPackedWeights);
    return files;
  }
  if (!has_weights(files.folder)) fail_without_weights(files.folder, names);
  if (!has(kConfig)) throw Error("{}: expected a {}, found none", files.folder.string(), kConfig);

  if (has(kIndex)) {
    files.index = files.folder / kIndex;
    read_index(files);
  } else if (has(kSingle)) {
    files.shards.push_back(files.folder / kSingle);
  } else {
    // Folders also keep adapters and recordings: where some files are called model*, only those are the
    // model.
    const auto is_shard = [](const std::string& name) { return name.ends_with(kSafetensorsSuffix); };
    const auto is_model = [&](const std::string& name) {
      return is_shard(name) && name.starts_with("model");
    };
    const bool any_model = std::any_of(names.begin(), names.end(), is_model);
    for (const std::string& name : names) {
      if (any_model ? is_model(name) : is_shard(name)) files.shards.push_back(files.folder / name);
    }
  }
  return files;
}

}  // namespace gossamer
