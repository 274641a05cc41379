// Byte-pair encoding of one pre-tokenised piece: merges the neighbouring pair of lowest rank, the leftmost of
// equals, until no pair has a rank. Semantics of the HF tokenizers' BPE model, whose merges are pairs of ids:
// a token is only reached through the merges that the file lists. (For gpt-oss the rank of the concatenation
// would give the same ids; keeping the pairs costs 16 MB and makes every file right without having to prove
// that its merges are complete.)
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace gossamer {

// (left id, right id) -> (rank, merged id). Open addressing.
class MergeTable {
 public:
  static constexpr uint32_t kNoRank = UINT32_MAX;
  struct Merge {
    uint32_t rank = kNoRank;
    int32_t id = -1;
  };

  void reserve(std::size_t num_merges);

  // Of a pair that is listed twice the later rank holds, as in the HF tokenizers.
  void set(int32_t left, int32_t right, Merge merge);

  // Begins to fetch the memory that set() or find() of this pair will look at first.
  void prefetch(int32_t left, int32_t right) const {
    __builtin_prefetch(&slots_[slot_of(make_key(left, right))]);
  }

  Merge find(int32_t left, int32_t right) const {
    const uint64_t key = make_key(left, right);
    for (std::size_t i = slot_of(key);; i = (i + 1) & mask_) {
      const Slot& slot = slots_[i];
      if (slot.key == key) return slot.merge;
      if (slot.key == kEmpty) return {};
    }
  }

 private:
  static constexpr uint64_t kEmpty = UINT64_MAX;
  struct Slot {
    uint64_t key = kEmpty;
    Merge merge;
  };

  static uint64_t make_key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  std::size_t slot_of(uint64_t key) const {
    uint64_t h = key * 0x9E3779B97F4A7C15U;
    h ^= h >> 32;
    h *= 0xD6E8FEB86659FD93U;
    return static_cast<std::size_t>(h >> 32) & mask_;
  }
  void grow(std::size_t num_slots);

  std::vector<Slot> slots_ = std::vector<Slot>(2);
  std::size_t mask_ = 1;
  std::size_t num_merges_ = 0;
};

class Bpe {
 public:
  struct Options {
    bool ignore_merges = false;  // a piece that is a token is that token, whatever the merges say
    int32_t unk_id = -1;         // for bytes that have no token; -1: such bytes are dropped
    bool fuse_unk = false;       // neighbouring unknown bytes give one unk_id
  };

  Bpe(Vocabulary vocabulary, MergeTable merges, const Options& options);

  const Vocabulary& vocabulary() const { return vocabulary_; }

  // Appends the ids of `piece`. O(n log n) in its length. Safe to call from several threads.
  void encode(std::string_view piece, std::vector<int32_t>& out) const;

 private:
  enum class Whole : uint8_t { kUnknown, kYes, kNo };

  template <typename Push>
  void for_each_initial_id(std::string_view piece, const Push& push) const;
  void merge_short(std::string_view piece, std::vector<int32_t>& out) const;
  void merge_long(std::string_view piece, std::vector<int32_t>& out) const;

  Vocabulary vocabulary_;
  MergeTable merges_;
  Options options_;
  std::array<int32_t, 256> byte_ids_;  // -1: this byte has no token
  // The merges of two bytes, [256, 256]. Every piece begins with them; a table of 512 KB of which a text uses
  // a few lines is much nearer than the large hash table.
  std::vector<MergeTable::Merge> byte_merges_;
  // By id: whether the bytes of the token encode to the token alone. Found out on first use; without
  // ignore_merges it spares most pieces of ordinary text the merging. Relaxed atomics: every thread would
  // write the same value.
  std::unique_ptr<std::atomic<Whole>[]> whole_;
};

}  // namespace gossamer
