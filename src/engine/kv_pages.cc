#include "engine/kv_pages.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace gossamer {
namespace {

int64_t pages_of(int64_t num_tokens) { return (num_tokens + kPageTokens - 1) / kPageTokens; }

}  // namespace

KvPages::KvPages(std::vector<KvKind> kinds, int64_t chunk_tokens)
    : kinds_(std::move(kinds)),
      chunk_tokens_(chunk_tokens),
      free_(kinds_.size()),
      promised_(kinds_.size(), 0) {
  for (std::size_t kind = 0; kind < kinds_.size(); ++kind) {
    for (int64_t page = kinds_[kind].num_pages - 1; page >= 0; --page) {
      free_[kind].push_back(static_cast<int32_t>(page));
    }
  }
}

int64_t KvPages::pages_needed(const KvKind& kind, int64_t num_tokens, int64_t chunk_tokens) {
  if (kind.window == 0) return pages_of(num_tokens);
  // A step's tokens and the window before the first of them, both ends anywhere within a page.
  return std::min(pages_of(num_tokens), pages_of(kind.window - 1 + chunk_tokens) + 1);
}

bool KvPages::admit(int64_t num_tokens, SequencePages& sequence) {
  std::vector<int64_t> needed;
  for (std::size_t kind = 0; kind < kinds_.size(); ++kind) {
    needed.push_back(pages_needed(kinds_[kind], num_tokens, chunk_tokens_));
    if (promised_[kind] + needed[kind] > kinds_[kind].num_pages) return false;
  }
  for (std::size_t kind = 0; kind < kinds_.size(); ++kind) promised_[kind] += needed[kind];
  sequence.by_kind.assign(kinds_.size(), {});
  sequence.promised = std::move(needed);
  return true;
}

void KvPages::extend(SequencePages& sequence, int64_t begin, int64_t end) {
  for (std::size_t kind = 0; kind < kinds_.size(); ++kind) {
    std::vector<int32_t>& pages = sequence.by_kind[kind];
    pages.resize(
        static_cast<std::size_t>(std::max<int64_t>(static_cast<int64_t>(pages.size()), pages_of(end))), -1);
    for (int64_t index = begin / kPageTokens; index < pages_of(end); ++index) {
      int32_t& page = pages[static_cast<std::size_t>(index)];
      if (page >= 0) continue;
      GOSSAMER_CHECK(!free_[kind].empty());
      page = free_[kind].back();
      free_[kind].pop_back();
    }
    const auto held = std::count_if(pages.begin(), pages.end(), [](int32_t page) { return page >= 0; });
    GOSSAMER_CHECK_LE(held, sequence.promised[kind]);
  }
}

void KvPages::slide(SequencePages& sequence, int64_t position) {
  for (std::size_t kind = 0; kind < kinds_.size(); ++kind) {
    if (kinds_[kind].window == 0) continue;
    const int64_t first_seen = std::max<int64_t>(0, position - kinds_[kind].window + 1);
    std::vector<int32_t>& pages = sequence.by_kind[kind];
    const int64_t passed = std::min<int64_t>(first_seen / kPageTokens, static_cast<int64_t>(pages.size()));
    for (int64_t index = passed - 1; index >= 0 && pages[static_cast<std::size_t>(index)] >= 0; --index) {
      free_[kind].push_back(std::exchange(pages[static_cast<std::size_t>(index)], -1));
    }
  }
}

void KvPages::release(SequencePages& sequence) {
  for (std::size_t kind = 0; kind < sequence.by_kind.size(); ++kind) {
    for (const int32_t page : sequence.by_kind[kind]) {
      if (page >= 0) free_[kind].push_back(page);
    }
    promised_[kind] -= sequence.promised[kind];
  }
  sequence = {};
}

void KvPages::check_integrity(const std::vector<const SequencePages*>& sequences) const {
  for (std::size_t kind = 0; kind < kinds_.size(); ++kind) {
    std::vector<int> owners(static_cast<std::size_t>(kinds_[kind].num_pages), 0);
    for (const int32_t page : free_[kind]) ++owners[static_cast<std::size_t>(page)];
    int64_t promised = 0;
    for (const SequencePages* sequence : sequences) {
      if (sequence->by_kind.empty()) continue;
      promised += sequence->promised[kind];
      for (const int32_t page : sequence->by_kind[kind]) {
        if (page >= 0) ++owners[static_cast<std::size_t>(page)];
      }
    }
    GOSSAMER_CHECK_EQ(promised, promised_[kind]);
    for (const int count : owners) GOSSAMER_CHECK_EQ(count, 1);
  }
}

}  // namespace gossamer
