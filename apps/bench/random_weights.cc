#include "apps/bench/random_weights.h"

#include "base/check.h"

namespace gossamer::apps {
namespace {

// Addresses, not memory.
constexpr std::size_t kMostBytes = std::size_t{2} << 30;

}  // namespace

ConstTensor RandomWeights::view(Fill fill, DType dtype, const Shape& shape, uint64_t index) {
  const SynthTensor kind{.spec = {.name = {}, .dtype = dtype, .shape = shape}, .fill = fill};
  const std::vector<std::byte>& pool = pools_.get(kind);
  std::unique_ptr<RepeatedMemory>& memory = memory_[&pool];
  if (!memory) memory = std::make_unique<RepeatedMemory>(pool, kMostBytes);
  GOSSAMER_CHECK_LE(kind.spec.size_bytes() + kSynthPoolBytes, kMostBytes);
  // Multiples of 64 bytes: whole numbers, and whole groups of codes.
  const uint64_t place = synth_mix(index) % (kSynthPoolBytes / 64) * 64;
  return {memory->bytes().data() + place, dtype, shape};
}

WeightSource RandomWeights::source(Format format, int64_t num_experts, int64_t rows, int64_t cols,
                                   uint64_t index) {
  WeightPart part{.rows = rows, .codes = {}, .scales = {}};
  if (format == Format::kMxfp4) {
    part.codes = view(Fill::kMxfp4Codes, DType::kU8, {num_experts, rows, cols / 32, 16}, index);
    part.scales = view(Fill::kMxfp4Scales, DType::kU8, {num_experts, rows, cols / 32}, index);
  } else {
    part.codes = view(Fill::kNormal, stored_dtype(format), {num_experts, rows, cols}, index);
  }
  return {.name = "random",
          .format = format,
          .num_experts = num_experts,
          .rows = rows,
          .cols = cols,
          .row_order = {},
          .parts = {part},
          .release = {}};
}

}  // namespace gossamer::apps
