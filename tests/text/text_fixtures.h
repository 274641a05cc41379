// Where the tests of text/ find their tokenizers and vectors.
#pragma once

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/utf8.h"

namespace gossamer {

inline std::filesystem::path fixture_path(const std::string& name) {
  return std::filesystem::path(GOSSAMER_SOURCE_DIR) / "tests/text/data" / name;
}

// The real vocabularies and vectors, which are not in the repository.
inline std::filesystem::path shared_path(const std::string& name) {
  return std::filesystem::path(GOSSAMER_SOURCE_DIR) / "../shared/data" / name;
}

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline std::vector<json::value> read_json_lines(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<json::value> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(parse_json(line, path.string()));
  return lines;
}

inline std::vector<int32_t> ids_of(const json::value& list) {
  std::vector<int32_t> ids;
  for (const json::value& id : list.as_array()) ids.push_back(id.to_number<int32_t>());
  return ids;
}

inline std::string string_of(const json::value& value) { return std::string(value.as_string()); }

// A reproducible stream of numbers (SplitMix64): the same on every platform, unlike the distributions of
// <random>.
class TestRandom {
 public:
  explicit TestRandom(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15U);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9U;
    z = (z ^ z >> 27) * 0x94D049BB133111EBU;
    return z ^ z >> 31;
  }
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(next() % bound); }

 private:
  uint64_t state_;
};

}  // namespace gossamer

// At the beginning of a test that needs the real vocabularies.
#define GOSSAMER_SKIP_WITHOUT_SHARED_DATA()                                           \
  if (!std::filesystem::exists(::gossamer::shared_path("tokenizers"))) {              \
    GTEST_SKIP() << "needs the real vocabularies in " << ::gossamer::shared_path(""); \
  }
