#include "engine/kv_pages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <set>
#include <vector>

namespace gossamer {
namespace {

constexpr int64_t kPage = kPageTokens;

using Tokens = std::vector<int32_t>;

Tokens counting(int64_t size, int32_t first = 0) {
  Tokens tokens(static_cast<std::size_t>(size));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

int64_t pages_held(const std::vector<int32_t>& pages) {
  return std::count_if(pages.begin(), pages.end(), [](int32_t page) { return page >= 0; });
}

// Does what an engine does for a sequence of these tokens, in chunks, and leaves it running.
SequencePages compute(KvPages& pages, const Tokens& tokens, int64_t chunk = kPage,
                      const std::string& salt = {}) {
  SequencePages sequence;
  const auto size = static_cast<int64_t>(tokens.size());
  int64_t begin = pages.attach(std::span(tokens).first(tokens.size() - 1), salt, sequence);
  for (; begin < size; begin += chunk) {
    const int64_t end = std::min(size, begin + chunk);
    pages.slide(sequence, begin, size);
    EXPECT_TRUE(pages.extend(sequence, begin, end));
    pages.publish(std::span(tokens).first(static_cast<std::size_t>(end)), salt, sequence);
  }
  return sequence;
}

TEST(KvPages, ANeedIsRoundedUpToWholePages) {
  const KvKind full{.num_layers = 1, .window = 0, .num_pages = 10};
  EXPECT_EQ(KvPages::pages_needed(full, 1, 16), 1);
  EXPECT_EQ(KvPages::pages_needed(full, kPage, 16), 1);
  EXPECT_EQ(KvPages::pages_needed(full, kPage + 1, 16), 2);
}

TEST(KvPages, AWindowNeedsNoMoreHoweverLongTheSequence) {
  const KvKind window{.num_layers = 1, .window = 128, .num_pages = 10};
  const int64_t most = KvPages::pages_needed(window, 100000, 16);
  EXPECT_EQ(KvPages::pages_needed(window, 1000000, 16), most);
  // 127 keys before the first of 16 tokens: 143 positions, which touch at most 6 pages of 32.
  EXPECT_EQ(most, 6);
  EXPECT_EQ(KvPages::pages_needed(window, 40, 16), 2) << "a short sequence needs only its own pages";
}

TEST(KvPages, ExtendTakesAPageOnlyWhereNoneIsYetAndAllOrNothing) {
  KvPages pages(
      {{.num_layers = 1, .window = 0, .num_pages = 4}, {.num_layers = 1, .window = 64, .num_pages = 3}},
      false);
  SequencePages sequence;
  ASSERT_TRUE(pages.extend(sequence, 0, 10));
  const int32_t first = sequence.by_kind[0][0];
  ASSERT_TRUE(pages.extend(sequence, 10, kPage));
  EXPECT_EQ(sequence.by_kind[0], std::vector<int32_t>{first});
  ASSERT_TRUE(pages.extend(sequence, kPage, 3 * kPage));
  EXPECT_EQ(pages.num_available(0), 1);
  EXPECT_EQ(pages.num_available(1), 0);
  EXPECT_EQ(std::set<int32_t>(sequence.by_kind[0].begin(), sequence.by_kind[0].end()).size(), 3U);
  EXPECT_FALSE(pages.extend(sequence, 3 * kPage, 4 * kPage)) << "the window has no page left";
  EXPECT_EQ(pages.num_available(0), 1) << "a refusal takes nothing of any kind";
  pages.check_integrity({&sequence});
  pages.release(sequence);
  EXPECT_EQ(pages.num_available(0), 4);
  EXPECT_EQ(pages.num_available(1), 3);
}

TEST(KvPages, SlideFreesExactlyThePagesThatTheWindowHasPassed) {
  constexpr int kWindow = 40;
  KvPages pages(
      {{.num_layers = 1, .window = kWindow, .num_pages = 8}, {.num_layers = 1, .window = 0, .num_pages = 20}},
      false);
  SequencePages sequence;
  for (int64_t position = 0; position < 20 * kPage; ++position) {
    pages.slide(sequence, position, 0);
    ASSERT_TRUE(pages.extend(sequence, position, position + 1));
    const int64_t first_seen = std::max<int64_t>(0, position - kWindow + 1);
    const std::vector<int32_t>& held = sequence.by_kind[0];
    for (int64_t index = 0; index < static_cast<int64_t>(held.size()); ++index) {
      const bool resident = held[static_cast<std::size_t>(index)] >= 0;
      ASSERT_EQ(resident, (index + 1) * kPage > first_seen) << "page " << index << " at " << position;
    }
    ASSERT_EQ(pages_held(sequence.by_kind[1]), position / kPage + 1) << "the full kind keeps everything";
    pages.check_integrity({&sequence});
  }
}

TEST(KvPages, APrefixIsFoundInWholePagesAndSharedNotCopied) {
  KvPages pages({{.num_layers = 1, .window = 0, .num_pages = 20}}, true);
  const Tokens tokens = counting(3 * kPage + 5);
  SequencePages first = compute(pages, tokens);
  Tokens longer = tokens;
  longer.insert(longer.end(), 40, 7);
  EXPECT_EQ(pages.match(longer, "").num_tokens, 3 * kPage);
  EXPECT_EQ(pages.match(std::span(tokens).first(3 * kPage - 1), "").num_tokens, 2 * kPage);
  Tokens edited = longer;
  edited[2 * kPage + 3] = 9999;
  EXPECT_EQ(pages.match(edited, "").num_tokens, 2 * kPage) << "an edit at the tail keeps what is before";
  edited[0] = 9999;
  EXPECT_EQ(pages.match(edited, "").num_tokens, 0);
  EXPECT_EQ(pages.match(longer, "another tenant").num_tokens, 0);

  SequencePages second = compute(pages, longer);
  EXPECT_TRUE(std::equal(second.by_kind[0].begin(), second.by_kind[0].begin() + 3, first.by_kind[0].begin()));
  EXPECT_NE(second.by_kind[0][3], first.by_kind[0][3]) << "the page in progress is its own";
  pages.check_integrity({&first, &second});
  pages.release(first);
  EXPECT_EQ(pages.match(longer, "").num_tokens, 4 * kPage);
  pages.release(second);
  EXPECT_EQ(pages.num_available(0), 20);
  EXPECT_EQ(pages.num_kept(0), 4);
  EXPECT_EQ(pages.match(longer, "").num_tokens, 4 * kPage) << "nobody holds them, and they are kept";
  EXPECT_EQ(pages.match(longer, "").kept_pages[0], 4);
}

TEST(KvPages, SequencesThatComputedTheSameEndUpWithOnePageOfIt) {
  KvPages pages({{.num_layers = 1, .window = 0, .num_pages = 20}}, true);
  const Tokens tokens = counting(2 * kPage);
  SequencePages a;
  SequencePages b;
  pages.attach({}, "", a);
  pages.attach({}, "", b);
  ASSERT_TRUE(pages.extend(a, 0, 2 * kPage));
  ASSERT_TRUE(pages.extend(b, 0, 2 * kPage));
  EXPECT_EQ(pages.num_available(0), 16);
  pages.publish(tokens, "", a);
  pages.publish(tokens, "", b);
  EXPECT_EQ(a.by_kind, b.by_kind);
  EXPECT_EQ(pages.num_available(0), 18);
  pages.check_integrity({&a, &b});
}

TEST(KvPages, TheLeastRecentlyUsedPrefixGoesFirstAndItsTailBeforeItsHead) {
  KvPages pages({{.num_layers = 1, .window = 0, .num_pages = 8}}, true);
  const Tokens a = counting(3 * kPage, 0);
  const Tokens b = counting(3 * kPage, 1000);
  SequencePages pages_a = compute(pages, a);
  SequencePages pages_b = compute(pages, b);
  pages.release(pages_b);
  pages.release(pages_a);
  SequencePages other;
  ASSERT_TRUE(pages.extend(other, 0, 4 * kPage));  // two free ones and two of b
  EXPECT_EQ(pages.match(a, "").num_tokens, 3 * kPage);
  EXPECT_EQ(pages.match(b, "").num_tokens, kPage);
  SequencePages again = compute(pages, b);  // uses b's head: now a is older
  pages.release(again);
  pages.check_integrity({&other});
  EXPECT_EQ(pages.match(b, "").num_tokens, 3 * kPage);
  EXPECT_EQ(pages.match(a, "").num_tokens, kPage);
}

TEST(KvPages, AWindowHitNeedsThePagesThatTheNextTokenSees) {
  constexpr int kWindow = 40;
  KvPages pages({{.num_layers = 1, .window = 0, .num_pages = 64},
                 {.num_layers = 1, .window = kWindow, .num_pages = 64}},
                true);
  const Tokens tokens = counting(40 * kPage);
  SequencePages sequence = compute(pages, tokens);
  pages.release(sequence);
  for (int64_t size = 0; size <= 40 * kPage; ++size) {  // nothing had to be given up: every boundary is there
    ASSERT_EQ(pages.match(std::span(tokens).first(static_cast<std::size_t>(size)), "").num_tokens,
              size / kPage * kPage);
  }
  SequencePages attached;
  EXPECT_EQ(pages.attach(std::span(tokens).first(10 * kPage + 1), "", attached), 10 * kPage);
  EXPECT_EQ(pages_held(attached.by_kind[0]), 10);
  EXPECT_EQ(pages_held(attached.by_kind[1]), 2) << "positions 281 to 319";
  pages.check_integrity({&attached});
}

// With window pages for one sequence and few more, what survives is the end of the prompt and checkpoints.
TEST(KvPages, AFullWindowPoolKeepsTheEndOfThePromptAndCheckpoints) {
  constexpr int kWindow = 40;
  constexpr int64_t kPromptPages = 100;
  KvPages pages({{.num_layers = 1, .window = 0, .num_pages = 300},
                 {.num_layers = 1, .window = kWindow, .num_pages = 40}},
                true);
  const Tokens tokens = counting(kPromptPages * kPage + 7);
  SequencePages sequence = compute(pages, tokens);
  Tokens answered = tokens;
  for (int i = 0; i < 20 * kPage; ++i) {  // a long answer slides over the prompt's end
    const auto size = static_cast<int64_t>(answered.size());
    answered.push_back(i);
    pages.slide(sequence, size, kPromptPages * kPage + 7);
    ASSERT_TRUE(pages.extend(sequence, size, size + 1));
    pages.publish(answered, "", sequence);
  }
  pages.release(sequence);
  SequencePages others;  // takes what is not worth keeping
  ASSERT_TRUE(pages.extend(others, 0, 5 * kPage));
  Tokens next_turn = tokens;
  next_turn.insert(next_turn.end(), 100, 5);
  EXPECT_EQ(pages.match(next_turn, "").num_tokens, kPromptPages * kPage);
  int64_t matched = 0;
  for (int64_t size = 16 * kPage; size <= kPromptPages * kPage; size += 16 * kPage) {
    matched +=
        pages.match(std::span(tokens).first(static_cast<std::size_t>(size) + 1), "").num_tokens == size;
  }
  EXPECT_EQ(matched, 6) << "every checkpoint of 512 tokens";
}

// Sequences over few different prefixes come, grow in random steps, and go, also half-way; pages run out all
// the time. The books are kept, and a match is always what some sequence published.
TEST(KvPages, KeepsItsBooksUnderRandomOperations) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    std::mt19937 generator(seed);
    const auto random = [&](int64_t low, int64_t high) {
      return std::uniform_int_distribution<int64_t>(low, high)(generator);
    };
    const std::vector<KvKind> kinds = {
        {.num_layers = 1, .window = 0, .num_pages = random(10, 60)},
        {.num_layers = 1, .window = static_cast<int>(random(1, 200)), .num_pages = random(10, 60)}};
    KvPages pages(kinds, seed % 4 != 0);
    struct Growing {
      Tokens tokens;
      SequencePages pages;
      int64_t computed = 0;
    };
    std::vector<Growing> running(8);
    int64_t num_hits = 0;
    int64_t num_refused = 0;
    for (int step = 0; step < 2000; ++step) {
      Growing& sequence = running[static_cast<std::size_t>(random(0, 7))];
      const auto size = static_cast<int64_t>(sequence.tokens.size());
      if (size == 0) {
        sequence.tokens = counting(random(1, 600));
        // A branch at one of few places gives shared prefixes.
        for (int64_t i = random(0, 3) * 100; i < static_cast<int64_t>(sequence.tokens.size()); ++i) {
          sequence.tokens[static_cast<std::size_t>(i)] += 1000 * static_cast<int32_t>(random(1, 2) == 1);
        }
        sequence.computed =
            pages.attach(std::span(sequence.tokens).first(sequence.tokens.size() - 1), "", sequence.pages);
        num_hits += sequence.computed > 0 ? 1 : 0;
      } else if (sequence.computed == size || random(0, 30) == 0) {
        pages.release(sequence.pages);
        sequence = {};
      } else {
        const int64_t end = std::min(size, sequence.computed + random(1, 100));
        pages.slide(sequence.pages, sequence.computed, size);
        if (pages.extend(sequence.pages, sequence.computed, end)) {
          sequence.computed = end;
          pages.publish(std::span(sequence.tokens).first(static_cast<std::size_t>(end)), "", sequence.pages);
        } else {
          ++num_refused;
          pages.release(sequence.pages);
          sequence = {};
        }
      }
      std::vector<const SequencePages*> owners;
      for (const Growing& one : running) owners.push_back(&one.pages);
      pages.check_integrity(owners);
    }
    EXPECT_EQ(num_hits > 0, pages.keeps_prefixes());
    EXPECT_GT(num_refused, 0);
    for (Growing& one : running) pages.release(one.pages);
    for (std::size_t kind = 0; kind < kinds.size(); ++kind) {
      EXPECT_EQ(pages.num_available(kind), kinds[kind].num_pages);
    }
  }
}

TEST(KvPagesDeathTest, IntegrityCheckCatchesAPageHeldOnceTooOften) {
  KvPages pages({{.num_layers = 1, .window = 0, .num_pages = 4}}, true);
  SequencePages sequence;
  ASSERT_TRUE(pages.extend(sequence, 0, kPage + 1));
  SequencePages broken = sequence;
  broken.by_kind[0][1] = broken.by_kind[0][0];
  EXPECT_DEATH(pages.check_integrity({&broken}), "check failed");
}

}  // namespace
}  // namespace gossamer
