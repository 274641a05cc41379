// Masks: exactly the tokens that may follow, for every state that random walks reach, with a small vocabulary
// by brute force and with the real one; and whatever is sampled from them satisfies its schema.
#include "grammar/matcher.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <thread>

#include "grammar/schema_validator.h"
#include "tests/grammar/grammar_testing.h"
#include "tests/grammar/sample_schemas.h"

namespace gossamer {
namespace {

std::string format_schema(std::string_view format) {
  return fmt::format(
      R"({{"type":"object","properties":{{"x":{{"type":"string","format":"{}"}}}},"required":["x"]}})",
      format);
}

std::vector<std::string> all_schemas() {
  std::vector<std::string> schemas(kSampleSchemas.begin(), kSampleSchemas.end());
  for (const char* format : kSampleFormats) schemas.push_back(format_schema(format));
  return schemas;
}

std::string without_marks(std::string bytes) {
  std::erase_if(bytes, [](char c) { return static_cast<uint8_t>(c) >= kFirstMark; });
  return bytes;
}

// Samples documents of every schema and holds them to it. With GOSSAMER_GRAMMAR_DUMP=FILE set, also writes
// them as lines {"schema", "text"} for another validator to judge.
void sample_and_validate(const std::shared_ptr<const GrammarVocabulary>& vocabulary, int per_schema) {
  const char* dump = std::getenv("GOSSAMER_GRAMMAR_DUMP");
  std::ofstream file;
  if (dump != nullptr) file.open(dump, std::ios::app);
  TestRandom random(7);
  std::size_t num_tokens = 0;
  std::size_t num_documents = 0;
  double seconds = 0;
  for (const std::string& text : all_schemas()) {
    const json::value schema = parse_schema(text);
    const auto masks = masks_of(text, vocabulary);
    std::size_t schema_tokens = 0;
    double schema_seconds = 0;
    for (int i = 0; i < per_schema; ++i) {
      const Walk sampled = walk(masks, random, 10 + random.below(40));
      ASSERT_TRUE(sampled.finished) << text << ": " << sampled.error << " after " << sampled.bytes;
      const std::string document = without_marks(sampled.bytes);
      const json::value value = parse_json(document, "sampled");
      ASSERT_EQ(violation(value, schema, schema), "") << text << " by " << document;
      if (dump != nullptr)
        file << json::serialize(json::object{{"schema", schema}, {"text", document}}) << "\n";
      schema_tokens += sampled.tokens.size();
      schema_seconds += sampled.seconds;
      ++num_documents;
    }
    num_tokens += schema_tokens;
    seconds += schema_seconds;
    std::cout << fmt::format("{:8.1f} us/token, {:5} tokens, {:6.1f} MB of masks  {}\n",
                             schema_seconds / static_cast<double>(schema_tokens) * 1e6, schema_tokens,
                             static_cast<double>(masks->num_bytes()) / 1e6, text.substr(0, 70));
  }
  std::cout << fmt::format("{} documents, {} tokens, {:.1f} us for a mask on average, first uses included\n",
                           num_documents, num_tokens, seconds / static_cast<double>(num_tokens) * 1e6);
}

TEST(Matcher, AllowsExactlyTheTokensThatCanFollow) {
  const auto vocabulary = small_vocabulary();
  TestRandom random(11);
  std::size_t num_masks = 0;
  for (const std::string& text : all_schemas()) {
    const auto masks = masks_of(text, vocabulary);
    for (int repeat = 0; repeat < 4; ++repeat) {
      const Walk sampled = walk(masks, random, 25);
      ASSERT_TRUE(sampled.finished) << text << ": " << sampled.error;
      Matcher matcher(masks);
      for (const int32_t token : sampled.tokens) {
        std::vector<uint64_t> mask(vocabulary->mask_words());
        matcher.fill_mask(mask);
        std::vector<int32_t> expected;
        for (int32_t id = 0; id < static_cast<int32_t>(vocabulary->tokens().size()); ++id) {
          if (!matcher.advance(id)) continue;
          matcher.rollback(matcher.tokens().size() - 1);
          expected.push_back(id);
        }
        ASSERT_FALSE(expected.empty());
        ASSERT_EQ(ids_in(mask), expected) << text << " behind " << sampled.bytes;
        ASSERT_TRUE(matcher.advance(token));
        ++num_masks;
      }
    }
  }
  EXPECT_GT(num_masks, 1000U);
}

TEST(Matcher, SampledDocumentsSatisfyTheirSchema) { sample_and_validate(small_vocabulary(), 100); }

TEST(Matcher, SampledDocumentsSatisfyTheirSchemaWithTheRealVocabulary) {
  GOSSAMER_SKIP_WITHOUT_SHARED_DATA();
  sample_and_validate(real_vocabulary(), 10);
}

TEST(Matcher, AgreesWithBruteForceInTheRealVocabulary) {
  GOSSAMER_SKIP_WITHOUT_SHARED_DATA();
  const auto vocabulary = real_vocabulary();
  TestRandom random(5);
  for (const char* text : {kSampleSchemas[0], kSampleSchemas[8], kSampleSchemas[9], kSampleSchemas[20]}) {
    const auto masks = masks_of(text, vocabulary);
    const Walk sampled = walk(masks, random, 12);
    ASSERT_TRUE(sampled.finished);
    Matcher matcher(masks);
    for (const int32_t token : sampled.tokens) {
      std::vector<uint64_t> mask(vocabulary->mask_words());
      matcher.fill_mask(mask);
      for (int i = 0; i < 3000; ++i) {
        const auto id = static_cast<int32_t>(random.below(vocabulary->tokens().size()));
        const bool allowed = (mask[static_cast<std::size_t>(id) / 64] >> (id % 64) & 1) != 0;
        ASSERT_EQ(matcher.advance(id), allowed) << id << " behind " << sampled.bytes;
        if (allowed) matcher.rollback(matcher.tokens().size() - 1);
      }
      ASSERT_TRUE(matcher.advance(token));
    }
  }
}

TEST(Matcher, RollsBackToAnyPrefix) {
  const auto masks = masks_of(kSampleSchemas[1], small_vocabulary());
  TestRandom random(3);
  const Walk sampled = walk(masks, random, 20);
  ASSERT_TRUE(sampled.finished);
  GrammarConstraint constraint(masks);
  std::vector<std::vector<uint64_t>> seen;
  const auto mask_at = [&](std::size_t length) {
    std::vector<uint64_t> mask(masks->vocabulary().mask_words());
    EXPECT_EQ(constraint.fill_mask(std::span(sampled.tokens).first(length), mask), "");
    return mask;
  };
  for (std::size_t length = 0; length <= sampled.tokens.size(); ++length) seen.push_back(mask_at(length));
  for (int i = 0; i < 50; ++i) {
    const std::size_t length = random.below(seen.size());
    EXPECT_EQ(mask_at(length), seen[length]);
  }
}

TEST(Matcher, SaysWhatIsWrong) {
  GrammarConstraint constraint(masks_of(R"({"type":"object"})", small_vocabulary()));
  std::vector<uint64_t> mask(small_vocabulary()->mask_words());
  const std::vector<int32_t> output = {'{', 'x'};
  EXPECT_EQ(constraint.fill_mask(output, mask),
            "token 120 (number 2 of the output) is not allowed by the grammar");
}

TEST(Matcher, KnowsWhatIsForced) {
  Matcher matcher(masks_of(R"({"type":"object","properties":{"name":{"const":"x"}},"required":["name"]})",
                           small_vocabulary()));
  EXPECT_EQ(matcher.forced_bytes(100), R"({"name":)");
  EXPECT_EQ(matcher.forced_bytes(3), R"({"n)");
  for (const char c : std::string_view(R"({"name":"x"})")) ASSERT_TRUE(matcher.advance(c));
  EXPECT_FALSE(matcher.is_complete());
  EXPECT_EQ(matcher.forced_bytes(100), mark(Mark::kEndOfText));
  ASSERT_TRUE(matcher.advance(static_cast<uint8_t>(Mark::kEndOfText)));
  EXPECT_TRUE(matcher.is_finished());
}

TEST(Matcher, SharesMasksBetweenThreads) {
  const auto masks = masks_of(kSampleSchemas[16], small_vocabulary());
  std::vector<std::thread> threads;
  std::vector<std::string> documents(4);
  for (std::size_t i = 0; i < documents.size(); ++i) {
    threads.emplace_back([&, i] {
      TestRandom random(1);  // the same walk in each
      documents[i] = walk(masks, random, 100).bytes;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& document : documents) EXPECT_EQ(document, documents[0]);
}

}  // namespace
}  // namespace gossamer
