#include "apps/model_path.h"

#include <fmt/format.h>

#include <vector>

#include "base/error.h"

namespace gossamer::apps {

std::filesystem::path resolve_model_path(const std::string& model) {
  namespace fs = std::filesystem;
  if (model != "demo") {
    std::error_code error;
    if (!fs::exists(model, error)) throw Error("{}: no such file or folder", model);
    return model;
  }
  const fs::path program_folder = fs::read_symlink("/proc/self/exe").parent_path();
  std::vector<fs::path> candidates = {(program_folder / "../share/gossamer/demo").lexically_normal()};
  for (fs::path folder = program_folder;; folder = folder.parent_path()) {
    candidates.push_back(folder / "models" / "demo");
    if (folder == folder.parent_path()) break;
  }
  std::string looked;
  for (const fs::path& candidate : candidates) {
    std::error_code error;
    if (fs::is_directory(candidate, error)) return candidate;
    looked += fmt::format("\n  {}", candidate.string());
  }
  throw Error("the demo model is not there; looked for{}", looked);
}

}  // namespace gossamer::apps
