// The numerics contract at full load: requests of all kinds at once, prefixes shared, pages running out,
// speculation on, some cancelled. Every survivor gives exactly the tokens and log-probability bits that it
// gives alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "tests/model/fixture.h"

namespace gossamer {
namespace {

struct Answer {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
  std::optional<FinishReason> reason;
  bool operator==(const Answer& other) const {
    return tokens == other.tokens && reason == other.reason && logprobs.size() == other.logprobs.size() &&
           std::memcmp(logprobs.data(), other.logprobs.data(), logprobs.size() * sizeof(float)) == 0;
  }
};

void collect(std::vector<Output> outputs, std::map<RequestId, Answer>& answers) {
  for (Output& output : outputs) {
    Answer& answer = answers[output.id];
    if (output.token) answer.tokens.push_back(*output.token);
    if (output.logprobs) answer.logprobs.push_back(output.logprobs->token.logprob);
    if (output.finish_reason) answer.reason = output.finish_reason;
  }
}

class FullLoad : public testing::TestWithParam<std::string> {
 protected:
  static constexpr int kRequests = 64;
  static constexpr int64_t kLongestAnswer = 200;

  std::filesystem::path folder() const {
    return GetParam() == "demo" ? demo_folder() : load_fixture(GetParam()).folder;
  }
  // `longest`: of a prompt.
  std::vector<Request> make_requests(int64_t longest) const {
    std::mt19937 random(7);
    const auto between = [&](int64_t low, int64_t high) {
      return std::uniform_int_distribution<int64_t>(low, high)(random);
    };
    std::vector<std::vector<int32_t>> prefixes(4);
    for (auto& prefix : prefixes) {
      for (int64_t i = 0; i < longest / 2; ++i) prefix.push_back(static_cast<int32_t>(between(0, 255)));
    }
    std::vector<Request> requests;
    for (int i = 0; i < kRequests; ++i) {
      Request request;
      const int64_t size =
          i % 8 == 0 ? between(longest / 2, longest) : between(1, std::min<int64_t>(longest, 200));
      if (i % 3 != 0) request.prompt = prefixes[static_cast<std::size_t>(i % 4)];
      request.prompt.resize(std::min(request.prompt.size(), static_cast<std::size_t>(size * 2 / 3)));
      const int64_t period = i % 5 == 0 ? 6 : size;  // some repeat themselves, which is drafted well
      while (static_cast<int64_t>(request.prompt.size()) < size) {
        const std::size_t at = request.prompt.size();
        request.prompt.push_back(static_cast<int64_t>(at) < period || i % 5 != 0
                                     ? static_cast<int32_t>(between(0, 255))
                                     : request.prompt[at - static_cast<std::size_t>(period)]);
      }
      request.max_new_tokens = between(1, kLongestAnswer);
      request.top_logprobs = 0;
      request.sampling.seed = static_cast<uint64_t>(i);
      if (i % 4 == 0) request.sampling.temperature = 0.0F;
      if (i % 4 == 1) request.sampling.top_p = 0.8F;
      if (i % 4 == 2) request.sampling = {.top_k = 5, .repetition_penalty = 1.3F, .seed = 5};
      if (i % 5 == 0) request.sampling.logit_bias = {{7, 60.0F}};  // says 7 for ever
      if (i % 5 == 1)
        request.sampling.logit_bias = {{7, 60.0F}, {8, 60.0F}};  // drafts are right now and then
      if (i % 7 == 3) request.sampling.frequency_penalty = 0.5F;
      requests.push_back(std::move(request));
    }
    return requests;
  }
};

TEST_P(FullLoad, EverySurvivorGivesTheBitsThatItGivesAlone) {
  const BackendOptions backend{.name = "cpu", .num_threads = 2};
  const int64_t positions = ModelFolder::open(folder(), {}).model->info().max_positions;
  const int64_t max_len = std::min<int64_t>(positions, 3000 + kLongestAnswer + 1);
  const std::vector<Request> requests = make_requests(std::min<int64_t>(max_len - kLongestAnswer - 1, 3000));

  std::vector<Answer> alone;
  FixtureEngine solo =
      make_engine(folder(), backend, {}, {.max_model_len = max_len, .max_batched_tokens = 512}, 512);
  for (const Request& request : requests) {
    std::map<RequestId, Answer> answers;
    const RequestId id = solo.engine->submit(request).value();
    while (!solo.engine->idle()) collect(solo.engine->step(), answers);
    alone.push_back(answers.at(id));
  }

  FixtureEngine full = make_engine(folder(), backend, {},
                                   {.max_model_len = max_len,
                                    .max_num_seqs = 24,
                                    .max_batched_tokens = 192,
                                    .max_logit_rows = 64,
                                    .kv_cache_tokens = max_len,
                                    .prefix_cache = true},
                                   96, 8);
  std::mt19937 random(3);
  std::map<RequestId, Answer> answers;
  std::map<RequestId, std::size_t> number_of;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const RequestId id = full.engine->submit(requests[i]).value();
    number_of[id] = i;
    if (random() % 2 == 0) collect(full.engine->step(), answers);
    if (random() % 6 == 0)
      full.engine->cancel(1 + static_cast<RequestId>(random() % static_cast<uint32_t>(id)));
    full.engine->check_integrity();
  }
  while (!full.engine->idle()) {
    collect(full.engine->step(), answers);
    full.engine->check_integrity();
  }
  int survivors = 0;
  for (const auto& [id, answer] : answers) {
    if (answer.reason == FinishReason::kCancelled) continue;
    ++survivors;
    EXPECT_TRUE(answer == alone[number_of.at(id)]) << "request " << number_of.at(id);
  }
  const EngineLoad load = full.engine->load();
  EXPECT_GT(survivors, kRequests / 2);
  EXPECT_LT(survivors, kRequests) << "some are cancelled";
  EXPECT_GT(load.preemptions, 0);
  EXPECT_GT(load.cached_tokens, 0);
  EXPECT_GT(load.accepted_tokens, 0);
  EXPECT_EQ(load.used_pages, 0);
  std::printf("%d survivors, %ld preemptions, %ld of %ld prompt tokens cached, %ld of %ld drafts accepted\n",
              survivors, static_cast<long>(load.preemptions), static_cast<long>(load.cached_tokens),
              static_cast<long>(load.prompt_tokens), static_cast<long>(load.accepted_tokens),
              static_cast<long>(load.drafted_tokens));
}

std::vector<std::string> all_models() {
  std::vector<std::string> names = fixture_names();
  names.emplace_back("demo");
  return names;
}

INSTANTIATE_TEST_SUITE_P(Models, FullLoad, testing::ValuesIn(all_models()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace gossamer
