#include "apps/model_path.h"

#include <fmt/format.h>

#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "checkpoint/synth_architecture.h"
#include "checkpoint/synth_checkpoint.h"

namespace gossamer::apps {
namespace {

constexpr std::string_view kSynthetic = "synth:";

}  // namespace

std::filesystem::path find_beside_program(const std::filesystem::path& installed,
                                          const std::filesystem::path& in_source) {
  namespace fs = std::filesystem;
  std::error_code unreadable;
  const fs::path program_folder = fs::read_symlink("/proc/self/exe", unreadable).parent_path();
  if (unreadable) {
    throw Error(
        "{} lies beside the program, and /proc/self/exe, which says where that is, cannot be read ({}); "
        "name the path instead",
        installed.string(), unreadable.message());
  }
  std::vector<fs::path> candidates = {(program_folder / "../share/gossamer" / installed).lexically_normal()};
  for (fs::path folder = program_folder;; folder = folder.parent_path()) {
    candidates.push_back(folder / in_source);
    if (folder == folder.parent_path()) break;
  }
  std::string looked;
  for (const fs::path& candidate : candidates) {
    std::error_code error;
    if (fs::exists(candidate, error)) return candidate;
    looked += fmt::format("\n  {}", candidate.string());
  }
  throw Error("{}, which comes with the program, is not there; looked for{}", installed.string(), looked);
}

std::filesystem::path resolve_model_path(const std::string& model) {
  if (model == "demo") return find_beside_program("demo", "models/demo");
  std::error_code error;
  if (!std::filesystem::exists(model, error)) throw Error("{}: no such file or folder", model);
  return model;
}

bool is_synthetic(const std::string& model) { return model.starts_with(kSynthetic); }

std::unique_ptr<Checkpoint> open_checkpoint(const std::string& model) {
  if (!is_synthetic(model)) return Checkpoint::open(resolve_model_path(model));
  return make_synth_checkpoint(
      describe_synth_architecture(std::string_view(model).substr(kSynthetic.size()), std::nullopt), model);
}

}  // namespace gossamer::apps
