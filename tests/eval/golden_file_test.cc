// Golden files: what is written is read, what is wrong is named, and comparing finds what differs.
#include "eval/golden_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

namespace gossamer {
namespace {

using testing::HasSubstr;

Recording sample() {
  const std::vector<float> hidden = {0.123456F, -4.5F, 1e-7F};
  return {.identity = {{"model", "demo"}},
          .max_new_tokens = 8,
          .num_top = 2,
          .answers = {{.prompt = "What is \"it\"?\n",
                       .chat = true,
                       .prompt_ids = {5, 6},
                       .answer_ids = {7, 8},
                       .answer = "It is.",
                       .finish_reason = "stop"}},
          .texts = {{.name = "answer 0",
                     .ids = {5, 6, 7, 8},
                     .num_given = 2,
                     .tokens = {{.logprob = -0.1F, .top = {{7, -0.1F}, {1, -3.25F}}},
                                {.logprob = -1.0F / 3.0F, .top = {{8, -1.0F / 3.0F}, {2, -2.0F}}}},
                     .hidden = hidden,
                     .hidden_checksum = hidden_checksum(hidden)},
                    {.name = "text 0", .ids = {1, 2}}}};
}

TEST(GoldenFile, KeepsEveryBitOfLogProbabilitiesAndFourDigitsOfHiddenStates) {
  const Recording written = sample();
  const Recording read = parse_golden_file(write_golden_file(written), "file");
  EXPECT_EQ(read.identity, written.identity);
  EXPECT_EQ(read.max_new_tokens, 8);
  EXPECT_EQ(read.num_top, 2);
  ASSERT_EQ(read.answers.size(), 1U);
  EXPECT_EQ(read.answers[0].prompt, written.answers[0].prompt);
  EXPECT_TRUE(read.answers[0].chat);
  EXPECT_EQ(read.answers[0].prompt_ids, written.answers[0].prompt_ids);
  EXPECT_EQ(read.answers[0].answer_ids, written.answers[0].answer_ids);
  EXPECT_EQ(read.answers[0].finish_reason, "stop");
  ASSERT_EQ(read.texts.size(), 2U);
  const RecordedText& text = read.texts[0];
  EXPECT_EQ(text.num_given, 2U);
  ASSERT_EQ(text.tokens.size(), 2U);
  EXPECT_EQ(text.tokens[1].logprob, -1.0F / 3.0F);
  EXPECT_EQ(text.tokens[1].top[0].logprob, -1.0F / 3.0F);
  EXPECT_EQ(text.tokens[0].top[1].id, 1);
  ASSERT_EQ(text.hidden.size(), 3U);
  EXPECT_EQ(text.hidden[0], 0.1235F);
  EXPECT_EQ(text.hidden_checksum, written.texts[0].hidden_checksum);
  EXPECT_TRUE(read.texts[1].tokens.empty());
  EXPECT_TRUE(read.texts[1].hidden.empty());
}

TEST(GoldenFile, FindsNoDifferenceFromWhatItWasWrittenFrom) {
  const Recording found = sample();
  const RecordingComparison compared =
      compare_recordings(parse_golden_file(write_golden_file(found), "file"), found);
  EXPECT_TRUE(compared.answers[0].tokens->identical());
  EXPECT_EQ(compared.answers[0].rouge_l, 1.0);
  EXPECT_TRUE(compared.answers[0].same_prompt_ids);
  EXPECT_EQ(compared.texts[0].cosine, 1.0);
  ASSERT_EQ(compared.texts[0].tokens.size(), 2U);
  for (const PredictedToken& token : compared.texts[0].tokens) {
    EXPECT_EQ(token.expected_loss, token.found_loss);
    EXPECT_EQ(token.divergence, 0.0);
    EXPECT_TRUE(token.same_top);
  }
  EXPECT_EQ(compared.texts[1].cosine, std::nullopt);
}

TEST(GoldenFile, FindsWhatDiffers) {
  Recording found = sample();
  found.answers[0].answer_ids = {7, 9};
  found.answers[0].prompt_ids = {6};
  found.texts[0].hidden = {0.0F, 4.5F, 0.0F};
  found.texts[0].hidden_checksum = hidden_checksum(found.texts[0].hidden);
  found.texts[0].tokens[0].logprob = -3.0F;
  found.texts[0].tokens[0].top = {{1, -0.1F}, {7, -3.0F}};
  const RecordingComparison compared = compare_recordings(sample(), found);
  EXPECT_EQ(compared.answers[0].tokens->first_difference, 1U);
  EXPECT_FALSE(compared.answers[0].same_prompt_ids);
  EXPECT_NEAR(*compared.texts[0].cosine, -1.0, 1e-3);
  EXPECT_FALSE(compared.texts[0].tokens[0].same_top);
  EXPECT_GT(compared.texts[0].tokens[0].divergence, 1.0);
  EXPECT_EQ(compared.texts[0].tokens[0].found_loss, 3.0);
}

TEST(GoldenFile, AnswersWithoutTokensAreNotCalledDifferent) {
  Recording found = sample();
  found.answers[0].answer_ids.clear();
  EXPECT_EQ(compare_recordings(sample(), found).answers[0].tokens, std::nullopt);
}

// Each mistake with what its message must say.
TEST(GoldenFile, NamesWhatIsWrongAndWhere) {
  const std::string right = write_golden_file(sample());
  const auto mistake = [&](const std::string& from, const std::string& to) {
    std::string text = right;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    try {
      parse_golden_file(text, "golden.json");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("no mistake was found");
  };
  EXPECT_THAT(mistake("\"gossamer_golden\":1", "\"gossamer_golden\":2"), HasSubstr("version 1, found 2"));
  EXPECT_THAT(mistake("gossamer_golden", "something"), HasSubstr("verify record"));
  EXPECT_THAT(mistake("\"answer_ids\":[7,8]", "\"answer_ids\":[7,-8]"),
              HasSubstr("golden.json: answers[0]: answer_ids[1]: expected a whole number from 0"));
  EXPECT_THAT(mistake("\"given\":2", "\"given\":4"), HasSubstr("texts[0]: given"));
  EXPECT_THAT(mistake("\"given\":2", "\"given\":3"), HasSubstr("expected 1 numbers"));
  EXPECT_THAT(mistake("\"logprobs\":[-1E-1", "\"logprobs\":[1E-1"), HasSubstr("at most 0"));
  EXPECT_THAT(mistake("\"logprobs\":[-1E-1", "\"logprobs\":[-1E99"), HasSubstr("fits a float"));
  EXPECT_THAT(mistake("[7,-1E-1,", "[7,-1E-1,1,-2,"), HasSubstr("at most 2 pairs"));
  EXPECT_THAT(mistake("\"chat\":true", "\"chat\":1"), HasSubstr("true or false"));
  EXPECT_THAT(mistake("\"ids\":[1,2]", "\"ids\":[1]"), HasSubstr("at least two token ids"));
  EXPECT_THAT(mistake("\"texts\"", "\"text\""), HasSubstr("expected a field \"texts\""));
  EXPECT_THAT(mistake("}]}", "}]"), HasSubstr("not valid JSON"));
}

}  // namespace
}  // namespace gossamer
