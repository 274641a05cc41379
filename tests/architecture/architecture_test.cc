// Holds the shape of docs/architecture.md: which room may include which, and how long a file may get.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace gossamer {
namespace {

namespace fs = std::filesystem;

const fs::path kRoot = GOSSAMER_SOURCE_DIR;

// What a room may include besides itself. A concrete backend is a room of its own.
const std::map<std::string, std::set<std::string>> kArrows = {
    {"base", {}},
    {"tensor", {"base"}},
    {"backend", {"tensor", "base"}},
    {"backend/reference", {"backend", "tensor", "base"}},
    {"backend/cpu", {"backend", "tensor", "base"}},
    {"checkpoint", {"tensor", "base"}},
    {"text", {"base"}},
    {"grammar", {"text", "base"}},
    {"eval", {"text", "base"}},
    {"model", {"checkpoint", "backend", "tensor", "base"}},
    {"engine", {"model", "checkpoint", "backend", "tensor", "base"}},
    {"http", {"base"}},
    {"server", {"engine", "grammar", "text", "http", "base"}},
    {"apps",
     {"server", "http", "engine", "model", "checkpoint", "grammar", "eval", "text", "backend", "tensor",
      "base"}},
};

// The only file below apps/ that may name concrete backends.
constexpr const char* kBackendRegistry = "src/backend/registry.cc";

struct SourceFile {
  fs::path path;  // relative to the root
  std::vector<std::string> lines;
};

std::vector<SourceFile> read_sources(const std::vector<std::string>& folders) {
  const std::set<std::string> extensions = {".h", ".cc", ".inl", ".cu", ".cuh"};
  std::vector<SourceFile> files;
  for (const std::string& folder : folders) {
    if (!fs::exists(kRoot / folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(kRoot / folder)) {
      if (!entry.is_regular_file() || !extensions.contains(entry.path().extension().string())) continue;
      SourceFile file{.path = fs::relative(entry.path(), kRoot), .lines = {}};
      std::ifstream stream(entry.path());
      for (std::string line; std::getline(stream, line);) file.lines.push_back(line);
      files.push_back(std::move(file));
    }
  }
  return files;
}

// "src/backend/cpu/pack.cc" is in room "backend/cpu"; "backend/backend.h", as included, in "backend".
std::string room_of(const fs::path& path) {
  std::vector<std::string> parts;
  for (const fs::path& part : path.parent_path()) {
    if (part != "src") parts.push_back(part.string());
  }
  if (parts.empty()) return {};
  if (parts[0] == "backend" && parts.size() > 1) return parts[0] + "/" + parts[1];
  return parts[0];
}

// The complaint about one include, or nothing. `including` is relative to the root, `included` as in the
// source.
std::string complaint(const fs::path& including, const std::string& included) {
  const std::string from = room_of(including);
  const std::string to = room_of(included);
  if (!kArrows.contains(to) || from == to) return {};  // not a room of ours, or the room itself
  if (including == kBackendRegistry && to.rfind("backend/", 0) == 0) return {};
  const auto arrows = kArrows.find(from);
  if (arrows == kArrows.end())
    return including.string() + ": room \"" + from + "\" is not in the architecture";
  if (arrows->second.contains(to)) return {};
  return including.string() + " includes " + included + ": " + from + " may not look into " + to;
}

TEST(Architecture, ArrowsPointDownOnly) {
  const std::regex include("^\\s*#\\s*include\\s*\"([^\"]+)\".*");
  std::size_t includes = 0;
  for (const SourceFile& file : read_sources({"src", "apps"})) {
    for (const std::string& line : file.lines) {
      std::smatch match;
      if (!std::regex_match(line, match, include)) continue;
      ++includes;
      EXPECT_EQ(complaint(file.path, match[1]), "");
    }
  }
  EXPECT_GT(includes, 100U);
}

TEST(Architecture, CatchesAnArrowThatPointsUp) {
  EXPECT_NE(complaint("src/model/gpt2.cc", "backend/cpu/cpu_backend.h"), "");
  EXPECT_NE(complaint("src/engine/engine.cc", "text/tokenizer.h"), "");
  EXPECT_NE(complaint("src/text/harmony.cc", "server/openai_request.h"), "");
  EXPECT_NE(complaint("src/backend/cpu/pack.cc", "backend/reference/reference_backend.h"), "");
  EXPECT_NE(complaint("src/base/json.cc", "tensor/tensor.h"), "");
  EXPECT_NE(complaint("src/grammar/matcher.cc", "engine/token_constraint.h"), "");
  EXPECT_NE(complaint("src/eval/rouge.cc", "engine/request.h"), "");
  EXPECT_EQ(complaint("src/model/gpt2.cc", "backend/backend.h"), "");
}

TEST(Architecture, FilesStayShort) {
  constexpr std::size_t kSourceLimit = 600;
  constexpr std::size_t kHeaderLimit = 300;
  for (const SourceFile& file : read_sources({"src", "apps", "bench", "tests"})) {
    const bool header = file.path.extension() != ".cc" && file.path.extension() != ".cu";
    EXPECT_LE(file.lines.size(), header ? kHeaderLimit : kSourceLimit) << file.path;
  }
}

// An inline function compiled in an AVX-512 file can replace the baseline's copy at link time and crash older
// processors, so the instruction-set files include nothing that defines one.
// Two types of one name in one namespace break no link and every program: which one a constructor makes is
// chance.
TEST(Architecture, EveryTypeOfAHeaderHasANameOfItsOwn) {
  const std::regex begins_namespace("^namespace (gossamer[a-z_:]*) \\{.*");
  const std::regex defines("^(?:struct|class|enum class) (\\w+)(?: final)?(?: :[^:].*)? \\{.*");
  std::map<std::string, std::string> found;  // name with its namespace, file
  for (const SourceFile& file : read_sources({"src", "apps"})) {
    if (file.path.extension() != ".h") continue;
    std::string space;
    std::smatch match;
    for (const std::string& line : file.lines) {
      if (std::regex_match(line, match, begins_namespace)) space = match[1];
      if (space.empty() || !std::regex_match(line, match, defines)) continue;
      const auto [other, is_new] = found.emplace(space + "::" + match[1].str(), file.path.string());
      EXPECT_TRUE(is_new) << other->first << " is defined in " << other->second << " and in " << file.path;
    }
  }
  EXPECT_GT(found.size(), 300U);
}

TEST(Architecture, InstructionSetFilesIncludeOnlyIntrinsicsIntegersAndInl) {
  const std::regex include("^\\s*#\\s*include\\s*[<\"]([^>\"]+)[>\"].*");
  const std::regex allowed(
      "[ei]mmintrin\\.h|arm_neon\\.h|cstdint|cstddef|stdint\\.h|stddef\\.h|backend/cpu/"
      "kernel_table\\.h|bench/peak/loops\\.h|.*\\.inl");
  std::size_t files = 0;
  for (const SourceFile& file : read_sources({"src/backend/cpu", "bench/peak"})) {
    const std::string name = file.path.filename().string();
    if (name.rfind("kernels_", 0) != 0 && name.rfind("loops", 0) != 0 && file.path.extension() != ".inl" &&
        name != "kernel_table.h")
      continue;
    ++files;
    for (const std::string& line : file.lines) {
      std::smatch match;
      if (!std::regex_match(line, match, include)) continue;
      EXPECT_TRUE(std::regex_match(match[1].str(), allowed)) << file.path << " includes " << match[1];
    }
  }
  EXPECT_GE(files, 4U);
}

}  // namespace
}  // namespace gossamer
