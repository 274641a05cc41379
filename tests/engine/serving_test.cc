// What the engine does for many requests at once: cached prefixes, pages that run out, speculation, limits,
// deadlines, constraints. Whatever it does, tokens and log-probabilities are those of a request alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

#include "tests/engine/engine_rig.h"

namespace gossamer {
namespace {

using test::Finished;
using test::make_prompt;
using test::make_request;
using test::Rig;
using testing::HasSubstr;

class Serving : public testing::TestWithParam<const char*> {
 protected:
  std::string config() const { return GetParam(); }
  Finished alone(const Request& request) const {
    Rig rig(config(), {.limits = {}}, "cpu");
    return rig.generate(request);
  }
};

Request scored(Request request) {
  request.top_logprobs = 0;
  return request;
}

TEST_P(Serving, ACachedPrefixGivesTheSameBits) {
  const Request first = scored(make_request(130, 1, 30));
  Request second = scored(make_request(170, 2, 30));
  std::copy_n(first.prompt.begin(), 120, second.prompt.begin());
  const Finished expected = alone(second);
  Rig rig(config(), {.limits = {.max_batched_tokens = 48, .prefix_cache = true}}, "cpu", 2);
  EXPECT_EQ(rig.generate(first), alone(first));
  const Finished found = rig.generate(second);
  EXPECT_EQ(found, expected);
  EXPECT_EQ(found.times.cached_tokens, 96) << "three pages of the 120 tokens that are the same";
  const Finished again = rig.generate(second);
  EXPECT_EQ(again, expected);
  EXPECT_EQ(again.times.cached_tokens, 160);

  Request next_turn = scored(make_request(0, 3, 10));  // a conversation goes on
  next_turn.prompt = second.prompt;
  next_turn.prompt.insert(next_turn.prompt.end(), expected.tokens.begin(), expected.tokens.end());
  next_turn.prompt.push_back(3);
  const Finished turn = rig.generate(next_turn);
  EXPECT_EQ(turn, alone(next_turn));
  EXPECT_EQ(turn.times.cached_tokens, 192) << "the answer's pages are there too";
}

TEST_P(Serving, TheRestOfACancelledPromptIsCachedForTheRetry) {
  const Request request = scored(make_request(200, 1, 5));
  Rig rig(config(), {.limits = {.max_batched_tokens = 32, .prefix_cache = true}}, "cpu");
  const RequestId id = rig.submit(request);
  for (int i = 0; i < 4; ++i) rig.step();
  rig.engine().cancel(id);
  rig.run();
  const Finished retried = rig.generate(request);
  EXPECT_EQ(retried, alone(request));
  EXPECT_EQ(retried.times.cached_tokens, 128);
}

TEST_P(Serving, SeveralAnswersAreThoseOfSeparateRequestsAndShareThePrompt) {
  Request request = scored(make_request(100, 5, 20));
  request.num_sequences = 4;
  for (const bool cache : {false, true}) {
    Rig rig(config(), {.limits = {.max_num_seqs = 4, .max_batched_tokens = 64, .prefix_cache = cache}},
            "cpu");
    const RequestId id = rig.submit(request);
    rig.run();
    for (int i = 0; i < 4; ++i) {
      Request one = request;
      one.num_sequences = 1;
      one.sampling.seed += static_cast<uint64_t>(i);
      EXPECT_EQ(rig.result(id, i), alone(one)) << i;
      EXPECT_EQ(rig.result(id, i).times.cached_tokens, cache && i > 0 ? 96 : 0);
    }
  }
}

TEST_P(Serving, PreemptionChangesNothing) {
  const auto request = [](int i) {
    return scored(make_request(static_cast<std::size_t>(40 + 9 * i), 10U + i, 60));
  };
  for (const bool cache : {false, true}) {
    Rig rig(config(),
            {.limits = {.max_num_seqs = 6,
                        .max_batched_tokens = 64,
                        .kv_cache_tokens = 256,
                        .prefix_cache = cache}},
            "cpu", 2);
    std::vector<RequestId> ids;
    for (int i = 0; i < 6; ++i) ids.push_back(rig.submit(request(i)));
    const auto& results = rig.run();
    int64_t preemptions = 0;
    for (int i = 0; i < 6; ++i) {
      EXPECT_EQ(results.at(ids[static_cast<std::size_t>(i)]), alone(request(i))) << i;
      preemptions += results.at(ids[static_cast<std::size_t>(i)]).times.preemptions;
    }
    EXPECT_GT(preemptions, 0);
    EXPECT_EQ(rig.engine().load().preemptions, preemptions);
    EXPECT_EQ(rig.engine().load().used_pages, 0);
  }
}

TEST_P(Serving, SpeculationGivesWhatPlainDecodingGives) {
  int64_t accepted = 0;
  for (const float temperature : {0.0F, 0.7F, 5.0F}) {
    Request request = scored(make_request(60, 3, 150));
    request.sampling.temperature = temperature;
    for (std::size_t i = 0; i < 60; ++i) request.prompt[i] = request.prompt[i % 7];
    request.sampling.logit_bias[request.prompt[3]] = 3.0F;
    Rig rig(config(), {.limits = {.max_logit_rows = 64}, .max_draft_tokens = 8}, "cpu");
    const Finished found = rig.generate(request);
    EXPECT_EQ(found, alone(request)) << temperature;
    accepted += found.times.accepted_tokens;
    EXPECT_EQ(rig.engine().load().new_tokens, 150);
  }
  EXPECT_GT(accepted, 0);
}

TEST_P(Serving, PromptLogprobsAreThoseOfThePromptsLogitsWhateverTheCache) {
  Request request = make_request(90, 4, 3);
  request.prompt_logprobs = 2;
  const Finished expected = alone(request);
  ASSERT_EQ(expected.prompt_logprobs.size(), 89U);
  std::vector<float> from_logits;
  Request shown = make_request(90, 4, 0);
  shown.on_prompt_logits = [&](int64_t position, std::span<const float> logits, std::span<const float>) {
    if (position + 1 == 90) return;
    double sum = 0.0;
    for (const float logit : logits) sum += std::exp(double{logit});
    from_logits.push_back(static_cast<float>(
        double{logits[static_cast<std::size_t>(shown.prompt[static_cast<std::size_t>(position) + 1])]} -
        std::log(sum)));
  };
  Rig plain(config(), {.limits = {}}, "cpu");
  plain.generate(shown);
  EXPECT_THAT(expected.prompt_logprobs, testing::Pointwise(testing::FloatNear(1e-4F), from_logits));

  Rig rig(config(),
          {.limits = {.max_num_seqs = 3,
                      .max_batched_tokens = 40,
                      .max_logit_rows = 16,
                      .kv_cache_tokens = 256,
                      .prefix_cache = true}},
          "cpu");
  rig.generate(request);
  rig.submit(make_request(200, 8, 40));
  const RequestId id = rig.submit(request);
  EXPECT_EQ(rig.run().at(id).prompt_logprobs, expected.prompt_logprobs);
}

TEST_P(Serving, NoStopTokenComesBeforeTheLeastNumberOfTokens) {
  Request request = make_request(10, 3, 40);
  request.sampling.temperature = 3.0F;
  for (int32_t id = 0; id < 40; ++id) request.stop_token_ids.push_back(id);
  EXPECT_LT(alone(request).tokens.size(), 10U);
  request.min_new_tokens = 15;
  const Finished finished = alone(request);
  ASSERT_GE(finished.tokens.size(), 15U);
  for (std::size_t i = 0; i < 15; ++i) EXPECT_GE(finished.tokens[i], 40);
}

// Allows one id, from the third token on.
class Only : public TokenConstraint {
 public:
  explicit Only(int32_t id) : id_(id) {}
  std::string fill_mask(std::span<const int32_t> output, TokenMask mask) override {
    for (std::size_t id = 0; id < 47; ++id) {
      if (output.size() < 2 || id == static_cast<std::size_t>(id_)) mask[id / 64] |= uint64_t{1} << (id % 64);
    }
    return {};
  }
  bool is_active(std::span<const int32_t>) const override { return true; }

 private:
  int32_t id_;
};

TEST_P(Serving, AStopTokenMayComeEarlyWhereAConstraintAllowsNothingElse) {
  Request request = make_request(10, 3, 30);
  for (int32_t id = 0; id < 40; ++id) request.stop_token_ids.push_back(id);
  request.min_new_tokens = 15;
  request.make_constraint = [] { return std::make_unique<Only>(5); };
  const Finished finished = alone(request);
  EXPECT_EQ(finished.reason, FinishReason::kStop) << finished.error;
  ASSERT_EQ(finished.tokens.size(), 3U);
  EXPECT_GE(finished.tokens[0], 40);
  EXPECT_GE(finished.tokens[1], 40);
  EXPECT_EQ(finished.tokens[2], 5);
}

// Allows the ids that are `remainder` modulo 5.
class Residue : public TokenConstraint {
 public:
  explicit Residue(int remainder) : remainder_(remainder) {}
  std::string fill_mask(std::span<const int32_t> output, TokenMask mask) override {
    if (remainder_ < 0) throw std::runtime_error("a broken grammar");
    const auto wanted = static_cast<std::size_t>(remainder_ + static_cast<int>(output.size())) % 5;
    for (std::size_t id = wanted; id < 47; id += 5) mask[id / 64] |= uint64_t{1} << (id % 64);
    return {};
  }
  bool is_active(std::span<const int32_t> output) const override { return output.size() != 7; }

 private:
  int remainder_;
};

TEST_P(Serving, AConstraintChoosesWhatMayComeAndABrokenOneEndsItsOwnRequestOnly) {
  Rig rig(config(), {.limits = {.max_num_seqs = 3, .max_logit_rows = 64}, .max_draft_tokens = 4}, "cpu", 2);
  Request request = make_request(20, 3, 20);
  const RequestId free = rig.submit(request);
  request.make_constraint = [] { return std::make_unique<Residue>(2); };
  const RequestId constrained = rig.submit(request);
  request.make_constraint = [] { return std::make_unique<Residue>(-1); };
  const RequestId broken = rig.submit(request);
  const auto& results = rig.run();
  EXPECT_EQ(results.at(free), alone(make_request(20, 3, 20)));
  ASSERT_EQ(results.at(constrained).tokens.size(), 20U);
  for (std::size_t i = 0; i < 20; ++i) {
    if (i == 7) continue;  // not active there
    EXPECT_EQ(static_cast<std::size_t>(results.at(constrained).tokens[i]) % 5, (2 + i) % 5) << i;
  }
  EXPECT_EQ(results.at(broken).reason, FinishReason::kError);
  EXPECT_THAT(results.at(broken).error, HasSubstr("a broken grammar"));
}

// Allows few tokens, others at each of five places, so that what a sequence says repeats itself and is
// drafted, and says something wrong about itself if it is asked out of order.
class Cycle : public TokenConstraint {
 public:
  std::string fill_mask(std::span<const int32_t> output, TokenMask mask) override {
    const std::size_t shared = static_cast<std::size_t>(
        std::mismatch(seen_.begin(), seen_.end(), output.begin(), output.end()).first - seen_.begin());
    if (seen_.size() - shared > kMaxLookAhead) return "more was taken back than may be";
    seen_.assign(output.begin(), output.end());
    for (std::size_t choice = 0; choice < 2; ++choice) {
      const std::size_t id = 1 + (output.size() % 5) * 7 + choice * 3;
      mask[id / 64] |= uint64_t{1} << (id % 64);
    }
    return {};
  }
  bool is_active(std::span<const int32_t> output) const override { return output.size() % 11 != 10; }

 private:
  std::vector<int32_t> seen_;
};

TEST_P(Serving, DraftsOfConstrainedSequencesChangeNothingButTheTime) {
  // How much an engine drafts depends on how long its steps take: several, so that right drafts and wrong
  // ones come.
  int64_t drafted = 0;
  int64_t accepted = 0;
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    Request request = scored(make_request(20, seed, 120));
    request.make_constraint = [] { return std::make_unique<Cycle>(); };
    const Finished plain = alone(request);
    ASSERT_EQ(plain.tokens.size(), 120U) << plain.error;
    Rig rig(config(), {.limits = {.max_num_seqs = 3, .max_logit_rows = 64}, .max_draft_tokens = 6}, "cpu", 2);
    const RequestId first = rig.submit(request);
    const RequestId second = rig.submit(request);
    const auto& results = rig.run();
    EXPECT_EQ(results.at(first), plain);
    EXPECT_EQ(results.at(second), plain);
    for (const RequestId id : {first, second}) {
      drafted += results.at(id).times.drafted_tokens;
      accepted += results.at(id).times.accepted_tokens;
    }
  }
  EXPECT_GT(accepted, 0);
  EXPECT_GT(drafted, accepted);
}

TEST_P(Serving, DeadlinesEndWhatTheyConcernAndSayWhich) {
  Rig rig(config(), {.limits = {.max_num_seqs = 1, .max_batched_tokens = 16}}, "cpu");
  const EngineClock::time_point past = EngineClock::now() - std::chrono::seconds(1);
  const RequestId running = rig.submit(make_request(10, 1, 100));
  rig.step();
  Request waiting = make_request(10, 2, 5);
  waiting.deadlines.start = past;
  const RequestId late = rig.submit(waiting);
  Request later = make_request(100, 2, 5);
  later.deadlines.start = EngineClock::now() + std::chrono::hours(1);
  later.deadlines.end = EngineClock::now() + std::chrono::hours(1);
  const RequestId patient = rig.submit(later);
  rig.step();
  rig.engine().cancel(running);
  const auto& results = rig.run();
  EXPECT_EQ(results.at(late).reason, FinishReason::kDeadline);
  EXPECT_THAT(results.at(late).error, HasSubstr("the queueing deadline passed"));
  EXPECT_EQ(results.at(patient).reason, FinishReason::kLength);
  Request slow = make_request(100, 2, 5);
  slow.deadlines.first_token = past;
  EXPECT_THAT(rig.generate(slow).error, HasSubstr("the first token's deadline"));
  slow = make_request(100, 2, 5);
  slow.deadlines.end = past;
  EXPECT_THAT(rig.generate(slow).error, HasSubstr("the deadline"));
  EXPECT_TRUE(rig.engine().idle());
}

TEST_P(Serving, OneOfSeveralAnswersCanBeCancelled) {
  Rig rig(config(), {.limits = {.max_num_seqs = 3, .prefix_cache = true}}, "cpu");
  Request request = make_request(40, 5, 20);
  request.num_sequences = 3;
  const RequestId id = rig.submit(request);
  for (int i = 0; i < 5; ++i) rig.step();
  rig.engine().cancel(id, 1);
  rig.engine().cancel(id, 7);   // there is none
  rig.engine().cancel(id + 1);  // nor such a request
  rig.run();
  EXPECT_EQ(rig.result(id, 0).reason, FinishReason::kLength);
  EXPECT_EQ(rig.result(id, 1).reason, FinishReason::kCancelled);
  EXPECT_EQ(rig.result(id, 2).reason, FinishReason::kLength);
  EXPECT_EQ(rig.engine().load().running_sequences, 0);
}

INSTANTIATE_TEST_SUITE_P(All, Serving,
                         testing::Values(test::kTinyGpt2, test::kTinyGptNeox, test::kTinyGptOss),
                         [](const auto& instance) {
                           const std::string config = instance.param;
                           const std::size_t begin = config.find(": \"") + 3;
                           return config.substr(begin, config.find('"', begin) - begin);
                         });

TEST(ServingLimits, AFullQueueRefusesAtTheDoor) {
  Rig rig(test::kTinyGpt2,
          {.limits = {.max_num_seqs = 1}, .max_waiting_requests = 3, .max_waiting_tokens = 100});
  std::vector<RequestId> ids;
  ids.push_back(rig.submit(make_request(200, 1, 5)));
  const auto too_long = rig.engine().submit(make_request(20, 1, 5));
  ASSERT_FALSE(too_long.ok());
  EXPECT_EQ(too_long.error().kind, RequestErrorKind::kOverloaded);
  EXPECT_THAT(too_long.error().message, HasSubstr("200 tokens are waiting"));
  rig.step();
  for (int i = 0; i < 3; ++i) ids.push_back(rig.submit(make_request(20, 1, 5)));
  const auto too_many = rig.engine().submit(make_request(1, 1, 5));
  ASSERT_FALSE(too_many.ok());
  EXPECT_EQ(too_many.error().kind, RequestErrorKind::kOverloaded);
  EXPECT_EQ(rig.engine().load().waiting_requests, 3);
  rig.engine().cancel(ids.back());
  const auto& results = rig.run();
  EXPECT_EQ(results.at(ids[1]).reason, FinishReason::kLength);
  EXPECT_EQ(rig.engine().load().waiting_requests, 0);
  EXPECT_EQ(rig.engine().load().waiting_tokens, 0);
}

TEST(ServingLimits, AWaitingRequestTakesLessThanAKilobyteBeyondItsPrompt) {
  Rig rig(test::kTinyGpt2, {.limits = {.max_num_seqs = 1}});
  constexpr int kRequests = 10000;
  constexpr std::size_t kPrompt = 50;
  const std::size_t before = mallinfo2().uordblks;
  for (int i = 0; i < kRequests; ++i) rig.submit(make_request(kPrompt, 1, 5));
  const std::size_t bytes = (mallinfo2().uordblks - before) / kRequests;
  EXPECT_LT(bytes, 1024 + kPrompt * sizeof(int32_t));
  rig.step();  // in the scheduler's queue
  EXPECT_LT((mallinfo2().uordblks - before) / kRequests, 1024 + kPrompt * sizeof(int32_t));
}

TEST(ServingLimits, TheLongestSequenceRunsInAPoolOfItsOwnSize) {
  Rig rig(
      test::kTinyGptOss,
      {.limits = {.max_num_seqs = 4, .max_batched_tokens = 32, .kv_cache_tokens = 256, .prefix_cache = true}},
      "cpu");
  for (int i = 0; i < 6; ++i) rig.submit(make_request(200, static_cast<uint32_t>(i), 56));
  for (const auto& [id, finished] : rig.run()) {
    EXPECT_EQ(finished.reason, FinishReason::kLength);
    EXPECT_EQ(finished.tokens.size(), 56U);
  }
}

}  // namespace
}  // namespace gossamer
