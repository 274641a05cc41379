#include "checkpoint/synth_pools.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "base/half.h"
#include "tensor/formats/mxfp4.h"

namespace gossamer {
namespace {

// The sum of 12 uniform numbers less 6: normal enough, within [-6, 6], and the same on every machine, which
// library logarithms and cosines are not.
float normal_number(uint64_t counter) {
  int64_t sum = 0;
  for (uint64_t i = 0; i < 3; ++i) {
    const uint64_t bits = synth_mix(3 * counter + i);
    for (int part = 0; part < 4; ++part) sum += static_cast<int64_t>(bits >> (16 * part) & 0xffffU);
  }
  return static_cast<float>(static_cast<double>(sum - 6 * 65535) / 65535.0);
}

// The MXFP4 code nearest to a number.
uint8_t nearest_code(float number) {
  const auto nearer = [&](float a, float b) { return std::abs(a - number) < std::abs(b - number); };
  const auto best = std::min_element(mxfp4::kValues.begin(), mxfp4::kValues.end(), nearer);
  return static_cast<uint8_t>(best - mxfp4::kValues.begin());
}

}  // namespace

uint64_t synth_mix(uint64_t counter) {
  uint64_t z = counter + 0x9e3779b97f4a7c15U;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return z ^ (z >> 31);
}

void store_number(DType dtype, float number, std::byte* out) {
  switch (dtype) {
    case DType::kF32:
      std::memcpy(out, &number, 4);
      return;
    case DType::kBf16: {
      const uint16_t bits = float_to_bf16(number);
      std::memcpy(out, &bits, 2);
      return;
    }
    case DType::kF16: {
      const uint16_t bits = float_to_f16(number);
      std::memcpy(out, &bits, 2);
      return;
    }
    case DType::kU8:
      *out = static_cast<std::byte>(number);
      return;
    default:
      GOSSAMER_CHECK(false);
  }
}

SynthPools::SynthPools(uint64_t seed) : seed_(synth_mix(seed)) {}

const std::vector<std::byte>& SynthPools::get(const SynthTensor& tensor) {
  GOSSAMER_CHECK(tensor.fill != Fill::kCausalMask);
  const auto key = std::tuple(tensor.fill, tensor.spec.dtype, tensor.deviation);
  std::vector<std::byte>& pool = pools_[key];
  if (pool.empty()) pool = make(tensor);
  return pool;
}

std::vector<std::byte> SynthPools::make(const SynthTensor& tensor) const {
  std::vector<std::byte> pool(kSynthPoolBytes);
  const auto normal = [this](uint64_t index) { return normal_number(seed_ + index); };
  if (tensor.fill == Fill::kMxfp4Codes) {
    // Codes reach 6: a deviation of 2.2 fills the range as a quantizer does.
    constexpr float kCodeDeviation = 2.2F;
    for (std::size_t i = 0; i < pool.size(); ++i) {
      const uint8_t low = nearest_code(kCodeDeviation * normal(2 * i));
      const uint8_t high = nearest_code(kCodeDeviation * normal(2 * i + 1));
      pool[i] = static_cast<std::byte>(low | high << 4);
    }
  } else if (tensor.fill == Fill::kMxfp4Scales) {
    // 2^-8, 2^-7 (half of them) and 2^-6: with the codes above, a deviation of 0.021.
    constexpr std::array<uint8_t, 4> kExponents = {119, 120, 120, 121};
    for (std::size_t i = 0; i < pool.size(); ++i) {
      pool[i] = static_cast<std::byte>(kExponents[synth_mix(seed_ + i) >> 62]);
    }
  } else {
    const std::size_t width = dtype_size(tensor.spec.dtype);
    const float mean = tensor.fill == Fill::kGain ? 1.0F : 0.0F;
    for (std::size_t i = 0; i < pool.size() / width; ++i) {
      store_number(tensor.spec.dtype, mean + tensor.deviation * normal(i), pool.data() + i * width);
    }
  }
  return pool;
}

}  // namespace gossamer
