#include "engine/kv_pages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

namespace gossamer {
namespace {

constexpr int64_t kPage = kPageTokens;

int64_t pages_held(const std::vector<int32_t>& pages) {
  return std::count_if(pages.begin(), pages.end(), [](int32_t page) { return page >= 0; });
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

TEST(KvPages, AdmitsUntilPromisesReachThePagesThereAre) {
  KvPages pages({{.num_layers = 2, .window = 0, .num_pages = 4}}, 16);
  SequencePages a;
  SequencePages b;
  SequencePages c;
  EXPECT_TRUE(pages.admit(3 * kPage, a));
  EXPECT_FALSE(pages.admit(2 * kPage, b)) << "promised, though nothing is taken yet";
  EXPECT_TRUE(b.by_kind.empty()) << "a refusal leaves no trace";
  EXPECT_TRUE(pages.admit(kPage, c));
  pages.check_integrity({&a, &b, &c});
  pages.release(a);
  EXPECT_TRUE(pages.admit(2 * kPage, b));
  pages.check_integrity({&a, &b, &c});
}

TEST(KvPages, ARefusalOfOneKindPromisesNothingOfAnother) {
  KvPages pages(
      {{.num_layers = 1, .window = 0, .num_pages = 100}, {.num_layers = 1, .window = 32, .num_pages = 3}},
      32);
  SequencePages a;
  SequencePages b;
  ASSERT_TRUE(pages.admit(200, a));
  ASSERT_FALSE(pages.admit(200, b));
  pages.check_integrity({&a, &b});
}

TEST(KvPages, ExtendTakesAPageOnlyWhereNoneIsYet) {
  KvPages pages({{.num_layers = 1, .window = 0, .num_pages = 4}}, 64);
  SequencePages sequence;
  ASSERT_TRUE(pages.admit(4 * kPage, sequence));
  pages.extend(sequence, 0, 10);
  const int32_t first = sequence.by_kind[0][0];
  pages.extend(sequence, 10, kPage);
  EXPECT_EQ(sequence.by_kind[0], std::vector<int32_t>{first});
  pages.extend(sequence, kPage, 3 * kPage);
  EXPECT_EQ(pages.num_free(0), 1);
  EXPECT_EQ(std::set<int32_t>(sequence.by_kind[0].begin(), sequence.by_kind[0].end()).size(), 3U);
  pages.release(sequence);
  EXPECT_EQ(pages.num_free(0), 4);
}

TEST(KvPages, SlideFreesExactlyThePagesThatTheWindowHasPassed) {
  constexpr int kWindow = 40;
  KvPages pages(
      {{.num_layers = 1, .window = kWindow, .num_pages = 8}, {.num_layers = 1, .window = 0, .num_pages = 20}},
      kPage);
  SequencePages sequence;
  ASSERT_TRUE(pages.admit(20 * kPage, sequence));
  for (int64_t position = 0; position < 20 * kPage; ++position) {
    pages.slide(sequence, position);
    pages.extend(sequence, position, position + 1);
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

// Sequences of random lengths come, grow in random steps, and go, also half-way. Every page is always owned
// once, and what was promised is always there.
TEST(KvPages, KeepsItsBooksUnderRandomOperations) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    std::mt19937 generator(seed);
    const auto random = [&](int64_t low, int64_t high) {
      return std::uniform_int_distribution<int64_t>(low, high)(generator);
    };
    const int64_t chunk = random(1, 100);
    const std::vector<KvKind> kinds = {
        {.num_layers = 1, .window = 0, .num_pages = random(10, 60)},
        {.num_layers = 1, .window = static_cast<int>(random(1, 200)), .num_pages = 40}};
    KvPages pages(kinds, chunk);
    struct Growing {
      SequencePages pages;
      int64_t length = 0;
      int64_t limit = 0;
    };
    std::vector<Growing> running(8);
    int num_admitted = 0;
    int num_finished = 0;
    for (int step = 0; step < 2000; ++step) {
      Growing& sequence = running[static_cast<std::size_t>(random(0, 7))];
      if (sequence.limit == 0) {
        const int64_t limit = random(1, 600);
        if (pages.admit(limit, sequence.pages)) {
          sequence.limit = limit;
          ++num_admitted;
        }
      } else if (sequence.length == sequence.limit || random(0, 30) == 0) {
        num_finished += sequence.length == sequence.limit ? 1 : 0;
        pages.release(sequence.pages);
        sequence = {};
      } else {
        const int64_t end = std::min(sequence.limit, sequence.length + random(1, chunk));
        pages.slide(sequence.pages, sequence.length);
        pages.extend(sequence.pages, sequence.length, end);
        sequence.length = end;
      }
      std::vector<const SequencePages*> owners;
      for (const Growing& one : running) owners.push_back(&one.pages);
      pages.check_integrity(owners);
    }
    EXPECT_GT(num_admitted, 20);
    EXPECT_GT(num_finished, 5);
    for (Growing& one : running) {
      if (one.limit > 0) pages.release(one.pages);
    }
    for (std::size_t kind = 0; kind < kinds.size(); ++kind) {
      EXPECT_EQ(pages.num_free(static_cast<int>(kind)), kinds[kind].num_pages);
    }
  }
}

TEST(KvPagesDeathTest, IntegrityCheckCatchesAPageOwnedTwice) {
  KvPages pages({{.num_layers = 1, .window = 0, .num_pages = 4}}, 16);
  SequencePages sequence;
  ASSERT_TRUE(pages.admit(2 * kPage, sequence));
  pages.extend(sequence, 0, kPage + 1);
  SequencePages broken = sequence;
  broken.by_kind[0][1] = broken.by_kind[0][0];
  EXPECT_DEATH(pages.check_integrity({&broken}), "check failed");
}

}  // namespace
}  // namespace gossamer
