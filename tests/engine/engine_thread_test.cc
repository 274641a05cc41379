#include "engine/engine_thread.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <random>
#include <thread>

#include "tests/engine/engine_rig.h"

namespace gossamer {
namespace {

using test::make_request;
using test::Rig;

// Eight threads submit and cancel while the engine runs (under the thread sanitizer, too). Every request ends
// exactly once, and those that nobody cancelled give what they give alone.
TEST(EngineThread, EveryRequestFromEightThreadsEndsOnce) {
  constexpr int kThreads = 8;
  constexpr int kRequests = 40;
  std::vector<std::vector<int32_t>> alone;
  Rig plain(test::kTinyGptOss, {.limits = {}}, "cpu");
  for (int i = 0; i < kRequests; ++i) {
    alone.push_back(
        plain.generate(make_request(static_cast<std::size_t>(1 + i * 2), static_cast<uint32_t>(i), 8))
            .tokens);
  }
  Rig rig(
      test::kTinyGptOss,
      {.limits = {.max_num_seqs = 6, .max_batched_tokens = 48, .kv_cache_tokens = 512, .prefix_cache = true},
       .max_draft_tokens = 4,
       .max_waiting_requests = 100},
      "cpu", 2);
  std::atomic<int> num_ended{0};
  std::atomic<int> num_wrong{0};
  std::atomic<int> num_cancelled{0};
  {
    EngineThread engine(rig.engine());
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&, thread] {
        std::mt19937 random(static_cast<uint32_t>(thread));
        for (int i = 0; i < kRequests; ++i) {
          struct State {
            std::vector<int32_t> tokens;
            int ends = 0;
            std::promise<FinishReason> ended;
          };
          const auto state = std::make_shared<State>();
          std::future<FinishReason> ended = state->ended.get_future();
          Request request = make_request(static_cast<std::size_t>(1 + i * 2), static_cast<uint32_t>(i), 8);
          const auto id = engine.submit(std::move(request), [state, &num_wrong](Output output) {
            if (output.token) state->tokens.push_back(*output.token);
            if (!output.finish_reason) return;
            if (++state->ends > 1) ++num_wrong;
            if (state->ends == 1) state->ended.set_value(*output.finish_reason);
          });
          if (!id.ok()) {
            ++num_wrong;
            continue;
          }
          const bool cancels = random() % 4 == 0;
          if (cancels) {
            if (random() % 2 == 0) std::this_thread::yield();
            engine.cancel(id.value());
          }
          const FinishReason reason = ended.get();
          ++num_ended;
          if (reason == FinishReason::kCancelled) {
            ++num_cancelled;
          } else if (state->tokens != alone[static_cast<std::size_t>(i)]) {
            ++num_wrong;
          }
          (void)engine;
          (void)rig.engine().load();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  EXPECT_EQ(num_ended, kThreads * kRequests);
  EXPECT_EQ(num_wrong, 0);
  EXPECT_GT(num_cancelled, 0);
  EXPECT_TRUE(rig.engine().idle());
  rig.engine().check_integrity();
}

TEST(EngineThread, ASinkMaySubmitAndCancel) {
  Rig rig(test::kTinyGpt2, {.limits = {.max_num_seqs = 2}}, "cpu");
  std::promise<int> done;
  std::vector<int32_t> tokens;
  {
    EngineThread engine(rig.engine());
    RequestId first = 0;
    std::promise<void> submitted;
    std::shared_future<void> known = submitted.get_future().share();
    const auto id = engine.submit(make_request(5, 1, 200), [&](Output output) {
      known.wait();
      if (output.token) tokens.push_back(*output.token);
      if (tokens.size() == 3 && !output.finish_reason) engine.cancel(first);
      if (output.finish_reason) {
        const auto next = engine.submit(make_request(5, 2, 1), [&](Output) { done.set_value(1); });
        ASSERT_TRUE(next.ok());
      }
    });
    first = id.value();
    submitted.set_value();
    EXPECT_EQ(done.get_future().get(), 1);
  }
  EXPECT_EQ(tokens.size(), 3U) << "cancelled before the next step";
}

TEST(EngineThread, DestructionEndsWhatRuns) {
  Rig rig(test::kTinyGpt2, {.limits = {.max_num_seqs = 2}}, "cpu");
  std::vector<FinishReason> reasons;
  {
    EngineThread engine(rig.engine());
    for (int i = 0; i < 5; ++i) {
      const auto id = engine.submit(make_request(5, 1, 200), [&](Output output) {
        if (output.finish_reason) reasons.push_back(*output.finish_reason);
      });
      ASSERT_TRUE(id.ok());
    }
  }
  EXPECT_EQ(reasons.size(), 5U);
  EXPECT_TRUE(rig.engine().idle());
}

}  // namespace
}  // namespace gossamer
