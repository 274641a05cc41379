// The files of `llama-perplexity --kl-divergence-base` ("_logits_"): a text cut into windows and, for the
// second half of each, what a model thought of the next token: every log-probability, in 16 bits. Called by
// `gossamer verify precision` (reads) and `gossamer verify record --logits-file` (writes).
//
//   "_logits_", int32 window, int32 vocab_size, int32 num_windows, int32 tokens[num_windows][window];
//   then for each window and each of its positions from window / 2 to window - 2 a row: float32 scale,
//   float32 lowest, uint16 codes[vocab_size, one more where that is odd]: log p = scale * code + lowest
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "eval/precision.h"

namespace gossamer {

struct LlamaLogitsShape {
  int32_t window = 0;
  int32_t vocab_size = 0;
  int32_t num_windows = 0;

  // The rows of a window; the first belongs to position window / 2 and is about the token behind it.
  std::size_t rows_per_window() const { return static_cast<std::size_t>(window - 1 - window / 2); }
  std::size_t first_position() const { return static_cast<std::size_t>(window / 2); }
  std::size_t num_tokens() const {
    return static_cast<std::size_t>(num_windows) * static_cast<std::size_t>(window);
  }
  std::size_t row_bytes() const;
  std::size_t file_bytes() const;
};

class LlamaLogits {
 public:
  // `file` outlives this; `where` names it. Throws Error naming it and the byte.
  LlamaLogits(std::span<const std::byte> file, std::string where);

  // Whether a file begins like one.
  static bool is_one(std::span<const std::byte> file);

  const LlamaLogitsShape& shape() const { return shape_; }
  std::vector<int32_t> tokens(std::size_t window) const;

  // Row `row` of a window against a model's logits [vocab_size] at the same position, where `id` comes next,
  // as llama-perplexity compares them: what the file finds less likely than exp(-16) counts nothing. Throws
  // Error where the row holds no log-probabilities.
  PredictedToken compare(std::size_t window, std::size_t row, std::span<const float> logits,
                         int32_t id) const;

 private:
  [[noreturn]] void fail(std::size_t offset, const std::string& expected, const std::string& found) const;

  std::span<const std::byte> file_;
  std::string where_;
  LlamaLogitsShape shape_;
};

// The file appears under its name when finish() has returned; until then it is PATH.partial, which the
// destructor removes.
class LlamaLogitsWriter {
 public:
  // tokens [num_windows * window]. Throws Error naming the file.
  LlamaLogitsWriter(std::filesystem::path path, const LlamaLogitsShape& shape,
                    std::span<const int32_t> tokens);
  ~LlamaLogitsWriter();
  LlamaLogitsWriter(const LlamaLogitsWriter&) = delete;
  LlamaLogitsWriter& operator=(const LlamaLogitsWriter&) = delete;

  // The next row, of logits [vocab_size].
  void append(std::span<const float> logits);
  // After the last row.
  void finish();

 private:
  void write(std::span<const std::byte> bytes);

  std::filesystem::path path_;
  std::filesystem::path partial_;
  LlamaLogitsShape shape_;
  std::ofstream file_;
  std::size_t num_rows_ = 0;
  std::vector<std::byte> row_;
};

}  // namespace gossamer
