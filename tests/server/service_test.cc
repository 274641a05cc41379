// What Service, CallRun and ModelHost do beyond what clients see through HTTP (tests/sdk): races, replacing
// models under load, ends of calls.
#include "server/service.h"

#include <gmock/gmock.h>

#include <atomic>
#include <fstream>
#include <latch>
#include <sstream>

#include "base/json.h"
#include "tests/server/service_rig.h"

namespace gossamer::test {
namespace {

using testing::HasSubstr;

std::string completion(int max_tokens, bool stream = false, const std::string& prompt = "The capital of") {
  return json::serialize(
      json::object{{"prompt", prompt}, {"max_tokens", max_tokens}, {"ignore_eos", true}, {"stream", stream}});
}

std::string code_of(const HttpResponse& response) {
  return std::string(parse_json(response.body, "response").at("error").at("code").as_string());
}

std::string text_of(const HttpResponse& response) {
  return std::string(parse_json(response.body, "response").at("choices").at(0).at("text").as_string());
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(ModelHost, TellsHowFarLoadingIsAndRefusesCallsUntilThen) {
  ServiceRig rig;
  std::latch loading(1);
  std::latch go_on(1);
  ASSERT_TRUE(rig.host().load(std::make_unique<DemoModel>("slow", [&] {
    loading.count_down();
    go_on.wait();
  })));
  loading.wait();
  const ModelStatus status = rig.host().status();
  EXPECT_EQ(status.state, ModelState::kLoading);
  EXPECT_DOUBLE_EQ(status.progress, 0.25);
  EXPECT_TRUE(status.seconds_left.has_value());
  const HttpResponse ready = rig.send("GET", "/health/ready")->wait();
  EXPECT_EQ(ready.status, 503);
  EXPECT_EQ(parse_json(ready.body, "ready").at("percent"), 25.0);
  const HttpResponse refused = rig.send("POST", "/v1/completions", completion(1))->wait();
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(code_of(refused), "model_not_ready");
  EXPECT_FALSE(rig.host().load(std::make_unique<DemoModel>("second")));
  go_on.count_down();
  EXPECT_EQ(rig.host().wait().state, ModelState::kReady);
  EXPECT_EQ(rig.send("GET", "/health/ready")->wait().status, 200);
}

TEST(ModelHost, SaysWhyLoadingFailedAndLoadsAnother) {
  ServiceRig rig;
  ASSERT_TRUE(rig.host().load(std::make_unique<DemoModel>("bad", [] { throw Error("no such luck"); })));
  const ModelStatus status = rig.host().wait();
  EXPECT_EQ(status.state, ModelState::kFailed);
  EXPECT_EQ(status.error, "no such luck");
  EXPECT_THAT(rig.send("POST", "/v1/completions", completion(1))->wait().body, HasSubstr("no such luck"));
  rig.load(std::make_unique<DemoModel>("good"));
  EXPECT_EQ(rig.send("POST", "/v1/completions", completion(1))->wait().status, 200);
}

TEST(ModelHost, ReplacesAModelOnceItsCallsHaveEnded) {
  ServiceRig rig;
  rig.load(std::make_unique<DemoModel>("first"));
  const auto running = rig.send("POST", "/v1/completions", completion(1500, /*stream=*/true));
  running->wait_for_bytes(100);
  ASSERT_TRUE(rig.host().load(std::make_unique<DemoModel>("second")));
  EXPECT_EQ(rig.send("POST", "/v1/completions", completion(1))->wait().status, 503);
  EXPECT_THAT(running->wait().body, HasSubstr("\"finish_reason\":\"length\""));
  ASSERT_EQ(rig.host().wait().state, ModelState::kReady);
  EXPECT_EQ(rig.host().current()->model.names.front(), "second");
  EXPECT_EQ(rig.send("POST", "/v1/completions", completion(1))->wait().status, 200);
}

TEST(Service, EndsWithCallsStillRunning) {
  ServiceRig rig;
  rig.load(std::make_unique<DemoModel>("demo"));
  for (int i = 0; i < 8; ++i) rig.send("POST", "/v1/completions", completion(1500, i % 2 == 0));
}

TEST(Service, CancelledCallsAreAnsweredWithTheReason) {
  ServiceRig rig;
  rig.load(std::make_unique<DemoModel>("demo"));
  const auto whole = rig.send("POST", "/v1/completions", completion(1900));
  const auto stream = rig.send("POST", "/v1/completions", completion(1900, /*stream=*/true));
  stream->wait_for_bytes(200);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (rig.service().num_calls() < 2 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
  ASSERT_EQ(rig.service().num_calls(), 2U);
  rig.service().drain();
  rig.service().cancel_calls();
  EXPECT_EQ(whole->wait().status, 503);
  EXPECT_EQ(code_of(whole->wait()), "shutting_down");
  EXPECT_THAT(stream->wait().body, HasSubstr("\"code\":\"shutting_down\""));
  EXPECT_TRUE(rig.service().wait_for_calls(std::chrono::steady_clock::now() + std::chrono::seconds(10)));
}

TEST(Service, ARefusedPromptOfSeveralFreesTheOthers) {
  ServiceRig rig;
  rig.load(std::make_unique<DemoModel>("demo", std::function<void()>(), /*max_num_seqs=*/1,
                                       /*max_waiting_requests=*/2));
  json::array prompts;
  for (int i = 0; i < 40; ++i) prompts.emplace_back("a");
  const std::string body =
      json::serialize(json::object{{"prompt", prompts}, {"max_tokens", 1500}, {"ignore_eos", true}});
  const HttpResponse response = rig.send("POST", "/v1/completions", body)->wait();
  EXPECT_EQ(response.status, 429);
  bool has_retry_after = false;
  for (const auto& [name, value] : response.headers) has_retry_after |= name == "Retry-After";
  EXPECT_TRUE(has_retry_after);
  // The next one has room although those of the refused call would run for long.
  const auto start = std::chrono::steady_clock::now();
  int status = 429;
  while (status == 429 && std::chrono::steady_clock::now() - start < std::chrono::seconds(5))
    status = rig.send("POST", "/v1/completions", completion(1))->wait().status;
  EXPECT_EQ(status, 200);
}

TEST(Service, ClientsComeAndGoFromManyThreads) {
  ServiceRig rig;
  rig.load(std::make_unique<DemoModel>("demo", std::function<void()>(), /*max_num_seqs=*/8));
  const std::string expected = text_of(rig.send("POST", "/v1/completions", completion(24))->wait());
  ASSERT_FALSE(expected.empty());
  constexpr int kThreads = 4;
  constexpr int kRequests = 12;
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int thread = 0; thread < kThreads; ++thread) {
    threads.emplace_back([&, thread] {
      for (int i = 0; i < kRequests; ++i) {
        switch ((thread + i) % 3) {
          case 0: {
            const auto leaving = rig.send("POST", "/v1/completions", completion(1000, i % 2 == 0));
            if (i % 2 == 0) leaving->wait_for_bytes(300);
            leaving->disconnect();
            break;
          }
          case 1:
            if (text_of(rig.send("POST", "/v1/completions", completion(24))->wait()) != expected) ++wrong;
            break;
          default:
            if (rig.send("POST", "/v1/completions", "{\"prompt\": 7")->wait().status != 400) ++wrong;
            if (rig.send("GET", "/metrics")->wait().status != 200) ++wrong;
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_TRUE(rig.service().wait_for_calls(std::chrono::steady_clock::now() + std::chrono::seconds(20)));
  // What was cancelled leaves with the next step.
  const auto holds_something = [&] {
    const EngineLoad load = rig.host().current()->engine->load();
    return load.waiting_requests > 0 || load.running_sequences > 0;
  };
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (holds_something() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_FALSE(holds_something());
}

TEST(Service, OneKeyDoesNotOpenWhatTheOtherGuards) {
  ServiceRig rig({.api_keys = {"user"}, .admin_keys = {"boss"}});
  rig.load(std::make_unique<DemoModel>("demo"));
  const auto status = [&](const std::string& path, const std::string& authorization) {
    return rig.send("POST", path, completion(1), {{"authorization", authorization}})->wait().status;
  };
  EXPECT_EQ(status("/v1/completions", "Bearer user"), 200);
  EXPECT_EQ(status("/v1/completions", "bearer user"), 200);
  for (const char* wrong : {"", "user", "Bearer ", "Bearer use", "Bearer userr", "Bearer boss", "Basic user"})
    EXPECT_EQ(status("/v1/completions", wrong), 401) << wrong;
  EXPECT_EQ(status("/admin/unload", "Bearer user"), 401);
  EXPECT_EQ(status("/admin/unload", "Bearer boss"), 202);
}

TEST(Service, AdministrationIsOffWithoutAKey) {
  ServiceRig rig;
  EXPECT_EQ(rig.send("POST", "/admin/unload")->wait().status, 403);
  EXPECT_EQ(rig.send("POST", "/admin/unload", "", {{"authorization", "Bearer "}})->wait().status, 403);
}

TEST(Service, LogsEachCallOnceAsJsonWithoutItsPrompt) {
  ServiceRig rig;
  rig.load(std::make_unique<DemoModel>("demo"));
  rig.send("POST", "/v1/completions", completion(3, false, "private matter"), {{"x-request-id", "mine"}})
      ->wait();
  rig.send("GET", "/health")->wait();
  ASSERT_TRUE(rig.service().wait_for_calls(std::chrono::steady_clock::now() + std::chrono::seconds(10)));
  std::istringstream lines(read_file(rig.log_path()));
  int num_requests = 0;
  for (std::string line; std::getline(lines, line);) {
    const json::value entry = parse_json(line, "log");
    if (entry.at("event") != "request") continue;
    ++num_requests;
    EXPECT_EQ(entry.at("id"), "mine");
    EXPECT_EQ(entry.at("status"), 200);
    EXPECT_EQ(entry.at("completion_tokens"), 3);
    EXPECT_GT(entry.at("ms").to_number<double>(), 0.0);
    EXPECT_THAT(line, testing::Not(HasSubstr("private")));
  }
  EXPECT_EQ(num_requests, 1);
}

TEST(Service, LogsPromptsWhenAsked) {
  ServiceRig rig({.log_prompts = true});
  rig.load(std::make_unique<DemoModel>("demo"));
  rig.send("POST", "/v1/completions", completion(1, false, "public matter"))->wait();
  ASSERT_TRUE(rig.service().wait_for_calls(std::chrono::steady_clock::now() + std::chrono::seconds(10)));
  EXPECT_THAT(read_file(rig.log_path()), HasSubstr("public matter"));
}

TEST(Service, HeartbeatTellsWorkFromIdleness) {
  ServiceRig rig;
  rig.load(std::make_unique<DemoModel>("demo"));
  const auto engine_of = [&] {
    return parse_json(rig.send("GET", "/health")->wait().body, "health").at("engine").as_object();
  };
  EXPECT_EQ(engine_of().at("waits_for"), "requests");
  const auto running = rig.send("POST", "/v1/completions", completion(1900, /*stream=*/true));
  running->wait_for_bytes(100);
  const json::object engine = engine_of();
  EXPECT_EQ(engine.at("running_sequences"), 1);
  EXPECT_NE(engine.at("waits_for"), "requests");
  EXPECT_LT(engine.at("seconds_since_step").to_number<double>(), 5.0);
  running->disconnect();
}

}  // namespace
}  // namespace gossamer::test
