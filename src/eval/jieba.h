// Chinese words as the Python package jieba 0.42.1 cuts them (cut_all=False), with the user's copy of its
// files, which are not ours to ship: dict.txt, and finalseg/prob_*.py, the model that finds words that the
// dictionary does not have. Called by the scores of LongBench's Chinese tasks.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace gossamer {

class Jieba {
 public:
  // `path`: the package's folder, or a dict.txt, beside which finalseg/ is looked for. Throws Error naming
  // file and line of what cannot be read.
  explicit Jieba(const std::filesystem::path& path);

  // False: there was no finalseg/. Runs of characters that are no words then stay single characters (as with
  // HMM=False, but runs of Latin letters and digits stay together), and scores differ from the original's.
  bool knows_new_words() const { return has_model_; }
  std::size_t num_words() const { return num_words_; }

  // list(jieba.cut(text))
  std::vector<std::u32string> cut(std::u32string_view text) const;

 private:
  using Words = std::vector<std::u32string>;
  static constexpr std::size_t kNumStates = 4;  // B, E, M, S: begins, ends, is within a word; is a word
  static constexpr uint32_t kNoNode = 0;

  void read_dictionary(const std::filesystem::path& path);
  void read_model(const std::filesystem::path& folder);
  uint32_t child(uint32_t node, char32_t c) const;
  int64_t frequency(std::u32string_view word) const;
  void cut_run(std::u32string_view run, Words& words) const;
  void cut_unknown(std::u32string_view buffer, Words& words) const;
  void cut_new_words(std::u32string_view text, Words& words) const;
  void cut_by_model(std::u32string_view text, Words& words) const;

  // The dictionary as a tree: an edge leads from a node and a character to a node. Node 0 is the root.
  std::unordered_map<uint64_t, uint32_t> edges_;
  std::vector<int64_t> frequencies_ = {0};  // of the word that ends at a node; 0: a beginning only
  int64_t total_ = 0;
  std::size_t num_words_ = 0;

  bool has_model_ = false;
  std::array<double, kNumStates> start_{};
  std::array<std::array<double, kNumStates>, kNumStates> transition_{};  // [from][to]
  std::array<std::unordered_map<char32_t, double>, kNumStates> emission_;
};

}  // namespace gossamer
