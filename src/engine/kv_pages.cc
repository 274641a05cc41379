#include "engine/kv_pages.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace gossamer {
namespace {

int64_t pages_of(int64_t num_tokens) { return (num_tokens + kPageTokens - 1) / kPageTokens; }

std::span<const int32_t> tokens_of_page(std::span<const int32_t> tokens, int64_t page) {
  return tokens.subspan(static_cast<std::size_t>(page * kPageTokens), kPageTokens);
}

// Of the pages that a window leaves behind, those before every so many tokens are kept longer: a prompt that
// branches off anywhere then finds most of itself, for a fraction of the pages.
constexpr int64_t kCheckpointPages = 512 / kPageTokens;

}  // namespace

KvPages::KvPages(std::vector<KvKind> kinds, bool keep_prefixes)
    : kinds_(std::move(kinds)),
      keep_prefixes_(keep_prefixes),
      tree_(kinds_.size()),
      of_kinds_(kinds_.size()) {
  for (std::size_t kind = 0; kind < kinds_.size(); ++kind) {
    OfKind& of_kind = of_kinds_[kind];
    of_kind.pages.resize(static_cast<std::size_t>(kinds_[kind].num_pages));
    for (int64_t page = kinds_[kind].num_pages - 1; page >= 0; --page) {
      page_of(kind, static_cast<int32_t>(page)).next = of_kind.free;
      of_kind.free = static_cast<int32_t>(page);
    }
    of_kind.num_free = kinds_[kind].num_pages;
  }
}

int64_t KvPages::pages_needed(const KvKind& kind, int64_t num_tokens, int64_t chunk_tokens) {
  if (kind.window == 0) return pages_of(num_tokens);
  // A step's tokens and the window before the first of them, both ends anywhere within a page.
  return std::min(pages_of(num_tokens), pages_of(kind.window - 1 + chunk_tokens) + 1);
}

int64_t KvPages::first_seen_page(const KvKind& kind, int64_t num_pages) {
  if (kind.window == 0) return 0;
  return std::max<int64_t>(0, num_pages * kPageTokens - kind.window + 1) / kPageTokens;
}

KvPages::Match KvPages::match(std::span<const int32_t> tokens, const std::string& salt) const {
  Match best{.num_tokens = 0, .kept_pages = std::vector<int64_t>(kinds_.size(), 0)};
  const PrefixNode* node = keep_prefixes_ ? tree_.find_root(salt) : nullptr;
  if (node == nullptr) return best;
  const auto num_pages = static_cast<int64_t>(tokens.size()) / kPageTokens;
  std::vector<const PrefixNode*> nodes;
  std::vector<int64_t> unbroken(kinds_.size(), 0);  // how many of the last nodes have a page of the kind
  int64_t best_pages = 0;
  for (int64_t index = 0; index < num_pages; ++index) {
    node = tree_.find_child(node, tokens_of_page(tokens, index));
    if (node == nullptr) break;
    nodes.push_back(node);
    bool complete = true;
    for (std::size_t kind = 0; kind < kinds_.size(); ++kind) {
      unbroken[kind] = node->pages[kind] >= 0 ? unbroken[kind] + 1 : 0;
      complete = complete && unbroken[kind] >= index + 1 - first_seen_page(kinds_[kind], index + 1);
    }
    if (complete) best_pages = index + 1;
  }
  best.num_tokens = best_pages * kPageTokens;
  for (std::size_t kind = 0; kind < kinds_.size(); ++kind) {
    for (int64_t index = first_seen_page(kinds_[kind], best_pages); index < best_pages; ++index) {
      const int32_t page = nodes[static_cast<std::size_t>(index)]->pages[kind];
      const Page& found = of_kinds_[kind].pages[static_cast<std::size_t>(page)];
      best.kept_pages[kind] += found.num_holders == 0 ? 1 : 0;
    }
  }
  return best;
}

int64_t KvPages::attach(std::span<const int32_t> tokens, const std::string& salt, SequencePages& sequence) {
  GOSSAMER_CHECK(sequence.by_kind.empty());
  sequence.by_kind.resize(kinds_.size());
  sequence.slid.assign(kinds_.size(), 0);
  if (!keep_prefixes_) return 0;
  const int64_t num_tokens = match(tokens, salt).num_tokens;
  const int64_t num_pages = num_tokens / kPageTokens;
  for (std::size_t kind = 0; kind < kinds_.size(); ++kind) {
    sequence.by_kind[kind].assign(static_cast<std::size_t>(num_pages), -1);
    sequence.slid[kind] = first_seen_page(kinds_[kind], num_pages);
  }
  sequence.prefix = tree_.hold_root(salt);
  for (int64_t index = 0; index < num_pages; ++index) {
    PrefixNode* next = tree_.hold_child(sequence.prefix, tokens_of_page(tokens, index));
    tree_.drop(std::exchange(sequence.prefix, next));
    for (std::size_t kind = 0; kind < kinds_.size(); ++kind) {
      if (index < sequence.slid[kind]) continue;
      hold(kind, next->pages[kind]);
      sequence.by_kind[kind][static_cast<std::size_t>(index)] = next->pages[kind];
    }
  }
  sequence.num_published = num_pages;
  return num_tokens;
}

bool KvPages::extend(SequencePages& sequence, int64_t begin, int64_t end) {
  if (sequence.by_kind.empty()) {
    sequence.by_kind.resize(kinds_.size());
    sequence.slid.assign(kinds_.size(), 0);
  }
  for (std::size_t kind = 0; kind < kinds_.size(); ++kind) {
    const auto size = static_cast<int64_t>(sequence.by_kind[kind].size());
    // Pages are taken in order, so that only those beyond the last are missing.
    if (pages_of(end) - std::max(size, begin / kPageTokens) > num_available(kind)) return false;
  }
  for (std::size_t kind = 0; kind < kinds_.size(); ++kind) {
    std::vector<int32_t>& pages = sequence.by_kind[kind];
    while (static_cast<int64_t>(pages.size()) < begin / kPageTokens) pages.push_back(-1);
    while (static_cast<int64_t>(pages.size()) < pages_of(end)) pages.push_back(take(kind));
  }
  return true;
}

void KvPages::slide(SequencePages& sequence, int64_t position, int64_t prompt_size) {
  for (std::size_t kind = 0; kind < sequence.by_kind.size(); ++kind) {
    if (kinds_[kind].window == 0) continue;
    std::vector<int32_t>& pages = sequence.by_kind[kind];
    const int64_t first_seen = std::max<int64_t>(0, position - kinds_[kind].window + 1);
    const int64_t passed = std::min<int64_t>(first_seen / kPageTokens, static_cast<int64_t>(pages.size()));
    for (int64_t& index = sequence.slid[kind]; index < passed; ++index) {
      const int32_t page = std::exchange(pages[static_cast<std::size_t>(index)], -1);
      const bool worth_it = is_worth_keeping(index, kinds_[kind].window, prompt_size);
      if (page >= 0) let_go(kind, page, worth_it ? KeepFor::kLong : KeepFor::kShort);
    }
  }
}

bool KvPages::is_worth_keeping(int64_t page_index, int window, int64_t prompt_size) const {
  // Whether a checkpoint (a number of whole pages) lies after this page and still sees it.
  const auto sees = [&](int64_t num_pages) {
    return num_pages > page_index && page_index >= first_seen_page({.window = window}, num_pages);
  };
  return sees((page_index / kCheckpointPages + 1) * kCheckpointPages) || sees(prompt_size / kPageTokens);
}

void KvPages::publish(std::span<const int32_t> tokens, const std::string& salt, SequencePages& sequence) {
  if (!keep_prefixes_) return;
  const auto num_pages = static_cast<int64_t>(tokens.size()) / kPageTokens;
  if (sequence.num_published >= num_pages) return;
  if (sequence.prefix == nullptr) sequence.prefix = tree_.hold_root(salt);
  for (; sequence.num_published < num_pages; ++sequence.num_published) {
    PrefixNode* node = tree_.hold_child(sequence.prefix, tokens_of_page(tokens, sequence.num_published));
    tree_.drop(std::exchange(sequence.prefix, node));
    for (std::size_t kind = 0; kind < kinds_.size(); ++kind) {
      int32_t& own = sequence.by_kind[kind][static_cast<std::size_t>(sequence.num_published)];
      if (own < 0 || node->pages[kind] == own) continue;
      if (node->pages[kind] < 0) {
        node->pages[kind] = own;
        page_of(kind, own).prefix = node;
        tree_.hold(node);
      } else {
        hold(kind, node->pages[kind]);
        let_go(kind, std::exchange(own, node->pages[kind]), KeepFor::kShort);
      }
    }
  }
}

void KvPages::release(SequencePages& sequence) {
  for (std::size_t kind = 0; kind < sequence.by_kind.size(); ++kind) {
    // The last page first: what is kept then loses its tail before what the tail builds on.
    const std::vector<int32_t>& pages = sequence.by_kind[kind];
    for (auto page = pages.rbegin(); page != pages.rend(); ++page) {
      if (*page >= 0) let_go(kind, *page, KeepFor::kLong);
    }
  }
  if (sequence.prefix != nullptr) tree_.drop(sequence.prefix);
  sequence = {};
}

int32_t KvPages::take(std::size_t kind) {
  OfKind& of_kind = of_kinds_[kind];
  if (of_kind.free < 0) {
    GOSSAMER_CHECK(of_kind.first_kept >= 0);
    const int32_t oldest = of_kind.first_kept;
    unlink_kept(of_kind, oldest);
    forget(kind, oldest);
    page_of(kind, oldest).num_holders = 1;
    return oldest;
  }
  const int32_t page = of_kind.free;
  of_kind.free = std::exchange(page_of(kind, page).next, -1);
  --of_kind.num_free;
  page_of(kind, page).num_holders = 1;
  return page;
}

void KvPages::hold(std::size_t kind, int32_t page) {
  if (page_of(kind, page).num_holders++ == 0) unlink_kept(of_kinds_[kind], page);
}

void KvPages::let_go(std::size_t kind, int32_t page, KeepFor keep_for) {
  OfKind& of_kind = of_kinds_[kind];
  Page& gone = page_of(kind, page);
  GOSSAMER_CHECK_GT(gone.num_holders, 0);
  if (--gone.num_holders > 0) return;
  if (gone.prefix == nullptr) {
    gone.next = std::exchange(of_kind.free, page);
    ++of_kind.num_free;
    return;
  }
  ++of_kind.num_kept;
  const bool first = keep_for == KeepFor::kShort;
  int32_t& end = first ? of_kind.first_kept : of_kind.last_kept;
  int32_t& other_end = first ? of_kind.last_kept : of_kind.first_kept;
  (first ? gone.next : gone.previous) = end;
  (first ? gone.previous : gone.next) = -1;
  if (end >= 0) (first ? page_of(kind, end).previous : page_of(kind, end).next) = page;
  end = page;
  if (other_end < 0) other_end = page;
}

void KvPages::unlink_kept(OfKind& of_kind, int32_t page) {
  Page& taken = of_kind.pages[static_cast<std::size_t>(page)];
  const auto at = [&](int32_t other) -> Page& { return of_kind.pages[static_cast<std::size_t>(other)]; };
  (taken.previous >= 0 ? at(taken.previous).next : of_kind.first_kept) = taken.next;
  (taken.next >= 0 ? at(taken.next).previous : of_kind.last_kept) = taken.previous;
  taken.previous = taken.next = -1;
  --of_kind.num_kept;
}

void KvPages::forget(std::size_t kind, int32_t page) {
  PrefixNode* node = std::exchange(page_of(kind, page).prefix, nullptr);
  node->pages[kind] = -1;
  tree_.drop(node);
}

void KvPages::check_integrity(const std::vector<const SequencePages*>& sequences) const {
  for (std::size_t kind = 0; kind < kinds_.size(); ++kind) {
    const OfKind& of_kind = of_kinds_[kind];
    std::vector<int32_t> holders(of_kind.pages.size(), 0);
    for (const SequencePages* sequence : sequences) {
      if (sequence->by_kind.empty()) continue;
      for (const int32_t page : sequence->by_kind[kind]) {
        if (page >= 0) ++holders[static_cast<std::size_t>(page)];
      }
    }
    std::vector<bool> listed(of_kind.pages.size(), false);
    const auto walk = [&](int32_t first, bool kept) {
      int64_t count = 0;
      for (int32_t page = first; page >= 0; page = of_kind.pages[static_cast<std::size_t>(page)].next) {
        const auto index = static_cast<std::size_t>(page);
        GOSSAMER_CHECK(!listed[index]);
        listed[index] = true;
        GOSSAMER_CHECK_EQ(of_kind.pages[index].prefix != nullptr, kept);
        ++count;
      }
      return count;
    };
    GOSSAMER_CHECK_EQ(walk(of_kind.free, false), of_kind.num_free);
    GOSSAMER_CHECK_EQ(walk(of_kind.first_kept, true), of_kind.num_kept);
    for (std::size_t page = 0; page < of_kind.pages.size(); ++page) {
      const Page& one = of_kind.pages[page];
      GOSSAMER_CHECK_EQ(one.num_holders, holders[page]);
      GOSSAMER_CHECK_EQ(listed[page], one.num_holders == 0);
      if (one.prefix != nullptr) GOSSAMER_CHECK_EQ(one.prefix->pages[kind], static_cast<int32_t>(page));
    }
  }
}

}  // namespace gossamer
