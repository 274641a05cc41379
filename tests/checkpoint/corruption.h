// Damaged copies of model folders, seeded: what a bad download, a bad disk or a hostile file look like. The
// test here opens and resolves them; others may run the whole program on the same copies.
#pragma once

#include <algorithm>
#include <array>
#include <filesystem>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "tests/checkpoint/test_folder.h"

namespace gossamer::test {

// Damages bytes in one of several ways. Deterministic in `random`.
class Corruptor {
 public:
  explicit Corruptor(uint64_t seed) : random_(seed) {}

  std::mt19937_64& random() { return random_; }
  // A number in [0, bound).
  std::size_t below(std::size_t bound) { return bound == 0 ? 0 : random_() % bound; }

  // Damages `bytes` within its first `region` bytes and says how.
  std::string corrupt(std::string& bytes, std::size_t region) {
    region = std::min(region, bytes.size());
    const std::size_t place = below(region);
    const std::size_t length = std::min<std::size_t>(1 + below(64), bytes.size() - place);
    switch (below(9)) {
      case 0: {  // one to eight flipped bits
        const std::size_t count = 1 + below(8);
        for (std::size_t i = 0; i < count && region > 0; ++i)
          bytes[below(region)] ^= static_cast<char>(1 << below(8));
        return fmt::format("{} bits flipped", count);
      }
      case 1:
        bytes.resize(place);
        return fmt::format("truncated to {} bytes", place);
      case 2:
        bytes.erase(place, length);
        return fmt::format("{} bytes taken out at {}", length, place);
      case 3:
        bytes.insert(place, bytes.substr(place, length));
        return fmt::format("{} bytes doubled at {}", length, place);
      case 4:
        for (std::size_t i = 0; i < length; ++i) bytes[place + i] = static_cast<char>(random_());
        return fmt::format("{} random bytes at {}", length, place);
      case 5:
        bytes.append(1 + below(5000), '\0');
        return fmt::format("extended to {} bytes", bytes.size());
      case 6:
        bytes.replace(place, length, length, '\0');
        return fmt::format("{} zeros at {}", length, place);
      default:
        return replace_number(bytes, place);
    }
  }

 private:
  // Replaces the next JSON number, so that the file stays readable and its meaning is what is wrong.
  std::string replace_number(std::string& bytes, std::size_t place) {
    static constexpr std::array<std::string_view, 16> kNumbers = {"0",
                                                                  "-1",
                                                                  "1",
                                                                  "2",
                                                                  "3",
                                                                  "63",
                                                                  "0.5",
                                                                  "1e308",
                                                                  "1e9",
                                                                  "9999",
                                                                  "65536",
                                                                  "2147483647",
                                                                  "4294967296",
                                                                  "1048575",
                                                                  "9223372036854775807",
                                                                  "18446744073709551616"};
    constexpr std::string_view kDigits = "0123456789";
    const std::size_t begin = bytes.find_first_of(kDigits, place);
    if (begin == std::string::npos) return "nothing";
    const std::size_t end = std::min(bytes.find_first_not_of("0123456789.eE+-", begin), bytes.size());
    const std::string_view number = kNumbers[below(kNumbers.size())];
    bytes.replace(begin, end - begin, number);
    return fmt::format("{} for the number at {}", number, begin);
  }

  std::mt19937_64 random_;
};

// Makes `target` a copy of the model folder `source` in which one file is damaged: *.safetensors (its header
// more often than its numbers), the index, config.json, generation_config.json or tokenizer.json. Files that
// stay as they are become links. Returns a description for messages.
inline std::string make_damaged_copy(const fs::path& source, const fs::path& target, uint64_t seed) {
  fs::remove_all(target);
  fs::create_directories(target);
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(source)) {
    const std::string name = entry.path().filename().string();
    if (name.ends_with(".safetensors") && name != "expected.safetensors") files.push_back(entry.path());
    for (const char* other :
         {"model.safetensors.index.json", "config.json", "generation_config.json", "tokenizer.json"}) {
      if (name == other) files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  Corruptor corruptor(seed);
  const fs::path victim = files.at(corruptor.below(files.size()));
  std::string description;
  for (const fs::path& file : files) {
    if (file != victim) {
      fs::create_symlink(fs::absolute(file), target / file.filename());
      continue;
    }
    std::string bytes = read_file(file);
    std::size_t region = bytes.size();
    if (file.extension() == ".safetensors" && corruptor.below(4) != 0) {
      uint64_t header = 0;
      std::memcpy(&header, bytes.data(), std::min<std::size_t>(8, bytes.size()));
      region = 8 + header;
    }
    const std::string how = corruptor.corrupt(bytes, region);
    description = fmt::format("{} of {}, seed {}: {}", file.filename().string(), source.string(), seed, how);
    write_file(target / file.filename(), bytes);
  }
  return description;
}

}  // namespace gossamer::test
