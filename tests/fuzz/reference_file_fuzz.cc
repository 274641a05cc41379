// Any bytes as a golden file or a file of llama-perplexity: an Error, or something that can be compared and
// written again. The first byte chooses; for the second it also chooses whether the bytes follow a right
// header.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/error.h"
#include "eval/golden_file.h"
#include "eval/llama_logits.h"

namespace gossamer {
namespace {

void parse_golden(std::string_view text) {
  const Recording recording = parse_golden_file(text, "fuzz.json");
  const std::string written = write_golden_file(recording);
  const Recording again = parse_golden_file(written, "written.json");
  GOSSAMER_CHECK_EQ(again.answers.size(), recording.answers.size());
  const RecordingComparison compared = compare_recordings(recording, again);
  for (const TextComparison& text_comparison : compared.texts) {
    for (const PredictedToken& token : text_comparison.tokens)
      GOSSAMER_CHECK_EQ(token.expected_loss, token.found_loss);
  }
}

void parse_logits(std::span<const std::byte> bytes) {
  const LlamaLogits file(bytes, "fuzz.kld");
  const std::vector<float> logits(static_cast<std::size_t>(file.shape().vocab_size), 1.0F);
  for (int32_t window = 0; window < file.shape().num_windows; ++window) {
    const std::vector<int32_t> ids = file.tokens(static_cast<std::size_t>(window));
    for (std::size_t row = 0; row < file.shape().rows_per_window(); ++row) {
      const PredictedToken token = file.compare(static_cast<std::size_t>(window), row, logits,
                                                ids[file.shape().first_position() + row + 1]);
      GOSSAMER_CHECK(std::isfinite(token.divergence) && std::isfinite(token.expected_loss));
    }
  }
}

}  // namespace
}  // namespace gossamer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    if (data[0] % 3 == 0) gossamer::parse_golden(input);
    if (data[0] % 3 == 1) gossamer::parse_logits(std::as_bytes(std::span(input)));
    if (data[0] % 3 == 2) {
      std::string file = "_logits_";
      const int32_t counts[] = {4 + data[0] / 64, 2 + data[0] / 16 % 4, 1};
      file.append(reinterpret_cast<const char*>(counts), sizeof(counts)).append(input);
      gossamer::parse_logits(std::as_bytes(std::span(file)));
    }
  } catch (const gossamer::Error&) {
  }
  return 0;
}
