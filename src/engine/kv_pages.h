// KvPages: who holds which page of the KV cache, in integers only (the memory is backend/kv_pool.h). A page
// is free, held by one or more sequences, or kept: nobody holds it, but its keys and values are those of a
// prefix that the next request may begin with. Kept pages are taken back, least recently used first, when
// free ones run out.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "backend/kv_pool.h"
#include "engine/prefix_tree.h"

namespace gossamer {

// Pages of one sequence: for each kind, the page of every kPageTokens positions so far; -1 where the window
// has passed.
struct SequencePages {
  std::vector<std::vector<int32_t>> by_kind;
  PrefixNode* prefix = nullptr;  // the longest whose pages were published, held
  int64_t num_published = 0;     // pages of it
  std::vector<int64_t> slid;     // [kind] pages before this one were let go
};

class KvPages {
 public:
  // `keep_prefixes`: publish() and attach() do something.
  KvPages(std::vector<KvKind> kinds, bool keep_prefixes);

  // Pages of one kind that a sequence of `num_tokens` holds at most at once, when no step runs more than
  // `chunk_tokens` of it.
  static int64_t pages_needed(const KvKind& kind, int64_t num_tokens, int64_t chunk_tokens);

  // The first page that the token after `num_pages` whole pages sees.
  static int64_t first_seen_page(const KvKind& kind, int64_t num_pages);

  const std::vector<KvKind>& kinds() const { return kinds_; }
  bool keeps_prefixes() const { return keep_prefixes_; }

  // A prefix of some tokens whose pages are here.
  struct Match {
    int64_t num_tokens = 0;           // a multiple of kPageTokens
    std::vector<int64_t> kept_pages;  // [kind] of its pages, those that nobody holds
  };
  // The longest prefix of `tokens` that a sequence could begin with: all its pages of the kinds that keep
  // everything and, of window kinds, those that its next token sees.
  Match match(std::span<const int32_t> tokens, const std::string& salt) const;
  // Makes a sequence that holds nothing hold the pages of match(tokens), and returns its num_tokens.
  int64_t attach(std::span<const int32_t> tokens, const std::string& salt, SequencePages& sequence);

  // Makes positions [begin, end) resident; false, and nothing changes, where pages do not suffice.
  bool extend(SequencePages& sequence, int64_t begin, int64_t end);

  // Lets go of the pages that no token from `position` on can see. `prompt_size`: where the next turn of a
  // conversation is likely to branch off, so that its pages are kept longer.
  void slide(SequencePages& sequence, int64_t position, int64_t prompt_size);

  // The keys and values of these tokens, the sequence's first, have been computed: its whole pages may be
  // shared from now on. Where another sequence published the same before, this one's page is freed and the
  // other's held instead (their bits are the same).
  void publish(std::span<const int32_t> tokens, const std::string& salt, SequencePages& sequence);

  // Lets go of everything.
  void release(SequencePages& sequence);

  // Pages of a kind that nobody holds: free and kept.
  int64_t num_available(std::size_t kind) const {
    return of_kinds_[kind].num_free + of_kinds_[kind].num_kept;
  }
  int64_t num_kept(std::size_t kind) const { return of_kinds_[kind].num_kept; }

  // Holders add up, lists are whole, and the tree knows the pages that know it. Aborts otherwise; for tests
  // and debug builds.
  void check_integrity(const std::vector<const SequencePages*>& sequences) const;

 private:
  struct Page {
    int32_t num_holders = 0;
    PrefixNode* prefix = nullptr;  // whose page this is, once published
    int32_t previous = -1;         // in its list
    int32_t next = -1;
  };
  // Pages that nobody holds, as two doubly linked lists through Page: free ones first (a stack), then kept
  // ones in the order in which they are taken back.
  struct OfKind {
    std::vector<Page> pages;
    int32_t free = -1;  // first of a singly linked stack
    int32_t first_kept = -1;
    int32_t last_kept = -1;
    int64_t num_free = 0;
    int64_t num_kept = 0;
  };
  enum class KeepFor { kLong, kShort };

  Page& page_of(std::size_t kind, int32_t page) {
    return of_kinds_[kind].pages[static_cast<std::size_t>(page)];
  }
  int32_t take(std::size_t kind);
  void hold(std::size_t kind, int32_t page);
  void let_go(std::size_t kind, int32_t page, KeepFor keep_for);
  void unlink_kept(OfKind& of_kind, int32_t page);
  void forget(std::size_t kind, int32_t page);
  bool is_worth_keeping(int64_t page_index, int window, int64_t prompt_size) const;

  std::vector<KvKind> kinds_;
  bool keep_prefixes_;
  PrefixTree tree_;
  std::vector<OfKind> of_kinds_;
};

}  // namespace gossamer
