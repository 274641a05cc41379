#include "checkpoint/synth_checkpoint.h"

#include <algorithm>
#include <cstddef>
#include <map>
#include <utility>

#include "base/repeated_memory.h"
#include "checkpoint/synth_pools.h"

namespace gossamer {

std::unique_ptr<Checkpoint> make_synth_checkpoint(const SynthArchitecture& architecture,
                                                  const std::string& name, uint64_t seed) {
  SynthPools pools(seed);
  std::map<const std::vector<std::byte>*, std::size_t> largest;  // tensor of each pool
  for (const SynthTensor& tensor : architecture.tensors) {
    if (tensor.fill == Fill::kCausalMask) continue;
    std::size_t& size = largest[&pools.get(tensor)];
    size = std::max(size, tensor.spec.size_bytes());
  }
  CheckpointInMemory content{.name = name,
                             .config = architecture.config,
                             .generation_config = architecture.generation_config,
                             .tensors = {},
                             .memory = {}};
  std::map<const std::vector<std::byte>*, const std::byte*> addresses;
  for (const auto& [pool, size] : largest) {
    // A tensor may start anywhere in the first pattern.
    content.memory.push_back(std::make_unique<RepeatedMemory>(*pool, size + kSynthPoolBytes));
    addresses[pool] = content.memory.back()->bytes().data();
  }
  // Places are multiples of 64 bytes: whole numbers, and whole groups of codes.
  constexpr uint64_t kPlaces = kSynthPoolBytes / 64;
  for (std::size_t i = 0; i < architecture.tensors.size(); ++i) {
    const SynthTensor& tensor = architecture.tensors[i];
    if (tensor.fill == Fill::kCausalMask) continue;
    const uint64_t place = synth_mix(synth_mix(seed) ^ synth_mix(i)) % kPlaces * 64;
    content.tensors.emplace(tensor.spec.name, ConstTensor(addresses.at(&pools.get(tensor)) + place,
                                                          tensor.spec.dtype, tensor.spec.shape));
  }
  return Checkpoint::from_memory(std::move(content));
}

}  // namespace gossamer
