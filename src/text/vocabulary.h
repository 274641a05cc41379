// Token ids and their bytes, both ways. Filled while a tokenizer is loaded, read-only afterwards.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gossamer {

class Vocabulary {
 public:
  // Ids from 0 to this are accepted; the tables below grow with the highest id, whatever the number of
  // tokens.
  static constexpr int32_t kMaxId = (1 << 20) - 1;

  enum class AddResult : uint8_t { kAdded, kDuplicateBytes, kDuplicateId };

  // Makes room for this many tokens; a hint.
  void reserve(std::size_t num_tokens);

  // Adds a token that encoding may produce from text. 0 <= id <= kMaxId.
  AddResult add(int32_t id, std::string_view bytes);

  // Adds a token that find() never returns: added tokens, and entries outside the byte alphabet.
  AddResult add_unsearchable(int32_t id, std::string_view bytes);

  // The id of the searchable token with exactly these bytes, or -1.
  int32_t find(std::string_view bytes) const {
    if (slots_.empty()) return -1;
    const uint64_t key = make_key(bytes);
    const auto length = static_cast<uint32_t>(bytes.size());
    for (std::size_t i = slot_of(key, length);; i = (i + 1) & mask_) {
      const Slot& slot = slots_[i];
      if (slot.id < 0) return -1;
      if (slot.key == key && slot.length == length && (length <= 8 || bytes_of(slot.id) == bytes))
        return slot.id;
    }
  }

  // Begins to fetch the memory that find(bytes) will look at first.
  void prefetch(std::string_view bytes) const {
    if (!slots_.empty())
      __builtin_prefetch(&slots_[slot_of(make_key(bytes), static_cast<uint32_t>(bytes.size()))]);
  }

  bool contains(int32_t id) const {
    return id >= 0 && static_cast<std::size_t>(id) < entries_.size() &&
           entries_[static_cast<std::size_t>(id)].used;
  }

  // The bytes of a token that exists. Valid until the next add.
  std::string_view bytes_of(int32_t id) const {
    const Entry& entry = entries_[static_cast<std::size_t>(id)];
    return {blob_.data() + entry.offset, entry.length};
  }

  // One more than the highest id.
  int32_t size() const { return static_cast<int32_t>(entries_.size()); }

 private:
  struct Slot {
    uint64_t key = 0;  // the bytes themselves if there are at most 8, else their hash
    uint32_t length = 0;
    int32_t id = -1;  // -1: empty
  };
  struct Entry {
    std::size_t offset = 0;
    uint32_t length = 0;
    bool used = false;
  };

  static uint64_t make_key(std::string_view bytes);
  std::size_t slot_of(uint64_t key, uint32_t length) const {
    uint64_t h = (key + length) * 0x9E3779B97F4A7C15U;
    h ^= h >> 32;
    h *= 0xD6E8FEB86659FD93U;
    return static_cast<std::size_t>(h >> 32) & mask_;
  }
  void insert_slot(const Slot& slot);
  void grow(std::size_t num_slots);

  std::vector<Slot> slots_;  // open addressing, at most half full
  std::size_t mask_ = 0;
  std::size_t num_searchable_ = 0;
  std::vector<Entry> entries_;  // by id
  std::string blob_;
};

}  // namespace gossamer
