#include "eval/llama_logits.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string_view>
#include <system_error>
#include <utility>

#include "base/check.h"
#include "base/error.h"

namespace gossamer {
namespace {

constexpr std::string_view kMagic = "_logits_";
constexpr std::size_t kHeaderBytes = kMagic.size() + 3 * sizeof(int32_t);
constexpr std::size_t kRowHeaderBytes = 2 * sizeof(float);
// What a row cannot tell apart, and its reader leaves out.
constexpr float kLowest = -16.0F;
constexpr float kLargestCode = 65535.0F;

template <typename T>
T load(std::span<const std::byte> bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

template <typename T>
void store(std::span<std::byte> bytes, std::size_t offset, T value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(T));
}

struct Softmax {
  float largest = 0.0F;
  float log_sum = 0.0F;  // of exp(logit - largest)
  std::size_t top = 0;
};

Softmax softmax(std::span<const float> logits) {
  const auto largest = std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(logit - *largest);
  return {.largest = *largest,
          .log_sum = static_cast<float>(std::log(sum)),
          .top = static_cast<std::size_t>(largest - logits.begin())};
}

}  // namespace

std::size_t LlamaLogitsShape::row_bytes() const {
  const auto codes = static_cast<std::size_t>(vocab_size);
  return kRowHeaderBytes + (codes + codes % 2) * sizeof(uint16_t);
}

std::size_t LlamaLogitsShape::file_bytes() const {
  return kHeaderBytes + num_tokens() * sizeof(int32_t) +
         static_cast<std::size_t>(num_windows) * rows_per_window() * row_bytes();
}

bool LlamaLogits::is_one(std::span<const std::byte> file) {
  return file.size() >= kMagic.size() && std::memcmp(file.data(), kMagic.data(), kMagic.size()) == 0;
}

void LlamaLogits::fail(std::size_t offset, const std::string& expected, const std::string& found) const {
  throw Error("{}: byte {}: expected {}, found {}", where_, offset, expected, found);
}

LlamaLogits::LlamaLogits(std::span<const std::byte> file, std::string where)
    : file_(file), where_(std::move(where)) {
  if (!is_one(file_)) fail(0, "\"_logits_\", as llama-perplexity writes it", "other bytes");
  if (file_.size() < kHeaderBytes)
    fail(file_.size(), fmt::format("a header of {} bytes", kHeaderBytes), "the end of the file");
  // The bounds keep every size below in 64 bits; larger ones belong to no model.
  constexpr int32_t kMost = 1 << 24;
  std::size_t offset = kMagic.size();
  const auto read_count = [&](const char* name, int32_t least) {
    const auto count = load<int32_t>(file_, offset);
    if (count < least || count > kMost)
      fail(offset, fmt::format("{} from {} to {}", name, least, kMost), std::to_string(count));
    offset += sizeof(int32_t);
    return count;
  };
  shape_.window = read_count("a window (n_ctx)", 3);
  shape_.vocab_size = read_count("a vocabulary (n_vocab)", 1);
  shape_.num_windows = read_count("a number of windows (n_chunk)", 1);
  const double expected =
      static_cast<double>(shape_.num_windows) *
      (static_cast<double>(shape_.rows_per_window()) * static_cast<double>(shape_.row_bytes()) +
       static_cast<double>(shape_.window) * sizeof(int32_t));
  if (expected > 1e18 || shape_.file_bytes() != file_.size()) {
    fail(file_.size(),
         fmt::format(
             "{:.0f} bytes in all ({} windows of {} tokens, {} words): a file that llama-perplexity has "
             "finished",
             expected + static_cast<double>(kHeaderBytes), shape_.num_windows, shape_.window,
             shape_.vocab_size),
         fmt::format("{}", file_.size()));
  }
  for (std::size_t i = 0; i < shape_.num_tokens(); ++i, offset += sizeof(int32_t)) {
    const auto id = load<int32_t>(file_, offset);
    if (id < 0 || id >= shape_.vocab_size)
      fail(offset, fmt::format("a token id below {}", shape_.vocab_size), std::to_string(id));
  }
}

std::vector<int32_t> LlamaLogits::tokens(std::size_t window) const {
  GOSSAMER_CHECK_LT(window, static_cast<std::size_t>(shape_.num_windows));
  std::vector<int32_t> ids(static_cast<std::size_t>(shape_.window));
  const std::size_t bytes = ids.size() * sizeof(int32_t);
  std::memcpy(ids.data(), file_.data() + kHeaderBytes + window * bytes, bytes);
  return ids;
}

PredictedToken LlamaLogits::compare(std::size_t window, std::size_t row, std::span<const float> logits,
                                    int32_t id) const {
  GOSSAMER_CHECK_EQ(logits.size(), static_cast<std::size_t>(shape_.vocab_size));
  GOSSAMER_CHECK_LT(row, shape_.rows_per_window());
  GOSSAMER_CHECK(id >= 0 && id < shape_.vocab_size);
  const std::size_t offset = kHeaderBytes + shape_.num_tokens() * sizeof(int32_t) +
                             (window * shape_.rows_per_window() + row) * shape_.row_bytes();
  const auto scale = load<float>(file_, offset);
  const auto lowest = load<float>(file_, offset + sizeof(float));
  constexpr float kRounding = 0.01F;
  if (!(scale >= 0.0F) || !(std::abs(lowest) < std::numeric_limits<float>::max()) ||
      !(scale * kLargestCode + lowest < kRounding)) {
    fail(offset, "log-probabilities: a scale of at least 0, and none above 0",
         fmt::format("scale {}, lowest {}", scale, lowest));
  }
  const auto code = [&](std::size_t token) {
    return load<uint16_t>(file_, offset + kRowHeaderBytes + token * sizeof(uint16_t));
  };
  const Softmax found = softmax(logits);
  const float log_normalizer = found.largest + found.log_sum;
  std::size_t top = 0;
  PredictedToken token;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (code(i) > code(top)) top = i;
    const float log_p = scale * static_cast<float>(code(i)) + lowest;
    if (log_p > kLowest) token.divergence += std::exp(log_p) * (log_p - (logits[i] - log_normalizer));
  }
  const auto next = static_cast<std::size_t>(id);
  token.expected_loss = -(scale * static_cast<float>(code(next)) + lowest);
  token.found_loss = log_normalizer - logits[next];
  token.same_top = top == found.top;
  return token;
}

LlamaLogitsWriter::LlamaLogitsWriter(std::filesystem::path path, const LlamaLogitsShape& shape,
                                     std::span<const int32_t> tokens)
    : path_(std::move(path)), partial_(path_), shape_(shape), row_(shape.row_bytes()) {
  GOSSAMER_CHECK_EQ(tokens.size(), shape.num_tokens());
  partial_ += ".partial";
  file_.open(partial_, std::ios::binary | std::ios::trunc);
  write(std::as_bytes(std::span(kMagic)));
  for (const int32_t count : {shape.window, shape.vocab_size, shape.num_windows})
    write(std::as_bytes(std::span(&count, 1)));
  write(std::as_bytes(tokens));
}

LlamaLogitsWriter::~LlamaLogitsWriter() {
  std::error_code error;
  std::filesystem::remove(partial_, error);
}

void LlamaLogitsWriter::write(std::span<const std::byte> bytes) {
  file_.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!file_) throw Error("{}: cannot write the file: is the disk full?", partial_.string());
}

void LlamaLogitsWriter::append(std::span<const float> logits) {
  GOSSAMER_CHECK_EQ(logits.size(), static_cast<std::size_t>(shape_.vocab_size));
  const Softmax known = softmax(logits);
  const float least = *std::min_element(logits.begin(), logits.end());
  const float lowest = std::max(least, known.largest + kLowest);
  const float scale = (known.largest - lowest) / kLargestCode;
  std::fill(row_.begin(), row_.end(), std::byte{0});
  store(row_, 0, scale);
  store(row_, sizeof(float), lowest - known.largest - known.log_sum);
  const float inverse = scale > 0.0F ? 1.0F / scale : 0.0F;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float code = std::nearbyint(inverse * std::max(0.0F, logits[i] - lowest));
    store(row_, kRowHeaderBytes + i * sizeof(uint16_t), static_cast<uint16_t>(std::min(code, kLargestCode)));
  }
  write(row_);
  ++num_rows_;
}

void LlamaLogitsWriter::finish() {
  GOSSAMER_CHECK_EQ(num_rows_, static_cast<std::size_t>(shape_.num_windows) * shape_.rows_per_window());
  file_.close();
  std::error_code error;
  if (file_) std::filesystem::rename(partial_, path_, error);
  if (!file_ || error) throw Error("{}: cannot write the file", path_.string());
}

}  // namespace gossamer
