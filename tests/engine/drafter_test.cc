#include "engine/drafter.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace gossamer {
namespace {

using Tokens = std::vector<int32_t>;

TEST(NgramIndex, ProposesWhatFollowedTheLatestOccurrence) {
  NgramIndex index;
  EXPECT_EQ(index.propose(Tokens{1, 2, 3, 4, 5, 9, 1, 2, 3, 6, 7, 8, 1, 2, 3}, 4), (Tokens{6, 7, 8, 1}));
  NgramIndex other;
  EXPECT_TRUE(other.propose(Tokens{1, 2, 3, 4, 5, 6, 7}, 4).empty());
  EXPECT_TRUE(other.propose(Tokens{1, 2}, 4).empty());
  NgramIndex third;
  EXPECT_TRUE(third.propose(Tokens{1, 2, 3, 1, 2, 3}, 0).empty());
}

TEST(NgramIndex, ARepetitionGoesOnBeyondTheEnd) {
  NgramIndex index;
  EXPECT_EQ(index.propose(Tokens{5, 5, 5, 5}, 3), (Tokens{5, 5, 5}));
  NgramIndex other;
  EXPECT_EQ(other.propose(Tokens{1, 2, 3, 4, 1, 2, 3, 4}, 10), (Tokens{1, 2, 3, 4, 1, 2, 3, 4, 1, 2}));
}

// Growing by any steps, against a search from the end.
TEST(NgramIndex, FindsWhatASearchFromTheEndFinds) {
  std::mt19937 random(1);
  for (int trial = 0; trial < 50; ++trial) {
    NgramIndex index;
    Tokens tokens;
    int found = 0;
    for (int step = 0; step < 300; ++step) {
      for (uint32_t i = 0; i < 1 + random() % 3; ++i) tokens.push_back(static_cast<int32_t>(random() % 5));
      Tokens expected;
      const auto size = static_cast<int64_t>(tokens.size());
      for (int64_t end = size - 1; end >= 3 && expected.empty(); --end) {
        if (std::equal(tokens.end() - 3, tokens.end(), tokens.begin() + end - 3)) {
          for (int64_t i = 0; i < 6; ++i) {
            expected.push_back(end + i < size ? tokens[static_cast<std::size_t>(end + i)]
                                              : expected[static_cast<std::size_t>(end + i - size)]);
          }
        }
      }
      ASSERT_EQ(index.propose(tokens, 6), expected);
      found += expected.empty() ? 0 : 1;
    }
    EXPECT_GT(found, 100);
  }
}

TEST(DraftLength, GrowsWhileDraftsAreRightUpToTheMost) {
  DraftLength length;
  int drafted = 0;
  for (int step = 0; step < 6; ++step) {
    drafted = length.next(8);
    length.observe(drafted, drafted);
  }
  EXPECT_EQ(drafted, 8);
}

TEST(DraftLength, WhatIsNeverRightIsTriedInEvery64StepsAtLast) {
  DraftLength length;
  int64_t drafted = 0;
  constexpr int kSteps = 6400;
  for (int step = 0; step < kSteps; ++step) {
    const int now = length.next(8);
    drafted += now;
    length.observe(now, 0);
  }
  EXPECT_GE(drafted, kSteps / 66);
  EXPECT_LE(drafted, kSteps / 64 + 6);
}

TEST(DraftGain, DraftsThatSlowTheStepsMoreThanTheyGiveAreLeftOut) {
  const auto share_drafted = [](double seconds_per_draft) {
    DraftGain gain;
    int with_drafts = 0;
    for (int step = 0; step < 2000; ++step) {
      const bool pays = gain.pays();
      const int64_t drafted = pays && step % 5 != 0 ? 4 : 0;
      with_drafts += drafted > 0 ? 1 : 0;
      gain.observe(1, drafted, 1 + drafted / 2, 1.0 + seconds_per_draft * static_cast<double>(drafted));
    }
    return with_drafts / 2000.0;
  };
  EXPECT_GT(share_drafted(0.1), 0.79);  // 3 tokens in 1.4 s instead of 3
  EXPECT_LT(share_drafted(1.0), 0.05);  // 3 tokens in 5 s
}

}  // namespace
}  // namespace gossamer
