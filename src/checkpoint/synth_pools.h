// Pools of finished random numbers, from which synthetic tensors are cut: written to disk by synth.cc, used
// in place by synth_checkpoint.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "checkpoint/synth_architecture.h"

namespace gossamer {

inline constexpr std::size_t kSynthPoolBytes = std::size_t{1} << 20;  // stays in a core's cache

// Steele, Lea and Flood's SplitMix64, one step: a well mixed number for each counter.
uint64_t synth_mix(uint64_t counter);

// Writes one number as `dtype`: a float type or kU8.
void store_number(DType dtype, float number, std::byte* out);

class SynthPools {
 public:
  explicit SynthPools(uint64_t seed);

  // The finished numbers for tensors of this kind: the same seed gives the same bytes everywhere. Not for
  // masks. The reference stays valid.
  const std::vector<std::byte>& get(const SynthTensor& tensor);  // [kSynthPoolBytes]

 private:
  std::vector<std::byte> make(const SynthTensor& tensor) const;

  uint64_t seed_;
  std::map<std::tuple<Fill, DType, float>, std::vector<std::byte>> pools_;
};

}  // namespace gossamer
