// The demo model asked in process and behind `gossamer serve`: the answers must be the same, to the last bit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "apps/subject/open_subject.h"
#include "tests/e2e/demo_server.h"
#include "tests/e2e/program.h"

namespace gossamer::apps {
namespace {

class ServedSubjectTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    server_ = std::make_unique<test::DemoServer>(test::Arguments{"--threads", "1"});
    SubjectOptions options;
    options.model.model = "demo";
    options.model.max_model_len = 2048;
    options.model.num_threads = 1;
    local_ = open_subject(options);
    served_ = open_served();
  }
  static void TearDownTestSuite() {
    served_ = nullptr;
    local_ = nullptr;
    server_ = nullptr;
  }
  static std::unique_ptr<Subject> open_served(const std::string& tokenizer = {}) {
    SubjectOptions options;
    options.model.model = server_->url();
    options.tokenizer = tokenizer;
    return open_subject(options);
  }
  static std::unique_ptr<test::DemoServer> server_;
  static std::unique_ptr<Subject> local_;
  static std::unique_ptr<Subject> served_;
};

std::unique_ptr<test::DemoServer> ServedSubjectTest::server_;
std::unique_ptr<Subject> ServedSubjectTest::local_;
std::unique_ptr<Subject> ServedSubjectTest::served_;

constexpr const char* kText =
    "The capital of France is Paris.\nDie Hauptstadt von \xC3\x96sterreich \xE6\x98\xAF Wien.";

void expect_same(const Result<CompletionAnswer>& a, const Result<CompletionAnswer>& b) {
  ASSERT_TRUE(a.ok()) << a.error().message;
  ASSERT_TRUE(b.ok()) << b.error().message;
  EXPECT_EQ(a.value().text, b.value().text);
  EXPECT_EQ(a.value().reasoning, b.value().reasoning);
  EXPECT_EQ(a.value().finish_reason, b.value().finish_reason);
  EXPECT_EQ(a.value().num_prompt_tokens, b.value().num_prompt_tokens);
  EXPECT_EQ(a.value().num_tokens, b.value().num_tokens);
  EXPECT_EQ(a.value().token_ids, b.value().token_ids);
}

TEST_F(ServedSubjectTest, TokenisesAlike) {
  EXPECT_EQ(served_->max_model_len(), 2048);
  const std::vector<int32_t> ids = local_->encode(kText);
  EXPECT_EQ(served_->encode(kText), ids);
  EXPECT_EQ(served_->decode(ids), kText);
  EXPECT_EQ(served_->prefix_token(), local_->prefix_token());
  EXPECT_EQ(served_->identity().at("model").as_string(), "demo");
}

TEST_F(ServedSubjectTest, CompletesAlike) {
  const CompletionQuestion plain = {.prompt = "The capital of France is", .max_new_tokens = 24};
  expect_same(local_->complete(plain), served_->complete(plain));
  const CompletionQuestion line = {.prompt = "1\n2\n", .max_new_tokens = 40, .stop_at_newline = true};
  expect_same(local_->complete(line), served_->complete(line));
  const CompletionQuestion chat = {
      .prompt = "What is the capital of France?", .chat = true, .max_new_tokens = 200};
  const Result<CompletionAnswer> served = served_->complete(chat);
  expect_same(local_->complete(chat), served);
  EXPECT_EQ(served.value().text, "The capital of France is Paris.");
  EXPECT_FALSE(served.value().reasoning.empty());
  EXPECT_GT(served.value().seconds_to_first_token, 0.0);
  EXPECT_LE(served.value().seconds_to_first_token, served.value().seconds);
}

TEST_F(ServedSubjectTest, GivesWhatThereIsRoomForInsteadOfARefusal) {
  const CompletionQuestion question = {
      .prompt = "What is the capital of France?", .chat = true, .max_new_tokens = 4096};
  const Result<CompletionAnswer> served = served_->complete(question);
  ASSERT_TRUE(served.ok()) << served.error().message;
  EXPECT_EQ(served.value().text, "The capital of France is Paris.");
  std::string longer;
  for (int i = 0; i < 3000; ++i) longer += " and";
  const Result<CompletionAnswer> too_long = served_->complete({.prompt = longer, .max_new_tokens = 1});
  ASSERT_FALSE(too_long.ok());
  EXPECT_EQ(too_long.error().kind, RequestErrorKind::kInvalid);
  EXPECT_THAT(too_long.error().message,
              testing::AllOf(testing::HasSubstr("/v1/completions: 400 "), testing::HasSubstr("2048")));
}

TEST_F(ServedSubjectTest, ScoresAlike) {
  const LikelihoodQuestion question = {
      .context = "Paris is the capital of France.\nQuestion: Is it?\nAnswer:",
      .continuations = {" yes", " no", " perhaps, who knows", " yes"}};
  for (const LikelihoodQuestion& asked :
       {question, LikelihoodQuestion{.context = "", .continuations = {"The capital"}}}) {
    const Result<LikelihoodAnswer> local = local_->loglikelihood(asked);
    ASSERT_TRUE(local.ok());
    const Result<LikelihoodAnswer> served = served_->loglikelihood(asked);
    ASSERT_TRUE(served.ok()) << served.error().message;
    EXPECT_EQ(served.value().logprobs, local.value().logprobs);
    EXPECT_EQ(served.value().num_context_tokens, local.value().num_context_tokens);
  }
  const std::unique_ptr<Subject> with_tokenizer = open_served("demo");
  EXPECT_EQ(with_tokenizer->encode(kText), local_->encode(kText));
  EXPECT_EQ(with_tokenizer->loglikelihood(question).value().logprobs,
            local_->loglikelihood(question).value().logprobs);
}

TEST_F(ServedSubjectTest, NamesTheLikeliestTokensAlike) {
  const std::vector<int32_t> ids = local_->encode(kText);
  for (const int num_top : {0, 1, 5}) {
    const auto local = local_->score_tokens(ids, num_top);
    const auto served = served_->score_tokens(ids, num_top);
    ASSERT_TRUE(local.ok());
    ASSERT_TRUE(served.ok()) << served.error().message;
    ASSERT_EQ(served.value().size(), ids.size() - 1);
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const TokenLogprobs& a = local.value()[i];
      const TokenLogprobs& b = served.value()[i];
      EXPECT_EQ(b.token.id, ids[i + 1]);
      EXPECT_EQ(b.token.logprob, a.token.logprob);
      EXPECT_EQ(b.rank, std::min<int64_t>(a.rank, num_top)) << i;
      ASSERT_EQ(b.top.size(), a.top.size());
      for (std::size_t k = 0; k < a.top.size(); ++k) {
        EXPECT_EQ(b.top[k].id, a.top[k].id);
        EXPECT_EQ(b.top[k].logprob, a.top[k].logprob);
      }
    }
  }
}

TEST_F(ServedSubjectTest, ExportsTheLastHiddenState) {
  std::vector<int32_t> ids = local_->encode(kText);
  const Result<std::vector<float>> local = local_->last_hidden(ids);
  const Result<std::vector<float>> served = served_->last_hidden(ids);
  ASSERT_TRUE(served.ok()) << served.error().message;
  EXPECT_GT(served.value().size(), 16U);
  EXPECT_EQ(served.value(), local.value());
  ids.pop_back();
  EXPECT_NE(served_->last_hidden(ids).value(), local.value());
}

}  // namespace
}  // namespace gossamer::apps
