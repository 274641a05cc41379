#include "text/bpe.h"

#include <algorithm>
#include <bit>
#include <queue>

#include "base/error.h"

namespace gossamer {
namespace {

// Up to this many bytes, looking for the lowest rank with a loop over an array beats a heap.
constexpr std::size_t kMaxShortPiece = 64;

}  // namespace

void MergeTable::reserve(std::size_t num_merges) { grow(std::bit_ceil(num_merges * 2 + 2)); }

void MergeTable::grow(std::size_t num_slots) {
  if (num_slots <= slots_.size()) return;
  std::vector<Slot> old(num_slots);
  old.swap(slots_);
  mask_ = num_slots - 1;
  for (const Slot& slot : old) {
    if (slot.key == kEmpty) continue;
    std::size_t i = slot_of(slot.key);
    while (slots_[i].key != kEmpty) i = (i + 1) & mask_;
    slots_[i] = slot;
  }
}

void MergeTable::set(int32_t left, int32_t right, Merge merge) {
  if ((num_merges_ + 1) * 2 > slots_.size()) grow(slots_.size() * 2);
  const uint64_t key = make_key(left, right);
  std::size_t i = slot_of(key);
  while (slots_[i].key != kEmpty && slots_[i].key != key) i = (i + 1) & mask_;
  if (slots_[i].key == kEmpty) ++num_merges_;
  slots_[i] = {key, merge};
}

Bpe::Bpe(Vocabulary vocabulary, MergeTable merges, const Options& options)
    : vocabulary_(std::move(vocabulary)),
      merges_(std::move(merges)),
      options_(options),
      whole_(std::make_unique<std::atomic<Whole>[]>(static_cast<std::size_t>(vocabulary_.size()))) {
  for (std::size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    const char c = static_cast<char>(byte);
    byte_ids_[byte] = vocabulary_.find({&c, 1});
  }
  // Where a byte has no token, symbols that are neighbours may not be neighbouring bytes: no table then.
  if (std::find(byte_ids_.begin(), byte_ids_.end(), -1) != byte_ids_.end()) return;
  byte_merges_.reserve(byte_ids_.size() * byte_ids_.size());
  for (const int32_t left : byte_ids_) {
    for (const int32_t right : byte_ids_) byte_merges_.push_back(merges_.find(left, right));
  }
}

void Bpe::encode(std::string_view piece, std::vector<int32_t>& out) const {
  if (piece.empty()) return;
  const int32_t id = vocabulary_.find(piece);
  if (id < 0) {
    piece.size() <= kMaxShortPiece ? merge_short(piece, out) : merge_long(piece, out);
    return;
  }
  std::atomic<Whole>& whole = whole_[static_cast<std::size_t>(id)];
  const Whole known = options_.ignore_merges ? Whole::kYes : whole.load(std::memory_order_relaxed);
  if (known == Whole::kYes) {
    out.push_back(id);
    return;
  }
  const std::size_t size_before = out.size();
  piece.size() <= kMaxShortPiece ? merge_short(piece, out) : merge_long(piece, out);
  if (known == Whole::kUnknown) {
    const bool yes = out.size() == size_before + 1 && out.back() == id;
    whole.store(yes ? Whole::kYes : Whole::kNo, std::memory_order_relaxed);
  }
}

template <typename Push>
void Bpe::for_each_initial_id(std::string_view piece, const Push& push) const {
  bool last_was_unknown = false;
  for (const char c : piece) {
    const int32_t id = byte_ids_[static_cast<unsigned char>(c)];
    if (id >= 0) {
      push(id);
      last_was_unknown = false;
    } else if (options_.unk_id >= 0 && !(options_.fuse_unk && last_was_unknown)) {
      push(options_.unk_id);
      last_was_unknown = true;
    }
  }
}

void Bpe::merge_short(std::string_view piece, std::vector<int32_t>& out) const {
  struct Symbol {
    int32_t id;
    MergeTable::Merge with_next;
  };
  std::array<Symbol, kMaxShortPiece> symbols;
  std::size_t n = 0;
  if (!byte_merges_.empty()) {
    n = piece.size();
    const auto byte = [&](std::size_t i) {
      return static_cast<std::size_t>(static_cast<unsigned char>(piece[i]));
    };
    for (std::size_t i = 0; i < n; ++i) {
      symbols[i].id = byte_ids_[byte(i)];
      symbols[i].with_next = i + 1 < n ? byte_merges_[byte(i) << 8 | byte(i + 1)] : MergeTable::Merge{};
    }
  } else {
    for_each_initial_id(piece, [&](int32_t id) { symbols[n++] = {id, {}}; });
    if (n == 0) return;
    for (std::size_t i = 0; i + 1 < n; ++i) {
      symbols[i].with_next = merges_.find(symbols[i].id, symbols[i + 1].id);
    }
  }
  for (;;) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < n; ++i) {
      if (symbols[i].with_next.rank < symbols[best].with_next.rank) best = i;
    }
    if (symbols[best].with_next.rank == MergeTable::kNoRank) break;
    symbols[best].id = symbols[best].with_next.id;
    std::copy(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 2,
              symbols.begin() + static_cast<std::ptrdiff_t>(n),
              symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
    --n;
    symbols[best].with_next =
        best + 1 < n ? merges_.find(symbols[best].id, symbols[best + 1].id) : MergeTable::Merge{};
    if (best > 0) symbols[best - 1].with_next = merges_.find(symbols[best - 1].id, symbols[best].id);
  }
  for (std::size_t i = 0; i < n; ++i) out.push_back(symbols[i].id);
}

void Bpe::merge_long(std::string_view piece, std::vector<int32_t>& out) const {
  constexpr uint32_t kNone = UINT32_MAX;
  if (piece.size() >= kNone)
    throw Error("a text of {} bytes without a place to split it: 4 GiB is the limit", piece.size());
  struct Symbol {
    int32_t id;
    uint32_t previous;
    uint32_t next;
    MergeTable::Merge with_next;  // rank kNoRank: no pair begins here, or the symbol is merged away
  };
  std::vector<Symbol> symbols;
  symbols.reserve(piece.size());
  for_each_initial_id(piece, [&](int32_t id) {
    const auto i = static_cast<uint32_t>(symbols.size());
    symbols.push_back({id, i == 0 ? kNone : i - 1, i + 1, {}});
  });
  if (symbols.empty()) return;
  symbols.back().next = kNone;

  // A heap entry is rank << 32 | position; it has expired when the pair at that position has another rank by
  // now. (Ranks and pairs belong together one to one.)
  std::vector<uint64_t> entries;
  entries.reserve(symbols.size());
  const auto find_pair = [&](uint32_t i) -> bool {
    Symbol& symbol = symbols[i];
    symbol.with_next =
        symbol.next == kNone ? MergeTable::Merge{} : merges_.find(symbol.id, symbols[symbol.next].id);
    return symbol.with_next.rank != MergeTable::kNoRank;
  };
  const auto entry = [&](uint32_t i) { return static_cast<uint64_t>(symbols[i].with_next.rank) << 32 | i; };
  for (uint32_t i = 0; i < symbols.size(); ++i) {
    if (find_pair(i)) entries.push_back(entry(i));
  }
  std::priority_queue<uint64_t, std::vector<uint64_t>, std::greater<>> heap(std::greater<>(),
                                                                            std::move(entries));
  while (!heap.empty()) {
    const uint64_t top = heap.top();
    heap.pop();
    const auto i = static_cast<uint32_t>(top);
    Symbol& symbol = symbols[i];
    if (symbol.with_next.rank != static_cast<uint32_t>(top >> 32)) continue;
    Symbol& right = symbols[symbol.next];
    symbol.id = symbol.with_next.id;
    symbol.next = right.next;
    right.with_next = {};
    if (symbol.next != kNone) symbols[symbol.next].previous = i;
    if (find_pair(i)) heap.push(entry(i));
    if (symbol.previous != kNone && find_pair(symbol.previous)) heap.push(entry(symbol.previous));
  }
  for (uint32_t i = 0; i != kNone; i = symbols[i].next) out.push_back(symbols[i].id);
}

}  // namespace gossamer
