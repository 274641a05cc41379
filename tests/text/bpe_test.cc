#include "text/bpe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "tests/text/text_fixtures.h"

namespace gossamer {
namespace {

// The definition: merge the pair of lowest rank, the leftmost of equals, one at a time.
std::vector<int32_t> merge_by_definition(
    std::vector<int32_t> ids,
    const std::map<std::pair<int32_t, int32_t>, std::pair<uint32_t, int32_t>>& merges) {
  for (;;) {
    std::size_t best = ids.size();
    std::pair<uint32_t, int32_t> best_merge{UINT32_MAX, -1};
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto it = merges.find({ids[i], ids[i + 1]});
      if (it != merges.end() && it->second.first < best_merge.first) {
        best = i;
        best_merge = it->second;
      }
    }
    if (best == ids.size()) return ids;
    ids[best] = best_merge.second;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

// Random merges over three letters, ranks in any order; pieces on both sides of the length where the
// algorithm changes.
TEST(Bpe, MergesAsDefinedInShortAndLongPieces) {
  TestRandom random(3);
  std::size_t num_merged = 0;
  for (int round = 0; round < 60; ++round) {
    Vocabulary vocabulary;
    MergeTable table;
    std::map<std::pair<int32_t, int32_t>, std::pair<uint32_t, int32_t>> merges;
    std::vector<std::string> tokens = {"a", "b", "c"};
    for (int32_t id = 0; id < 3; ++id) vocabulary.add(id, tokens[static_cast<std::size_t>(id)]);
    std::vector<uint32_t> ranks(40);
    for (uint32_t i = 0; i < ranks.size(); ++i) ranks[i] = i;
    for (std::size_t i = ranks.size(); i > 1; --i) std::swap(ranks[i - 1], ranks[random.below(i)]);
    for (const uint32_t rank : ranks) {
      const auto left = static_cast<int32_t>(random.below(tokens.size()));
      const auto right = static_cast<int32_t>(random.below(tokens.size()));
      if (merges.contains({left, right})) continue;
      const std::string text =
          tokens[static_cast<std::size_t>(left)] + tokens[static_cast<std::size_t>(right)];
      if (text.size() > 12) continue;
      int32_t id = vocabulary.find(text);
      if (id < 0) {
        id = vocabulary.size();
        ASSERT_EQ(vocabulary.add(id, text), Vocabulary::AddResult::kAdded);
        tokens.push_back(text);
      }
      merges[{left, right}] = {rank, id};
      table.set(left, right, {rank, id});
    }
    const Bpe bpe(std::move(vocabulary), std::move(table), {});
    for (const std::size_t length : {1, 2, 3, 7, 20, 63, 64, 65, 66, 130, 300}) {
      std::string piece;
      std::vector<int32_t> initial;
      for (std::size_t i = 0; i < length; ++i) {
        initial.push_back(static_cast<int32_t>(random.below(3)));
        piece.push_back(static_cast<char>('a' + initial.back()));
      }
      const std::vector<int32_t> expected = merge_by_definition(initial, merges);
      num_merged += initial.size() - expected.size();
      for (int repeat = 0; repeat < 2; ++repeat) {  // the second time from what the first has learned
        std::vector<int32_t> ids;
        bpe.encode(piece, ids);
        ASSERT_EQ(ids, expected) << piece;
      }
    }
  }
  EXPECT_GT(num_merged, 10'000U);
}

TEST(Vocabulary, FindsTokensOfEveryLengthAndNothingElse) {
  Vocabulary vocabulary;
  TestRandom random(5);
  std::map<std::string, int32_t> expected;
  for (int32_t id = 0; id < 20'000; ++id) {
    std::string bytes;
    for (std::size_t n = random.below(20) + 1; n > 0; --n)
      bytes.push_back(static_cast<char>(random.below(5) * 63));
    const bool is_new = expected.emplace(bytes, vocabulary.size()).second;
    const auto result = vocabulary.add(vocabulary.size(), bytes);
    ASSERT_EQ(result, is_new ? Vocabulary::AddResult::kAdded : Vocabulary::AddResult::kDuplicateBytes);
  }
  for (const auto& [bytes, id] : expected) {
    ASSERT_EQ(vocabulary.find(bytes), id);
    ASSERT_EQ(vocabulary.bytes_of(id), bytes);
    const std::string longer = bytes + "\x01";
    ASSERT_EQ(vocabulary.find(longer), -1);
  }
  EXPECT_EQ(vocabulary.add(3, "new"), Vocabulary::AddResult::kDuplicateId);
  EXPECT_EQ(vocabulary.find("new"), -1);
}

}  // namespace
}  // namespace gossamer
