#include "text/vocabulary.h"

#include <bit>
#include <cstring>

#include "base/check.h"

namespace gossamer {
namespace {

uint64_t load_u64(const char* p) {
  uint64_t value = 0;
  std::memcpy(&value, p, sizeof(value));
  return value;
}

uint64_t load_u32(const char* p) {
  uint32_t value = 0;
  std::memcpy(&value, p, sizeof(value));
  return value;
}

}  // namespace

// Up to 8 bytes: the bytes, in an order that depends on the length alone (overlapping loads are cheaper than
// a loop). More: a multiplicative hash; find() compares the bytes then.
uint64_t Vocabulary::make_key(std::string_view bytes) {
  const char* p = bytes.data();
  const std::size_t n = bytes.size();
  if (n > 8) {
    uint64_t h = n;
    for (std::size_t i = 0; i + 8 <= n; i += 8) {
      h = (std::rotl(h, 23) ^ load_u64(p + i)) * 0x9E3779B97F4A7C15U;
    }
    h = (std::rotl(h, 23) ^ load_u64(p + n - 8)) * 0x9E3779B97F4A7C15U;
    return h ^ h >> 29;
  }
  if (n == 8) return load_u64(p);
  if (n >= 4) return load_u32(p) | load_u32(p + n - 4) << 32;
  if (n == 0) return 0;
  const auto byte = [&](std::size_t i) { return static_cast<uint64_t>(static_cast<unsigned char>(p[i])); };
  return byte(0) | byte(n / 2) << 8 | byte(n - 1) << 16;
}

void Vocabulary::reserve(std::size_t num_tokens) {
  grow(std::bit_ceil(num_tokens * 2 + 2));
  entries_.reserve(num_tokens);
  blob_.reserve(num_tokens * 8);
}

void Vocabulary::insert_slot(const Slot& slot) {
  std::size_t i = slot_of(slot.key, slot.length);
  while (slots_[i].id >= 0) i = (i + 1) & mask_;
  slots_[i] = slot;
}

void Vocabulary::grow(std::size_t num_slots) {
  if (num_slots <= slots_.size()) return;
  std::vector<Slot> old(num_slots);
  old.swap(slots_);
  mask_ = num_slots - 1;
  for (const Slot& slot : old) {
    if (slot.id >= 0) insert_slot(slot);
  }
}

Vocabulary::AddResult Vocabulary::add(int32_t id, std::string_view bytes) {
  if (find(bytes) >= 0) return AddResult::kDuplicateBytes;
  const AddResult result = add_unsearchable(id, bytes);
  if (result != AddResult::kAdded) return result;
  if ((num_searchable_ + 1) * 2 > slots_.size()) grow(slots_.empty() ? 16 : slots_.size() * 2);
  insert_slot({make_key(bytes), static_cast<uint32_t>(bytes.size()), id});
  ++num_searchable_;
  return AddResult::kAdded;
}

Vocabulary::AddResult Vocabulary::add_unsearchable(int32_t id, std::string_view bytes) {
  GOSSAMER_CHECK_GE(id, 0);
  GOSSAMER_CHECK_LE(id, kMaxId);
  if (contains(id)) return AddResult::kDuplicateId;
  const auto index = static_cast<std::size_t>(id);
  if (index >= entries_.size()) entries_.resize(index + 1);
  entries_[index] = {blob_.size(), static_cast<uint32_t>(bytes.size()), true};
  blob_.append(bytes);
  return AddResult::kAdded;
}

}  // namespace gossamer
